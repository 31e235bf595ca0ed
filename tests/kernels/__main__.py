# SPDX-License-Identifier: MIT
"""Run the module's tests on every emulated board, and print one table.

`python3 -m kernels [--at-once N] [board ...]`, with tests/ on PYTHONPATH; the module's tests are
those that need no agent. A board that fails does not stop the others. build/kernels/ has the table
of the boards that are done, and of each board what pytest said and its JUnit file.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from boards import board as descriptions
from boards import image, module, prerequisites
from boards.board import PROJECT, Board
from boards.error import BoardError
from boards.progress import say

from . import table

REPORTS = PROJECT / "build/kernels"
STATES = "module,shell"
# How pytest ends a test's line, told to count.
COUNTED = re.compile(r"\[ *(\d+)/(\d+)\]$")
PROGRESS_SECONDS = 30
AT_ONCE = 2


class Run:
    """The tests on one board. Synchronization: `all` is for one thread, the rest for any.

    `state` says how far it is, and is empty before it begins; `outcome` is None before it ends.
    """

    def __init__(self, board: Board, python: Path) -> None:
        self.board = board
        self.outcome: table.Outcome | None = None
        self.state = ""
        self._python = python
        self._log = REPORTS / f"{board.name}.log"
        self._report = REPORTS / f"{board.name}.xml"

    def all(self) -> None:
        """Build what the board needs, run the tests on it, and keep the outcome."""
        began, kernel = time.monotonic(), self.board.kernel.suite
        self.state = "is made ready"
        try:
            kernel = module.release(self.board)
            module.make(self.board)
            image.make(self.board)
            self._pytest()
            cases = table.read(self._report)
        except BoardError as error:
            cases = table.Cases(failures=(str(error),))
        self.outcome = table.Outcome(self.board.name, kernel, time.monotonic() - began, cases)
        say(f"{self.board.name}: {cases}")

    def _pytest(self) -> None:
        self._report.unlink(missing_ok=True)
        words = [
            self._python, "-m", "pytest", "-v", "-o", "console_output_style=count",
            "--lg-env", "tests/hil/env/emulated.yaml", "--states", STATES,
            f"--junit-xml={self._report}", "tests/hil",
        ]  # fmt: skip
        with (
            self._log.open("w") as log,
            subprocess.Popen(
                words,
                env={**os.environ, "LG_BOARD": self.board.name},
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as pytest,
        ):
            for line in pytest.stdout or ():
                log.write(line)
                if count := COUNTED.search(line.rstrip()):
                    self.state = f"{count[1]} of {count[2]} tests"
        if pytest.returncode not in (0, 1):  # all passed, or some did not
            raise BoardError(f"pytest ended with {pytest.returncode}; see {self._log}")


def main() -> int:
    """Test the boards that are named, or those of every kernel; 1 when anything failed."""
    arguments = _parser().parse_args()
    try:
        prerequisites.programs()
        python = prerequisites.environment()
        runs = [Run(descriptions.read(name), python) for name in arguments.boards or _debian()]
    except BoardError as error:
        print(f"kernels: {error}", file=sys.stderr)
        return 1
    REPORTS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.at_once) as pool:
        try:
            pending = {pool.submit(run.all) for run in runs}
            while pending:
                done, pending = wait(pending, PROGRESS_SECONDS, FIRST_COMPLETED)
                for test in done:
                    test.result()
                _show(runs)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            return 130
    outcomes = [run.outcome for run in runs if run.outcome]
    print(table.text(outcomes, len(runs)), end="")
    return 0 if all(outcome.cases.green for outcome in outcomes) else 1


def _show(runs: Sequence[Run]) -> None:
    """Write the table of the boards that are done, and say how far the others are."""
    outcomes = [run.outcome for run in runs if run.outcome]
    (REPORTS / "table.txt").write_text(table.text(outcomes, len(runs)))
    under_way = [f"{run.board.name} {run.state}" for run in runs if not run.outcome and run.state]
    say("; ".join([f"{len(outcomes)} of {len(runs)} boards are done", *under_way]))


def _debian() -> list[str]:
    """Return the names of the boards with Debian's kernels, of machines that boot several."""
    boards = [descriptions.read(name) for name in descriptions.names()]
    boards = [board for board in boards if not board.kernel.own]
    several = Counter(board.machine for board in boards)
    return [board.name for board in boards if several[board.machine] > 1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kernels", description=__doc__)
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many boards side by side")
    parser.add_argument("boards", nargs="*", metavar="board")
    return parser


sys.exit(main())
