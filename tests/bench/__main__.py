# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`make bench`: allocations beside their peers, measured on an emulated board.

Text on stdout; text, CSV and SVG in build/bench/. A goal that is missed is no error.
"""

import argparse
import os
import sys
from pathlib import Path

from boards.booted import booted
from boards.error import BoardError
from boards.progress import say, step

from bench import figures, plot
from bench.goals import goals
from bench.noise import noise
from bench.origin import Origin, origin
from bench.samples import Samples
from bench.scenes import BUILT, measure

PLOTS = ("latency", "full", "cleared")


def main() -> int:
    """Measure, and write down what was measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--board", default="arm64-virt-bench")
    parser.add_argument("--quick", action="store_true", help="a few samples of each: does it work?")
    arguments = parser.parse_args()
    load, samples = os.getloadavg()[0], Samples()
    try:
        with booted(arguments.board, "module") as board:
            whence = origin(board, arguments.quick, load)
            for taken in measure(board, arguments.quick):
                samples.add(taken)
                # At once: a board that fails later must not take these with it.
                (BUILT / "samples.csv").write_text(figures.samples_csv(samples))
    except (BoardError, AssertionError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    write(whence, samples, BUILT)
    return 0


def write(whence: Origin, samples: Samples, into: Path) -> None:
    """Write text, CSV and plots, and print the text."""
    heard, reached = noise(samples), goals(samples)
    text = figures.text(whence, heard, samples, reached)
    (into / "figures.txt").write_text(text)
    (into / "goals.csv").write_text(figures.goals_csv(whence, heard, reached))
    with step("plotting"):
        for name in PLOTS:
            plot.plot(whence, heard, samples, name, into / f"{name}.svg")
    print(text, end="")
    say(f"text, CSV and plots are in {into}")


if __name__ == "__main__":
    sys.exit(main())
