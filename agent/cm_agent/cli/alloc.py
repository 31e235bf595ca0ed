# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent alloc`: allocate chunks, verify them, hold them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict

from cm_agent.cli._arguments import (
    add_common,
    alarms,
    buffer_name,
    context_name,
    positive_int,
    request,
    seconds,
)
from cm_agent.cli._output import Problem, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.contiguity.verification import Verdict, Verification, verify
from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.core.reports import ChunkInfo, ContextState
from cm_agent.core.size import format_size

_DESCRIPTION = """\
Allocate chunks from a context, show what was allocated, and free it at the end: at once, or with
--hold later. `cm-agent exec` gives chunks to a command; `cm-agent shell` is a prompt to try
things."""
_EPILOG = """\
Exit codes: 0 all chunks were allocated and, with --verify, are CONTIGUOUS; 1 not all; 2 an error in
the arguments, or there is no such context."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = add_verb(
        sub, "alloc", "allocate chunks, verify them, hold them", _DESCRIPTION, _EPILOG
    )
    parser.add_argument("context", type=context_name, metavar="CONTEXT", help="name of the context")
    parser.add_argument(
        "request", type=request, metavar="SIZE[/ALIGN]", help="of each chunk, as in 8MiB/1MiB"
    )
    parser.add_argument(
        "--deadline", type=seconds, metavar="SECONDS", help="of each allocation (default: 10)"
    )
    parser.add_argument(
        "--count",
        type=positive_int,
        default=1,
        metavar="N",
        help="number of chunks (default: %(default)s)",
    )
    parser.add_argument("--name", type=buffer_name, metavar="TEXT", help="name of the chunks")
    parser.add_argument("--verify", action="store_true", help="verify every chunk")
    parser.add_argument(
        "--hold",
        type=seconds,
        metavar="SECONDS",
        help="keep the chunks for this long, or until Ctrl-C",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Allocate until the count is reached or one fails; all chunks are freed at the end."""
    buffers: list[Buffer] = []
    problems: list[Problem] = []
    with ExitStack() as held:
        context = held.enter_context(Context(args.context))
        size, alignment = args.request
        try:
            while len(buffers) < args.count:
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
