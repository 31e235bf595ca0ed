# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent alloc`: allocate chunks by hand, look at them, hold them; by a prompt, or at once."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict

from cm_agent.cli._arguments import add_common, alarms, context_name, positive_int, request, seconds
from cm_agent.cli._output import Problem, say, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.cli.shell.prompt import converse
from cm_agent.cli.shell.session import Session, read_sequence
from cm_agent.contiguity.verification import Verdict, Verification, verify
from cm_agent.core.buffer import Buffer, encode_name
from cm_agent.core.context import Context
from cm_agent.core.errors import UsageError
from cm_agent.core.reports import ChunkInfo, ContextState
from cm_agent.core.size import format_size

_DESCRIPTION = """\
Allocate chunks from a context, and free them at the end. With SIZE, they are allocated at once.
Without SIZE, on a terminal or with --interactive, a prompt takes commands: `help` lists them, and
`record FILE` writes them to a file. --replay FILE runs such a file until a command fails."""
_EPILOG = """\
Exit codes: 0 all chunks were allocated and, with --verify, are CONTIGUOUS; 1 not all, or a command
of the prompt or the replay failed; 2 an error in the arguments, or a line that is not a command. A
prompt on a terminal always ends with 0: its user saw the errors."""
_AT_ONCE = ("count", "name", "verify", "hold", "json")


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = add_verb(
        sub, "alloc", "allocate chunks and try things with them", _DESCRIPTION, _EPILOG
    )
    parser.add_argument("context", type=context_name, metavar="CONTEXT", help="name of the context")
    parser.add_argument(
        "request", type=request, nargs="?", metavar="SIZE[/ALIGN]", help="as in 8MiB/1MiB"
    )
    _add_session(parser)
    parser.add_argument(
        "--deadline", type=seconds, metavar="SECONDS", help="of each allocation (default: 10)"
    )
    once = parser.add_argument_group("with SIZE")
    once.add_argument(
        "--count", type=positive_int, metavar="N", help="number of chunks (default: 1)"
    )
    once.add_argument("--name", type=_name, metavar="TEXT", help="name of the chunks")
    once.add_argument("--verify", action="store_true", help="verify every chunk")
    once.add_argument(
        "--hold",
        type=seconds,
        metavar="SECONDS",
        help="keep the chunks for this long, or until Ctrl-C",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def _add_session(parser: argparse.ArgumentParser) -> None:
    session = parser.add_argument_group("without SIZE").add_mutually_exclusive_group()
    session.add_argument(
        "-i",
        "--interactive",
        action="store_true",
        help="take commands from standard input, even if it is not a terminal",
    )
    session.add_argument(
        "--replay", metavar="FILE", help="run a recorded sequence; `-` is standard input"
    )


def run(args: argparse.Namespace) -> int:
    """Do what the arguments ask for: chunks at once, a prompt, or a recorded sequence."""
    _check(args)
    return _at_once(args) if args.request else _session(args)


def _check(args: argparse.Namespace) -> None:
    if args.request:
        if args.interactive or args.replay is not None:
            raise UsageError(
                "SIZE: leave it out for --interactive or --replay, and use their `alloc`"
            )
        return
    for option in _AT_ONCE:
        if getattr(args, option):
            raise UsageError(f"--{option} goes with SIZE; a session has commands for it")
    if not args.interactive and args.replay is None and not sys.stdin.isatty():
        raise UsageError("give SIZE, --interactive or --replay: standard input is not a terminal")


def _session(args: argparse.Namespace) -> int:
    """Converse, or replay; all chunks are freed at the end."""
    with (
        Context(args.context) as context,
        Session(context, deadline=args.deadline, show=say) as session,
    ):
        if args.replay is None:
            return converse(session, context.name)
        return _replay(session, args.replay)


def _replay(session: Session, path: str) -> int:
    if path == "-":
        session.replay(read_sequence("/dev/stdin"), "standard input")
    else:
        session.replay(read_sequence(path), path)
    return 0


def _at_once(args: argparse.Namespace) -> int:
    """Allocate until the count is reached or one fails; all chunks are freed at the end."""
    buffers: list[Buffer] = []
    problems: list[Problem] = []
    with ExitStack() as held:
        context = held.enter_context(Context(args.context))
        size, alignment = args.request
        try:
            while len(buffers) < (args.count or 1):
                buffer = context.alloc(size, alignment, deadline=args.deadline, name=args.name)
                buffers.append(held.enter_context(buffer))
        except OSError as error:
            problems.append(Problem.of(error, args.context))
        verifications = [verify(buffer, context) for buffer in buffers] if args.verify else []
        code = _show(args, context, buffers, verifications, problems)
        if args.hold:
            with suppress(KeyboardInterrupt):
                time.sleep(args.hold)
    return code


def _show(
    args: argparse.Namespace,
    context: Context,
    buffers: list[Buffer],
    verifications: list[Verification],
    problems: list[Problem],
) -> int:
    chunks = [context.info(buffer) for buffer in buffers]
    state = context.query()
    result = {
        "chunks": [asdict(chunk) for chunk in chunks],
        "verifications": [verification.to_json() for verification in verifications],
        "state": asdict(state),
    }
    return show(
        args,
        result,
        _lines(chunks, verifications, state),
        [*problems, *alarms(verifications)],
        ok=all(it.verdict is Verdict.CONTIGUOUS for it in verifications),
    )


def _lines(
    chunks: list[ChunkInfo], verifications: list[Verification], state: ContextState
) -> Iterator[str]:
    for chunk in chunks:
        alignment = format_size(chunk.alignment)
        yield f"chunk {chunk.id}: {format_size(chunk.size)}, aligned to {alignment}"
    for verification in verifications:
        yield verification.describe()
    yield f"free: {format_size(state.free)}, largest hole {format_size(state.largest_hole)}"


def _name(text: str) -> str:
    try:
        encode_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
