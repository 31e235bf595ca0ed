# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""C compilers for every architecture that the ABI is checked on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
UAPI = TESTS.parent / "kmod/include/uapi"

# 32-bit times, as a plain `long` in Python's binding has them.
OPTIONS = (
    "-std=gnu11", "-Wall", "-Wextra", "-Wpadded", "-Werror", "-S", f"-I{UAPI}",
    "-U_TIME_BITS", "-U_FILE_OFFSET_BITS",
)  # fmt: skip

Compile = Callable[[Iterable[str]], str | None]


@pytest.fixture(params=["amd64", "arm64", "armhf"])
def architecture(request: pytest.FixtureRequest) -> str:
    """Return each architecture in turn, in Debian's words."""
    return str(request.param)


def run_compiler(architecture: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the C compiler of the boards' suite; it sees files below cwd and the project."""
    return subprocess.run(
        [sys.executable, "-m", "boards", "cc", "--arch", architecture, "--", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


@cache
def why_there_is_none(architecture: str) -> str:
    """Return why there is no compiler, or nothing."""
    done = run_compiler(architecture, "--version", cwd=TESTS)
    return done.stderr if done.returncode else ""


@pytest.fixture
def compile_c(architecture: str, tmp_path: Path) -> Compile:
    """Return a function that compiles lines of C and returns the complaints, None for none.

    A compiler that is not there is a failure of the test, with the reason.
    """
    if why := why_there_is_none(architecture):
        pytest.fail(f"no C compiler for {architecture}: {why}")

    def compile_lines(lines: Iterable[str]) -> str | None:
        (tmp_path / "check.c").write_text("\n".join([*lines, ""]))
        done = run_compiler(architecture, *OPTIONS, "check.c", cwd=tmp_path)
        return (done.stdout + done.stderr) if done.returncode else None

    return compile_lines
