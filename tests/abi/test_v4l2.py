# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The V4L2 declarations in agent/cdef/v4l2.h say what linux/videodev2.h says.

Layouts differ between 32 and 64 bits. What cffi computes on this machine, one of 64 bits, is
compared for the 64-bit architectures; for every architecture the declarations themselves are
compiled as C beside the kernel's own, under other names.
"""

from __future__ import annotations

import re
import struct

import pytest
from abi.assertions import equal, layouts, members
from abi.conftest import Compile
from cm_agent.video._abi import ffi
from cm_agent.video.uapi import NUMBERS
from generate_abi import DIRECTIONS, HEADERS, parse

INCLUDES = ["#include <sys/time.h>", "#include <linux/videodev2.h>"]
# videodev2.h has holes of its own.
UNPADDED = '#pragma GCC diagnostic ignored "-Wpadded"'
HEADER = parse(HEADERS["video._abi"].read_text())
MACROS = {direction: macro for macro, direction in DIRECTIONS.items()}


def renamed(text: str) -> str:
    return re.sub(r"\b(struct|union)\s+(\w+)", r"\1 our_\2", text)


def test_constants_agree(compile_c: Compile) -> None:
    lines = [equal(name, value) for name, value in HEADER.constants.items()]
    assert compile_c([UNPADDED, *INCLUDES, *lines]) is None


def test_declarations_agree(compile_c: Compile) -> None:
    lines = []
    for tag, path in members(ffi):
        ours, theirs = f"struct our_{tag}", f"struct {tag}"
        for what in ("sizeof({})", "__builtin_offsetof({}, " + path + ")"):
            lines.append(f'_Static_assert({what.format(ours)} == {what.format(theirs)}, "");')
        lines.append(
            f"_Static_assert(sizeof((({ours} *)0)->{path}) == sizeof((({theirs} *)0)->{path}), "
            f'"{path}");'
        )
    assert len(lines) > 300
    assert compile_c([UNPADDED, *INCLUDES, renamed(HEADER.declarations), *lines]) is None


def test_requests_agree(compile_c: Compile) -> None:
    lines = [
        f'_Static_assert({MACROS[direction]}({kind}, {number}, {renamed(argument)}) == {name}, "");'
        for name, (direction, kind, number, argument) in HEADER.ioctls.items()
    ]
    assert compile_c([UNPADDED, *INCLUDES, renamed(HEADER.declarations), *lines]) is None


@pytest.mark.parametrize("architecture", ["amd64", "arm64"], indirect=True)
def test_what_cffi_computes_agrees(compile_c: Compile) -> None:
    assert struct.calcsize("P") == 8, "run this on a 64-bit machine"
    lines = [*layouts(ffi), *(equal(name, number) for name, number in NUMBERS.items())]
    assert compile_c([UNPADDED, *INCLUDES, *lines]) is None
