# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent verify`: is what a context gives, or what another process holds, contiguous?"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from cm_agent.cli._arguments import (
    Subparsers,
    add_common,
    context_name,
    positive_int,
    request,
    show_verification,
)
from cm_agent.contiguity.verification import Verdict, Verification, verify
from cm_agent.core.context import Context, contexts
from cm_agent.core.errors import UsageError
from cm_agent.diagnose import foreign

_EPILOG = """\
A chunk of every SIZE is allocated, verified and freed, or the dma-buf that process PID has as
descriptor N is verified. That one is only read, unless --pattern is given: the pattern overwrites
it and puts the old content back, and what others write meanwhile is lost.
With --json every verification is one line.
Exit codes: 0 all are CONTIGUOUS, 1 one is not or could not be allocated, 2 bad usage."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser(
        "verify",
        help="prove that buffers are contiguous",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "context",
        type=context_name,
        nargs="?",
        metavar="CONTEXT",
        help="whom to ask; with --pid any context will do",
    )
    parser.add_argument("sizes", type=request, nargs="*", metavar="SIZE[/ALIGN]")
    parser.add_argument("--pid", type=positive_int, metavar="PID", help="process with the dma-buf")
    parser.add_argument("--fd", type=int, metavar="N", help="its descriptor in that process")
    parser.add_argument("--pattern", action="store_true", help="write the dma-buf of --pid")
    parser.add_argument(
        "--dma-bits",
        type=_dma_bits,
        default=64,
        metavar="BITS",
        help="address bits of the device that must reach it (default: %(default)s)",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify what the arguments name and print every verdict."""
    _check(args)
    verdicts = _foreign(args) if args.pid is not None else _own(args)
    return 0 if all(verdict is Verdict.CONTIGUOUS for verdict in verdicts) else 1


def _dma_bits(text: str) -> int:
    bits = positive_int(text)
    if bits > 64:
        raise argparse.ArgumentTypeError(f"{text!r} is more than the 64 address bits there are")
    return bits


def _check(args: argparse.Namespace) -> None:
    if (args.pid is None) != (args.fd is None):
        raise UsageError("--pid and --fd go together")
    if args.pid is not None and args.sizes:
        raise UsageError("SIZE: a dma-buf of another process has its size; leave out SIZE or --pid")
    if args.pid is None and not args.sizes:
        raise UsageError("give CONTEXT and SIZE, or --pid and --fd")
    if args.pattern and args.pid is None:
        raise UsageError("--pattern is for --pid; a chunk of our own always gets the pattern")


def _own(args: argparse.Namespace) -> list[Verdict]:
    verdicts = []
    with Context(args.context) as context:
        for size, alignment in args.sizes:
            with context.alloc(size, alignment, name="cm-agent verify") as buffer:
                found = verify(buffer, context, dma_bits=args.dma_bits, preserve=False)
                verdicts.append(_shown(found, args))
    return verdicts


def _foreign(args: argparse.Namespace) -> list[Verdict]:
    name = args.context or next(iter(contexts()), None)
    with ExitStack() as held:
        buffer = held.enter_context(foreign.take(args.pid, args.fd))
        context = held.enter_context(Context(name)) if name else None
        found = verify(buffer, context, dma_bits=args.dma_bits, write=args.pattern)
        return [_shown(found, args)]


def _shown(verification: Verification, args: argparse.Namespace) -> Verdict:
    show_verification(verification, as_json=args.json)
    return verification.verdict
