# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent create`: make a context over a part of a bank."""

from __future__ import annotations

import argparse
from typing import Any

from cm_agent.cli._arguments import Subparsers, byte_count, context_name
from cm_agent.core.context import Context
from cm_agent.core.control import Control
from cm_agent.core.size import format_size


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser: Any = sub.add_parser("create", help="make a context over a part of a bank (root)")
    parser.description = (
        "Make a context over a part of a bank that no other context has. Parts of a reusable bank"
        " begin and end at multiples of 2 MiB, or less: an error has the number."
        " The banks: ls /proc/device-tree/reserved-memory"
    )
    parser.add_argument("context", type=context_name, help="what it will be called")
    parser.add_argument("bank", help="node below /reserved-memory, as in camera@70000000")
    parser.add_argument("--offset", type=byte_count, default=0, metavar="SIZE")
    parser.add_argument("--size", type=byte_count, default=0, metavar="SIZE", help="default: rest")
    parser.add_argument("--min-alignment", type=byte_count, default=0, metavar="SIZE")
    parser.add_argument("--private", action="store_true", help="take the memory for itself, now")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make it, and print what it is."""
    with Control() as control:
        control.create(
            args.context,
            args.bank,
            offset=args.offset,
            size=args.size,
            min_alignment=args.min_alignment,
            private=args.private,
        )
    with Context(args.context) as context:
        state = context.query()
    kind = "private" if state.private else "shared"
    print(f"{args.context}: {kind}, {format_size(state.size)} of {args.bank}")
    return 0
