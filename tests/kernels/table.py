# SPDX-License-Identifier: MIT
"""What came out on each kernel, and the table of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

HEAD = ("board", "kernel", "passed", "failed", "did not run", "minutes")


@dataclass(frozen=True)
class Cases:
    """How tests ended.

    `failures` are tests' names, or why there are none; `left_out` counts the tests that did not
    run by their reasons.
    """

    passed: int = 0
    failures: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def green(self) -> bool:
        """Whether tests passed, and none failed."""
        return self.passed > 0 and not self.failures

    def __str__(self) -> str:
        left_out = self.left_out.total()
        return f"{self.passed} passed, {len(self.failures)} failed, {left_out} did not run"


@dataclass(frozen=True)
class Outcome:
    """How the tests ended on one board, and in what time, what the board needs made included."""

    board: str
    kernel: str
    seconds: float
    cases: Cases

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table's row."""
        cases = self.cases
        counts = (cases.passed, len(cases.failures), cases.left_out.total())
        return (self.board, self.kernel, *map(str, counts), f"{self.seconds / 60:.1f}")


def read(report: Path) -> Cases:
    """Read pytest's JUnit file. A test that fails and breaks its teardown, too, is one failure."""
    passed, failures, left_out = 0, [], Counter[str]()
    for case in ElementTree.parse(report).iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(f"{case.get('classname')}::{case.get('name')}")
        elif skipped is not None:
            left_out[str(skipped.get("message"))] += 1
        else:
            passed += 1
    return Cases(passed, tuple(dict.fromkeys(failures)), left_out)


def text(outcomes: Sequence[Outcome], boards: int) -> str:
    """Return the table of so many boards' outcomes, and below it what is not green in it."""
    rows = [HEAD, *(outcome.row() for outcome in outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for reason in sorted({reason for it in outcomes for reason in it.cases.left_out}):
        counts = {it.board: it.cases.left_out[reason] for it in outcomes}
        on = ", ".join(f"{count} on {board}" for board, count in counts.items() if count)
        lines.append(f"did not run, {reason}: {on}")
    lines += [f"failed on {it.board}: {name}" for it in outcomes for name in it.cases.failures]
    green = sum(outcome.cases.green for outcome in outcomes)
    lines.append(f"{green} of {boards} kernels are green")
    return "".join(f"{line}\n" for line in lines)
