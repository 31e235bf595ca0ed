# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent list`: the contexts and how full they are."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import Subparsers, add_common
from cm_agent.core.context import Context, contexts
from cm_agent.core.reports import ContextState
from cm_agent.core.size import format_size
from cm_agent.diagnose.doctor import Machine, examine

_HEADINGS = ("NAME", "KIND", "SIZE", "FREE", "LARGEST HOLE", "PINNED", "CHUNKS")


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser("list", help="show the contexts and how full they are")
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per context; 1 when there is none or one cannot be asked."""
    states, failures = _ask()
    if args.json:
        print(json.dumps([asdict(state) for state in states], indent=2))
    elif states:
        for line in table.lines([_HEADINGS, *map(_row, states)], "<<>>>>>"):
            print(line)
    if not states and not failures:
        failures = [_nothing()]
    for failure in failures:
        print(f"cm-agent list: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _ask() -> tuple[list[ContextState], list[str]]:
    states, failures = [], []
    for name in contexts():
        try:
            with Context(name) as context:
                states.append(context.query())
        except OSError as error:
            failures.append(str(error.strerror))
    return states, failures


def _nothing() -> str:
    causes = [finding for finding in examine(Machine()) if finding.ok is False]
    why = f": {causes[0].what}" if causes else ""
    return f"there is no context{why}; `cm-agent doctor` shows how to fix it"


def _row(state: ContextState) -> tuple[str, ...]:
    sizes = (state.size, state.free, state.largest_hole, state.pinned)
    kind = "private" if state.private else "shared"
    return (state.name, kind, *map(format_size, sizes), str(state.chunks))
