# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent alloc`: allocate chunks by hand, look at them, hold them; by a prompt, or at once."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict

from cm_agent.cli._arguments import (
    Subparsers,
    add_common,
    context_name,
    positive_int,
    request,
    seconds,
    show_verification,
)
from cm_agent.cli.shell.prompt import converse
from cm_agent.cli.shell.session import Session, read_sequence
from cm_agent.contiguity.verification import Verdict, Verification, verify
from cm_agent.core.buffer import Buffer, encode_name
from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError, CommandError, UsageError
from cm_agent.core.size import format_size

_EPILOG = """\
With SIZE, chunks are allocated at once. Without SIZE, on a terminal or with --interactive, a prompt
takes commands: `help` lists them, `record FILE` writes down what was done, and --replay FILE does
it again until a command fails. All chunks are freed at the end.
Exit codes: 0 all is well, or a person was at the prompt; 1 something failed; 2 bad usage, or a line
that is no command."""
_AT_ONCE = ("count", "name", "verify", "hold", "json")


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser(
        "alloc",
        help="allocate chunks and try things with them",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("context", type=context_name, metavar="CONTEXT")
    parser.add_argument(
        "request", type=request, nargs="?", metavar="SIZE[/ALIGN]", help="as in 8MiB/1MiB"
    )
    _add_session(parser)
    parser.add_argument("--deadline", type=seconds, metavar="SECONDS", help="default: 10")
    once = parser.add_argument_group("with SIZE")
    once.add_argument("--count", type=positive_int, metavar="N", help="default: 1")
    once.add_argument("--name", type=_name, metavar="TEXT", help="name of the buffers")
    once.add_argument("--verify", action="store_true", help="verify every chunk")
    once.add_argument("--hold", type=seconds, metavar="SECONDS", help="keep the chunks so long")
    add_common(parser)
    parser.set_defaults(run=run)


def _add_session(parser: argparse.ArgumentParser) -> None:
    session = parser.add_argument_group("without SIZE").add_mutually_exclusive_group()
    session.add_argument(
        "-i",
        "--interactive",
        action="store_true",
        help="take commands from standard input, also when it is no terminal",
    )
    session.add_argument(
        "--replay", metavar="FILE", help="do a recorded sequence; - is standard input"
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
        raise UsageError("give SIZE, or --interactive or --replay, as this is no terminal")


def _session(args: argparse.Namespace) -> int:
    """Converse, or replay; all chunks are freed at the end."""
    with (
        Context(args.context) as context,
        Session(context, deadline=args.deadline) as session,
    ):
        if args.replay is None:
            return converse(session, context.name)
        return _replay(session, args.replay)


def _replay(session: Session, path: str) -> int:
    try:
        if path == "-":
            session.replay(read_sequence("/dev/stdin"), "standard input")
        else:
            session.replay(read_sequence(path), path)
    except CommandError as error:
        sys.stdout.flush()
        print(f"cm-agent alloc: {error}", file=sys.stderr)
        return 1
    return 0


def _at_once(args: argparse.Namespace) -> int:
    """Allocate until the count is reached or one fails; all chunks are freed at the end."""
    failure: OSError | None = None
    buffers: list[Buffer] = []
    with ExitStack() as held:
        context = held.enter_context(Context(args.context))
        size, alignment = args.request
        try:
            while len(buffers) < (args.count or 1):
                buffer = context.alloc(size, alignment, deadline=args.deadline, name=args.name)
                buffers.append(held.enter_context(buffer))
        except OSError as error:
            failure = error
        verifications = [verify(buffer, context) for buffer in buffers] if args.verify else []
        report = _report_json if args.json else _report
        report(context, buffers, verifications, failure)
        sys.stdout.flush()
        if args.hold:
            with suppress(KeyboardInterrupt):
                time.sleep(args.hold)
    proven = all(v.verdict is Verdict.CONTIGUOUS for v in verifications)
    return 0 if failure is None and proven else 1


def _name(text: str) -> str:
    try:
        encode_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _report(
    context: Context,
    buffers: list[Buffer],
    verifications: list[Verification],
    failure: OSError | None,
) -> None:
    for buffer in buffers:
        alignment = format_size(context.info(buffer).alignment)
        print(f"chunk {buffer.id}: {format_size(buffer.size)}, aligned to {alignment}")
    for verification in verifications:
        show_verification(verification, as_json=False)
    state = context.query()
    print(f"free: {format_size(state.free)}, largest hole {format_size(state.largest_hole)}")
    if failure is not None:
        print(f"cm-agent alloc: {failure.strerror}", file=sys.stderr)


def _report_json(
    context: Context,
    buffers: list[Buffer],
    verifications: list[Verification],
    failure: OSError | None,
) -> None:
    error = None
    if failure is not None:
        reason = failure.reason.name if isinstance(failure, AllocationError) else None
        error = {"errno": failure.errno, "reason": reason, "message": failure.strerror}
    document = {
        "chunks": [asdict(context.info(buffer)) for buffer in buffers],
        "verifications": [verification.to_json() for verification in verifications],
        "state": asdict(context.query()),
        "error": error,
    }
    print(json.dumps(document, indent=2))
