# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent create`: make a context over a part of a bank."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from cm_agent.cli._arguments import add_common, byte_count, context_name
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.context import Context
from cm_agent.core.control import Control
from cm_agent.core.errors import UsageError
from cm_agent.core.size import format_size

_DESCRIPTION = """\
Make a context over a part of a bank that no other context uses; needs root. It lasts until it is
destroyed or the board reboots; those of the configuration come with every boot (`cm-agent apply`).
Parts of a reusable bank begin and end at multiples of 2 MiB, or of less on some kernels; the error
message has the number. `cm-agent banks` shows the banks, and what is free in them."""
_EPILOG = """\
Exit codes: 0 the context was made; 1 it was not; 2 an error in the arguments, or there is no such
bank."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "make a context over a part of a bank (root only)"
    parser = add_verb(sub, "create", what, _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "context", type=context_name, metavar="CONTEXT", help="the name of the new context"
    )
    parser.add_argument(
        "bank", metavar="BANK", help="node below /reserved-memory, as in camera@70000000"
    )
    parser.add_argument(
        "--offset",
        type=byte_count,
        default=0,
        metavar="SIZE",
        help="where in the bank the context begins (default: 0)",
    )
    parser.add_argument(
        "--size",
        type=byte_count,
        default=0,
        metavar="SIZE",
        help="size of the context (default: the rest of the bank)",
    )
    parser.add_argument(
        "--min-alignment",
        type=byte_count,
        default=0,
        metavar="SIZE",
        help="minimum alignment of its chunks (default: a page)",
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="reserve the memory for this context alone",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make it, and print what it is."""
    with Control() as control:
        try:
            control.create(
                args.context,
                args.bank,
                offset=args.offset,
                size=args.size,
                min_alignment=args.min_alignment,
                private=args.private,
            )
        except ValueError as error:
            raise UsageError(f"BANK: {error}") from None
    with Context(args.context) as context:
        state = context.query()
    kind = "private" if state.private else "shared"
    where = f", from {format_size(args.offset)} on" if args.offset else ""
    line = f"{args.context}: {kind}, {format_size(state.size)} of {args.bank}{where}"
    return show(args, asdict(state), [line])
