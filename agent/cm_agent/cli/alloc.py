# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent alloc`: allocate chunks by hand, look at them, hold them for a while."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict

from cm_agent.buffer import Buffer, encode_name
from cm_agent.cli._arguments import (
    Subparsers,
    add_common,
    context_name,
    positive_int,
    request,
    seconds,
    show_verification,
)
from cm_agent.context import Context
from cm_agent.contiguity import Verdict, Verification, verify
from cm_agent.errors import AllocationError
from cm_agent.size import format_size


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser("alloc", help="allocate chunks, hold them, give them back")
    parser.add_argument("context", type=context_name, metavar="CONTEXT")
    parser.add_argument("request", type=request, metavar="SIZE[/ALIGN]", help="as in 8MiB/1MiB")
    parser.add_argument("--count", type=positive_int, default=1, metavar="N")
    parser.add_argument("--name", type=_name, metavar="TEXT", help="name of the buffers")
    parser.add_argument("--deadline", type=seconds, metavar="SECONDS", help="default: 10")
    parser.add_argument("--verify", action="store_true", help="verify every chunk")
    parser.add_argument("--hold", type=seconds, metavar="SECONDS", help="keep the chunks so long")
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Allocate until the count is reached or one fails; all chunks are freed at the end."""
    failure: OSError | None = None
    buffers: list[Buffer] = []
    with ExitStack() as held:
        context = held.enter_context(Context(args.context, dev=args.dev))
        size, alignment = args.request
        try:
            while len(buffers) < args.count:
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
    print(f"left: {format_size(state.free)}, largest hole {format_size(state.largest_hole)}")
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
