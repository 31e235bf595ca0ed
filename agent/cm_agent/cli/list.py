# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent list`: the contexts and how full they are."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import add_common
from cm_agent.cli._contexts import add_contexts, ask_contexts
from cm_agent.cli._output import Problem, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.context import Context
from cm_agent.core.reports import ContextState
from cm_agent.core.size import format_size

_HEADINGS = ("NAME", "KIND", "SIZE", "FREE", "LARGEST HOLE", "PINNED", "CHUNKS")
_DESCRIPTION = """\
Show every context: whether it is shared with the system or private, its size, its free space, the
largest hole, which is what fits without moving chunks, how much is pinned, and the number of
chunks. `cm-agent chunks` shows who has them, `cm-agent info CONTEXT` the rest."""
_EPILOG = """\
Exit codes: 0 every context was asked; 1 one could not be, or there is none; 2 an error in the
arguments, or there is no such context."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = add_verb(sub, "list", "show the contexts and how full they are", _DESCRIPTION, _EPILOG)
    add_contexts(parser)
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per context; 1 when there is none or one does not answer."""
    states, problems = _ask(args.contexts)
    return show(args, [asdict(state) for state in states], _lines(states), problems)


def _lines(states: list[ContextState]) -> Iterator[str]:
    if states:
        yield from table.lines([_HEADINGS, *map(_row, states)], "<<>>>>>")


def _ask(names: list[str]) -> tuple[list[ContextState], list[Problem]]:
    return ask_contexts(names, Context.query)


def _row(state: ContextState) -> tuple[str, ...]:
    sizes = (state.size, state.free, state.largest_hole, state.pinned)
    kind = "private" if state.private else "shared"
    return (state.name, kind, *map(format_size, sizes), str(state.chunks))
