# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent shell`: a prompt to try things with chunks of a context, or a recorded sequence."""

from __future__ import annotations

import argparse

from cm_agent.cli._arguments import context_name, seconds
from cm_agent.cli._output import say
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.cli.shell.prompt import converse
from cm_agent.cli.shell.session import Session, read_sequence
from cm_agent.core.context import Context

_DESCRIPTION = """\
Take commands that allocate chunks of a context, write and verify patterns, pin, compact, and show
the layout; `help` lists them. The chunks are freed at the end. Commands come from the terminal, or
one a line from standard input."""
_EPILOG = """\
What was recorded, by --record or the command `record`, is run by --replay until a command fails.
Exit codes: 0 it was ended, and no command failed; 1 one failed; 2 an error in the arguments, no
such context, or a line that is not a command. On a terminal it always ends with 0: its user saw the
errors."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "try things with chunks of a context, at a prompt"
    parser = add_verb(sub, "shell", what, _DESCRIPTION, _EPILOG)
    parser.add_argument("context", type=context_name, metavar="CONTEXT", help="name of the context")
    parser.add_argument(
        "--replay", metavar="FILE", help="run a recorded sequence; `-` is standard input"
    )
    parser.add_argument("--record", metavar="FILE", help="write all commands to a new file")
    parser.add_argument(
        "--deadline", type=seconds, metavar="SECONDS", help="of each allocation (default: 10)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Converse, or replay; all chunks are freed at the end."""
    with (
        Context(args.context) as context,
        Session(context, deadline=args.deadline, show=say) as session,
    ):
        if args.record is not None:
            session.record(args.record)
        if args.replay is None:
            return converse(session, context.name)
        return _replay(session, args.replay)


def _replay(session: Session, path: str) -> int:
    if path == "-":
        session.replay(read_sequence("/dev/stdin"), "standard input")
    else:
        session.replay(read_sequence(path), path)
    return 0
