# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The kernel module's pure C files, compiled for this machine.

The headers in linux/ beside this file stand in for the kernel's. The compiled library carries the
license of its source, GPL-2.0, and does not outlive the test run.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cffi import FFI

STAND_INS = Path(__file__).resolve().parent
KMOD = STAND_INS.parents[3] / "kmod"

COMPILER = (
    "gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror",
    f"-I{STAND_INS}", f"-I{KMOD / 'include'}",
)  # fmt: skip
SANITIZED = ("-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all")
# cffi reads declarations only.
INLINE_FUNCTION = re.compile(r"^static inline [^;{]*\{.*?^\}", re.DOTALL | re.MULTILINE)
WORD = {
    64: (),
    32: ("-include", f"{STAND_INS / 'linux/types.h'}", "-include", f"{STAND_INS / 'word32.h'}"),
}


FAST = ("-O2",)


@cache
def load(noun: str, bits: int = 64, *, flags: tuple[str, ...] = SANITIZED) -> tuple[FFI, Any]:
    """Compile kmod/<noun>.c with longs of so many bits; declare what kmod/<noun>.h does."""
    ffi = FFI()
    header = _gcc(*WORD[bits], "-E", "-P", KMOD / f"{noun}.h")
    ffi.cdef(INLINE_FUNCTION.sub("", header))
    with TemporaryDirectory(prefix="cm-host-") as place:
        library = Path(place, f"{noun}{bits}.so")
        _gcc(*WORD[bits], *flags, "-shared", "-fPIC", "-o", library, KMOD / f"{noun}.c")
        return ffi, ffi.dlopen(str(library))


def _gcc(*words: str | Path) -> str:
    done = subprocess.run([*COMPILER, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
