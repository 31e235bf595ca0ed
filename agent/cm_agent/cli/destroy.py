# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent destroy`: remove a context that has no chunks."""

from __future__ import annotations

import argparse

from cm_agent.cli._arguments import Subparsers, context_name
from cm_agent.core.control import Control


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser("destroy", help="remove a context that has no chunks (root)")
    parser.add_argument("context", type=context_name)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Remove it, and print that."""
    with Control() as control:
        control.destroy(args.context)
    print(f"{args.context}: destroyed")
    return 0
