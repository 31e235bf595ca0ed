# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent verify`: is what a context gives, or what another process holds, contiguous?"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from cm_agent.cli._arguments import add_common, alarms, context_name, positive_int, request
from cm_agent.cli._output import Problem, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.contiguity.verification import Verdict, Verification, verify
from cm_agent.core.context import Context, contexts
from cm_agent.core.errors import UsageError
from cm_agent.diagnose import foreign

_SIZE = 1 << 20
_DESCRIPTION = """\
Prove that buffers are contiguous, by three witnesses: the kernel's attestation, pagemap, and a
pattern that kernel and user write and read. A chunk of each SIZE is allocated, verified and freed,
without SIZE one of 1 MiB, or of the largest hole if that is smaller. With --pid and --fd, a dma-buf
of another process is verified."""
_EPILOG = """\
The dma-buf of another process is only read, unless --pattern is given: the pattern overwrites it,
and the old content is restored afterwards. What others write in the meantime is lost.
Exit codes: 0 all are CONTIGUOUS; 1 one is not, or could not be allocated; 2 an error in the
arguments, or there is no such context or descriptor."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = add_verb(sub, "verify", "prove that buffers are contiguous", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "context",
        type=context_name,
        nargs="?",
        metavar="CONTEXT",
        help="where the chunks come from; with --pid, any context, or none",
    )
    parser.add_argument(
        "sizes",
        type=request,
        nargs="*",
        metavar="SIZE[/ALIGN]",
        help="as in 8MiB/1MiB (default: 1MiB)",
    )
    parser.add_argument("--pid", type=positive_int, metavar="PID", help="process with the dma-buf")
    parser.add_argument("--fd", type=int, metavar="N", help="its descriptor in that process")
    parser.add_argument(
        "--pattern", action="store_true", help="write the pattern to the dma-buf of --pid, too"
    )
    parser.add_argument(
        "--dma-bits",
        type=_dma_bits,
        default=64,
        metavar="BITS",
        help="address bits of the device that is to reach the buffer (default: %(default)s)",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify what the arguments name and print every verdict."""
    _check(args)
    problems: list[Problem] = []
    verifications = [_foreign(args)] if args.pid is not None else _own(args, problems)
    return show(
        args,
        [verification.to_json() for verification in verifications],
        [verification.describe() for verification in verifications],
        [*problems, *alarms(verifications)],
        ok=all(it.verdict is Verdict.CONTIGUOUS for it in verifications),
    )


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
    if args.pid is None and not args.context:
        raise UsageError("give CONTEXT, or --pid and --fd")
    if args.pattern and args.pid is None:
        raise UsageError("--pattern is for --pid; a chunk of our own always gets the pattern")


def _own(args: argparse.Namespace, problems: list[Problem]) -> list[Verification]:
    """Verify a chunk of each size, until one fails."""
    verifications = []
    with Context(args.context) as context:
        try:
            for size, alignment in args.sizes or [(_fitting(context), 0)]:
                with context.alloc(size, alignment, name="cm-agent verify") as buffer:
                    found = verify(buffer, context, dma_bits=args.dma_bits, preserve=False)
                    verifications.append(found)
        except OSError as error:
            problems.append(Problem.of(error, args.context))
    return verifications


def _fitting(context: Context) -> int:
    """Return a size for which no chunk has to be moved; when nothing is free, one that fails."""
    return min(_SIZE, context.query().largest_hole) or _SIZE


def _foreign(args: argparse.Namespace) -> Verification:
    name = args.context or next(iter(contexts()), None)
    with ExitStack() as held:
        buffer = held.enter_context(foreign.take(args.pid, args.fd))
        context = held.enter_context(Context(name)) if name else None
        return verify(buffer, context, dma_bits=args.dma_bits, write=args.pattern)
