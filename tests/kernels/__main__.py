# SPDX-License-Identifier: MIT
"""Run the module's tests on every emulated board, one after another, and print one table.

`python3 -m kernels [board ...]`, with tests/ on PYTHONPATH. A board that fails does not stop the
others. pytest's output and its JUnit file are in build/kernels/.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from boards import board as descriptions
from boards import image, module, prerequisites
from boards.board import PROJECT
from boards.error import BoardError
from boards.progress import say

TESTS = (
    "ioctl", "ioctl_rights", "mmap", "free", "pin", "lifetime", "refusal", "contiguity",
)  # fmt: skip
REPORTS = PROJECT / "build/kernels"
COLUMNS = ("kernel", "architecture", "passed", "failed", "skipped", "seconds")


@dataclass(frozen=True)
class Outcome:
    """How the tests ended on one board; `failures` are tests' names, or why there are none."""

    kernel: str
    architecture: str
    passed: int
    failures: tuple[str, ...]
    skipped: int
    seconds: float

    def row(self) -> tuple[str, ...]:
        """Return the outcome as the table's columns."""
        counts = (self.passed, len(self.failures), self.skipped, round(self.seconds))
        return (self.kernel, self.architecture, *map(str, counts))


def main() -> int:
    """Test the boards that are named, or all with Debian's kernels; 1 when anything failed."""
    try:
        boards = [descriptions.read(name) for name in sys.argv[1:] or descriptions.names()]
        if not sys.argv[1:]:
            boards = [board for board in boards if not board.kernel.own]
        prerequisites.programs()
        python = prerequisites.environment()
    except BoardError as error:
        print(f"kernels: {error}", file=sys.stderr)
        return 1
    outcomes = [_test(board, python) for board in boards]
    rows = [COLUMNS, *(outcome.row() for outcome in outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    failures = [(it, name) for it in outcomes for name in it.failures]
    for outcome, name in failures:
        print(f"failed on {outcome.kernel}: {name}")
    return 1 if failures else 0


def _test(board: descriptions.Board, python: Path) -> Outcome:
    """Build what the board needs and run the tests on it."""
    began = time.monotonic()
    kernel = board.kernel.suite
    try:
        kernel = module.release(board)
        module.make(board)
        image.make(board)
        say(f"testing {board.name} ({kernel}) ...")
        passed, failures, skipped = _pytest(board.name, python)
    except BoardError as error:
        passed, failures, skipped = 0, [str(error)], 0
    seconds = time.monotonic() - began
    say(f"{board.name}: {passed} passed, {len(failures)} failed, {skipped} skipped")
    return Outcome(kernel, board.architecture, passed, tuple(failures), skipped, seconds)


def _pytest(board: str, python: Path) -> tuple[int, list[str], int]:
    """Run the tests on a board; return how many passed, which failed, and how many did not run."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    report, log = REPORTS / f"{board}.xml", REPORTS / f"{board}.log"
    report.unlink(missing_ok=True)
    with log.open("w") as said:
        subprocess.run(
            [
                python, "-m", "pytest", "--lg-env", "tests/hil/env/emulated.yaml",
                f"--junit-xml={report}", *(f"tests/hil/test_{noun}.py" for noun in TESTS),
            ],
            env={**os.environ, "LG_BOARD": board}, cwd=PROJECT, stdout=said,
            stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    if not report.exists():
        raise BoardError(f"pytest ended without a report; see {log}")
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return len(cases) - len(set(failed)) - skipped, sorted(set(failed)), skipped


sys.exit(main())
