# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent bench`: how long allocations of a context take on this board."""

from __future__ import annotations

import argparse
import platform
from dataclasses import asdict
from typing import Any

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import add_common, context_name, positive_int
from cm_agent.cli._output import Problem, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.context import Context
from cm_agent.core.reports import ContextState
from cm_agent.core.size import format_size, parse_size
from cm_agent.selftest.benchmark import Measured, Times, measure

_SIZES = tuple(1 << shift for shift in (12, 14, 16, 18, 20, 22, 23, 24, 26))
_HEADINGS = ("SIZE", "ALLOC p50", "p99", "MEMSET p50", "p99", "RATIO", "EMPTY IOCTL p50", "p99")
_DESCRIPTION = """\
Measure how long allocations of a context take: chunks are allocated and freed again, each in turn
with a memset of as many bytes and with a request that does nothing. Freeing is not timed. Without
SIZE, sizes from 4 KiB to 64 MiB are measured, as far as they fit into the free space. Measure on a
board that is otherwise idle."""
_EPILOG = """\
EMPTY IOCTL is the cost of a call from Python, which ALLOC includes. RATIO is the median of ALLOC
divided by that of MEMSET. Times are in microseconds, with --json in nanoseconds.
Exit codes: 0 all sizes were measured; 1 an allocation failed; 2 an error in the arguments."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = add_verb(sub, "bench", "measure how long allocations take", _DESCRIPTION, _EPILOG)
    parser.add_argument("context", type=context_name, metavar="CONTEXT", help="name of the context")
    parser.add_argument("sizes", type=_size, nargs="*", metavar="SIZE", help="as in 8MiB")
    parser.add_argument(
        "--count",
        type=positive_int,
        default=200,
        metavar="N",
        help="number of chunks of each size (default: %(default)s)",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure every size until one fails, and print what was measured."""
    measured: list[Measured] = []
    problems: list[Problem] = []
    with Context(args.context) as context:
        state = context.query()
        try:
            for size in args.sizes or [size for size in _SIZES if size <= state.free]:
                measured.append(measure(context, size, args.count))
        except OSError as error:
            problems.append(Problem.of(error, args.context))
    lines = table.lines([_HEADINGS, *map(_row, measured)], "<" + ">" * 7)
    return show(args, _result(state, measured), lines, problems)


def _result(state: ContextState, measured: list[Measured]) -> dict[str, Any]:
    return {
        "context": state.name,
        "private": state.private,
        "kernel": platform.release(),
        "module": state.version,
        "measured": [{**asdict(it), "ratio": it.ratio} for it in measured],
    }


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _row(it: Measured) -> list[str]:
    return [
        format_size(it.size),
        *_cells(it.alloc),
        *_cells(it.memset),
        f"{it.ratio:.2f}",
        *_cells(it.ioctl),
    ]


def _cells(times: Times) -> list[str]:
    return [f"{times.p50 / 1e3:,.1f}", f"{times.p99 / 1e3:,.1f}"]
