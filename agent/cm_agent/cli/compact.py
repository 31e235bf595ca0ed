# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent compact`: move chunks to make a hole, ahead of need."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from cm_agent.cli._arguments import add_common, context_name, request, seconds
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.context import Context
from cm_agent.core.reports import Compaction
from cm_agent.core.size import format_size

_DESCRIPTION = """\
Move chunks of a context so that a hole of SIZE comes up, or the largest hole there can be. An
allocation that finds no hole does the same; this is for programs that cannot wait then. Only
addresses change: descriptors, mappings and contents stay. Chunks that are pinned or that drivers
have mapped stay where they are."""
_EPILOG = """\
Exit codes: 0 there is such a hole now; 1 there is none: the message has the reason, and what was
moved until then stays moved; 2 an error in the arguments, or there is no such context."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "move chunks to make a large hole"
    parser = add_verb(sub, "compact", what, _DESCRIPTION, _EPILOG)
    parser.add_argument("context", type=context_name, metavar="CONTEXT", help="name of the context")
    parser.add_argument(
        "request",
        type=request,
        nargs="?",
        default=(0, 0),
        metavar="SIZE[/ALIGN]",
        help="as in 8MiB/1MiB (default: as large as can be)",
    )
    parser.add_argument(
        "--deadline", type=seconds, metavar="SECONDS", help="give up after (default: 10)"
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compact, and print what was moved."""
    with Context(args.context) as context:
        done = context.compact(*args.request, deadline=args.deadline)
    return show(args, {"context": args.context} | asdict(done), _lines(args.context, done))


def _lines(name: str, done: Compaction) -> Iterator[str]:
    yield f"{name}: chunks moved: {done.moves}, copied: {format_size(done.moved_bytes)}"
    yield f"free: {format_size(done.free)}, largest hole {format_size(done.largest_hole)}"
