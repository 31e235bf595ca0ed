# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent destroy`: remove a context that has no chunks."""

from __future__ import annotations

import argparse

from cm_agent.cli._arguments import add_common, context_name
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.control import Control

_DESCRIPTION = """\
Remove a context that has no chunks; needs root. Its part of the bank can be given to another
context, and the system uses it if the bank is reusable. A context of the device tree comes back
when the module is loaded again."""
_EPILOG = """\
Exit codes: 0 it was removed; 1 it was not, and nothing changed; 2 an error in the arguments, or
there is no such context."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "remove a context that has no chunks (root only)"
    parser = add_verb(sub, "destroy", what, _DESCRIPTION, _EPILOG)
    parser.add_argument("context", type=context_name, metavar="CONTEXT", help="name of the context")
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Remove it, and print that."""
    with Control() as control:
        control.destroy(args.context)
    return show(args, {"context": args.context}, [f"{args.context}: destroyed"])
