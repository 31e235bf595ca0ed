# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""An example is short, begins with what to install and how to start it, and runs on a board."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import toolchain
from boards.board import PROJECT

EXAMPLES = PROJECT / "agent/examples"
PROGRAMS = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.c")])
BELOW_LINES = 60
LONG = {"gstreamer_appsrc.py"}  # until it is rewritten
HEAD_LINES = 25

each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)


def texts(path: Path) -> Iterator[str]:
    """Yield the string constants of a Python file that are no docstrings."""
    tree = ast.parse(path.read_text(), str(path))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


@each_program
def test_is_short(program: Path) -> None:
    lines = len(program.read_text().splitlines())
    assert lines < BELOW_LINES or program.name in LONG


@each_program
def test_begins_with_what_to_install_and_how_to_start_it(program: Path) -> None:
    head = "\n".join(program.read_text().splitlines()[:HEAD_LINES])
    started = f"./{program.stem} " if program.suffix == ".c" else f"    {program.name} "
    assert "Needs " in head or "apt install " in head
    assert started in head


@each_program
def test_is_run_by_a_test_on_a_board(program: Path) -> None:
    tests = [*PROJECT.glob("tests/hil/test_*.py")]
    assert [it.name for it in tests if any(program.name in text for text in texts(it))]


@pytest.mark.parametrize("architecture", ["amd64", "arm64", "armhf"])
@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.c")), ids=lambda path: path.name)
def test_compiles_without_a_warning(program: Path, architecture: str, tmp_path: Path) -> None:
    words = ["-O2", "-Wall", "-Wextra", "-Werror", f"-I{PROJECT / 'kmod/include/uapi'}"]
    built = tmp_path / program.stem
    toolchain.compile("trixie", architecture, [*words, "-o", str(built), str(program)])
    assert built.exists()
