# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`make fuzz`: random calls at the module on the debug kernel, then a look at the kernel's log.

A round is a minute, with a seed that is printed; `--seed` repeats it, as far as races do. Exit code
1 when the kernel reported something, or memory is missing.
"""

import argparse
import random
import sys

from boards.booted import booted
from boards.error import BoardError
from boards.progress import say, step
from boards.remote import RemoteBoard
from hil.complaint import OF_OTHERS, complaints

from fuzz.attack import attack

ROUND_SECONDS = 60


def main() -> int:
    """Attack for so many minutes, or with one seed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--board", default="arm64-virt-debug")
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--seed", type=int, help="one round with this seed")
    arguments = parser.parse_args()
    drawn = random.SystemRandom()
    seeds = [drawn.randrange(1 << 20) for _ in range(arguments.minutes)]
    if arguments.seed is not None:
        seeds = [arguments.seed]
    try:
        with booted(arguments.board, "module") as board:
            return max(one_round(board, seed) for seed in seeds)
    except (BoardError, AssertionError) as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 1


def one_round(board: RemoteBoard, seed: int) -> int:
    """Attack with one seed; return 1 when something is wrong afterwards."""
    board.check("dmesg --clear")
    with step(f"attacking with seed {seed}"):
        told = board.call(attack, timeout=ROUND_SECONDS * 4, seed=seed, seconds=ROUND_SECONDS)
    ended = ", ".join(f"{number}: {n}" for number, n in sorted(told["ended"].items()))
    say(
        f"seed {seed}: {told['processes']} processes, {told['moves']} moves; calls by errno {ended}"
    )
    log = board.check("dmesg --notime").splitlines()
    wrong = list(complaints(log, OF_OTHERS))
    if wrong:
        print("\n".join(log[-200:]), file=sys.stderr)
    before, after = told["free"]
    if before != after:
        wrong.append(f"free bytes were {before} and are {after}")
    for line in wrong:
        print(f"fuzz: seed {seed}: {line}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
