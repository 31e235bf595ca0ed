# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The table of `make test-kernels` is green only where every test ran and passed."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernels.table import Cases, Outcome, read, text

GREEN = '<testcase classname="hil.test_pin" name="test_a" />'
RED = {
    "failure": '<testcase classname="hil.test_pin" name="test_b"><failure /></testcase>',
    "error": '<testcase classname="hil.test_pin" name="test_b"><error /></testcase>',
    "both": '<testcase classname="hil.test_pin" name="test_b"><failure /></testcase>'
    '<testcase classname="hil.test_pin" name="test_b"><error /></testcase>',
}
LEFT_OUT = '<testcase classname="x" name="c"><skipped message="unsupported" /></testcase>'


def cases(folder: Path, *elements: str) -> Cases:
    report = folder / "report.xml"
    report.write_text(f"<testsuites><testsuite>{''.join(elements)}</testsuite></testsuites>")
    return read(report)


@pytest.mark.parametrize("how", RED)
def test_a_failure_is_counted_once_and_named(tmp_path: Path, how: str) -> None:
    got = cases(tmp_path, GREEN, RED[how])
    assert (got.passed, got.failures) == (1, ("hil.test_pin::test_b",))
    table = text([Outcome("arm64-virt", "6.12", 60, got)], boards=1)
    assert "failed on arm64-virt: hil.test_pin::test_b\n" in table
    assert table.endswith("0 of 1 kernels are green\n")


def test_what_did_not_run_is_told_with_the_reason(tmp_path: Path) -> None:
    got = cases(tmp_path, GREEN, LEFT_OUT, LEFT_OUT)
    table = text([Outcome("a", "6.12", 60, got), Outcome("b", "7.2", 60, Cases(3))], boards=2)
    assert "did not run, unsupported: 2 on a\n" in table
    assert table.endswith("2 of 2 kernels are green\n")


def test_a_board_on_which_nothing_passed_is_not_green() -> None:
    assert text([Outcome("a", "6.12", 60, Cases())], 1).endswith("0 of 1 kernels are green\n")


def test_boards_that_are_not_done_are_not_green() -> None:
    assert text([Outcome("a", "6.12", 60, Cases(3))], 8).endswith("1 of 8 kernels are green\n")
