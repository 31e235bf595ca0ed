# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`make promises`: measure what is promised on an emulated board, for people or with --json.

Exit code 1 when a promise did not hold.
"""

import argparse
import json
import sys

from boards.booted import booted
from boards.error import BoardError
from boards.progress import step

from bench import deadline, fairness, hog, latency, plan, stuck, victim

FIGURES = {
    "latency": latency,
    "deadline": deadline,
    "hog": hog,
    "stuck": stuck,
    "victim": victim,
    "fairness": fairness,
    "plan": plan,
}


def main() -> int:
    """Measure one figure, or all."""
    parser = argparse.ArgumentParser(prog="make promises", description=__doc__)
    parser.add_argument("--only", choices=list(FIGURES), help="one figure instead of all")
    parser.add_argument("--board", default="arm64-virt")
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()
    found = {}
    try:
        with booted(arguments.board, "module") as board:
            for name in [arguments.only] if arguments.only else FIGURES:
                with step(f"measuring: {name}"):
                    found[name] = FIGURES[name].measure(board)
    except (BoardError, AssertionError) as error:
        print(f"promises: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({name: it.to_json() for name, it in found.items()}, indent=2))
    else:
        print("\n\n".join("\n".join(it.lines()) for it in found.values()))
    return 0 if all(it.holds for it in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
