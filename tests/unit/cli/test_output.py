# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the program does, and ends with, when standard output takes no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[3] / "agent"
LINES = pytest.mark.parametrize(
    "line", ["--help", "--version", "serve --help", "doctor", "list --json", "list --no --json"]
)
BUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"])


def run(line: str, stdout: int, unbuffered: str = "") -> tuple[int, str]:
    """Run the program; return its exit code and what it wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "cm_agent", *line.split()],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(AGENT), "PYTHONUNBUFFERED": unbuffered},
    )
    return done.returncode, done.stderr


@LINES
@BUFFERED
def test_a_reader_that_has_gone_ends_it_with_141_in_silence(line: str, unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(line, writer, unbuffered) == (141, "")
    finally:
        os.close(writer)


@LINES
@BUFFERED
def test_a_full_disk_ends_it_with_1_and_a_sentence(line: str, unbuffered: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, said = run(line, full, unbuffered)
    finally:
        os.close(full)
    assert (code, said.count("\n")) == (1, 1)
    assert said.endswith(": standard output cannot be written: No space left on device\n")


def test_an_error_comes_after_what_was_printed_before_it() -> None:
    program = (
        "from cm_agent.cli._output import fail, say\n"
        "say('chunk 1')\n"
        "fail('alloc', OSError(5, 'no answer'), as_json=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(AGENT), "PYTHONUNBUFFERED": ""},
    )
    assert done.stdout == "chunk 1\ncm-agent alloc: no answer\n"


def test_a_closed_standard_output_is_no_traceback() -> None:
    line = f"exec {sys.executable} -m cm_agent --version >&-"
    env = {**os.environ, "PYTHONPATH": str(AGENT)}
    done = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, env=env)
    assert (done.returncode, done.stderr) == (0, "")
