# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The binding of cm.h says what C compilers say of cm.h."""

from __future__ import annotations

import pytest
from abi.assertions import equal, layouts
from abi.conftest import Compile
from cm_agent.core import uapi
from generate_abi import HEADERS, parse

INCLUDE = "#include <linux/cm.h>"
HEADER = parse(HEADERS["core._abi"].read_text())


def test_header_is_c_without_warnings_and_without_padding(compile_c: Compile) -> None:
    assert compile_c([INCLUDE]) is None


def test_layouts_agree(compile_c: Compile) -> None:
    lines = [*layouts(uapi.ffi)]
    assert len(lines) > 200
    assert compile_c([INCLUDE, *lines]) is None


def test_constants_agree(compile_c: Compile) -> None:
    reasons = uapi.ffi.typeof("enum cm_reason").relements
    lines = [equal(name, value) for name, value in {**HEADER.constants, **reasons}.items()]
    assert compile_c([INCLUDE, *lines]) is None


def test_ioctl_numbers_agree(compile_c: Compile) -> None:
    lines = [equal(name, number) for name, number in uapi.NUMBERS.items()]
    assert len(lines) == 16
    assert compile_c([INCLUDE, *lines]) is None


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (equal("sizeof(struct cm_query)", 1), "static assertion failed"),
        ("struct hole { char small; __u64 large; };", "-Werror=padded"),
        ("int nothing(void) { }", "-Werror=return-type"),
    ],
)
def test_compiler_does_complain(compile_c: Compile, wrong: str, complaint: str) -> None:
    assert complaint in (compile_c([INCLUDE, wrong]) or "")
