# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent bench`: how long allocations of a context take on this board."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import Subparsers, add_common, context_name, positive_int
from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError
from cm_agent.core.reports import ContextState
from cm_agent.core.size import format_size, parse_size
from cm_agent.selftest.benchmark import Measured, Times, measure

_SIZES = tuple(1 << shift for shift in (12, 14, 16, 18, 20, 22, 23, 24, 26))
_HEADINGS = ("SIZE", "ALLOC p50", "p99", "MEMSET p50", "p99", "RATIO", "EMPTY IOCTL p50", "p99")
_EPILOG = """\
Chunks are allocated and freed again, each in turn with a memset of as many bytes and with a request
that does nothing; freeing is not timed. EMPTY IOCTL has what a call from Python costs, which is in
ALLOC, too. Times are in microseconds, with --json in nanoseconds; RATIO is that of the medians of
ALLOC and MEMSET. Without SIZE, sizes from 4 KiB to 64 MiB are measured, as far as they fit what is
free. Measure on a board that does nothing else.
Exit codes: 0 measured, 1 an allocation failed, 2 bad usage."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser(
        "bench",
        help="measure how long allocations take",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("context", type=context_name, metavar="CONTEXT")
    parser.add_argument("sizes", type=_size, nargs="*", metavar="SIZE", help="as in 8MiB")
    parser.add_argument(
        "--count",
        type=positive_int,
        default=200,
        metavar="N",
        help="chunks of each size (default: %(default)s)",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure every size until one fails, and print what was measured."""
    measured: list[Measured] = []
    failure: OSError | None = None
    with Context(args.context) as context:
        state = context.query()
        try:
            for size in args.sizes or [size for size in _SIZES if size <= state.free]:
                measured.append(measure(context, size, args.count))
        except OSError as error:
            failure = error
    (_report_json if args.json else _report)(state, measured, failure)
    return 0 if failure is None else 1


def _report(state: ContextState, measured: list[Measured], failure: OSError | None) -> None:
    for line in table.lines([_HEADINGS, *map(_row, measured)], "<" + ">" * 7):
        print(line)
    if failure is not None:
        print(f"cm-agent bench: {failure.strerror}", file=sys.stderr)


def _report_json(state: ContextState, measured: list[Measured], failure: OSError | None) -> None:
    error = None
    if failure is not None:
        reason = failure.reason.name if isinstance(failure, AllocationError) else None
        error = {"errno": failure.errno, "reason": reason, "message": failure.strerror}
    document = {
        "context": state.name,
        "private": state.private,
        "kernel": platform.release(),
        "module": state.version,
        "measured": [{**asdict(it), "ratio": it.ratio} for it in measured],
        "error": error,
    }
    print(json.dumps(document, indent=2))


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
