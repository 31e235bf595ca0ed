# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent exec`: run a command that has descriptors of chunks."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from cm_agent.cli._arguments import buffer_name, context_name, request, seconds
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context, contexts
from cm_agent.core.errors import UsageError, explained

VARIABLE = "CM_FDS"
_COMM = Path("/proc/self/comm")
_COMM_LENGTH = 15
_DESCRIPTION = """\
Allocate chunks, and run a command that has their descriptors: the command takes the place of this
process, so that it has its pid, and its exit code is the command's. A chunk is freed when the last
process that has its descriptor, or a mapping of it, has ended."""
_EPILOG = f"""\
The environment variable {VARIABLE} has NAME:FD:SIZE for each chunk, with commas in between, in the
order of the options: the name that was given, else the number of the option from 1 on; the number
of the descriptor, which is a dma-buf's; the size in bytes, a multiple of the page size. Map it with
MAP_SHARED, and enclose what the CPU does in DMA_BUF_IOCTL_SYNC.
  cm-agent exec --context shared --alloc 8MiB,name=frames --alloc 64KiB -- env | grep {VARIABLE}
  {VARIABLE}=frames:4:8388608,2:5:65536
In Python: cm_agent.Context("shared").adopt(4).
Exit codes: those of the command. When it could not be run: 1 an allocation failed, or the system
refused; 2 an error in the arguments, or there is no such context or command."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A chunk that --alloc asks for; bytes, alignment 0 is the context's minimum."""

    size: int
    alignment: int
    name: str


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "run a command that has descriptors of chunks"
    parser = add_verb(sub, "exec", what, _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--alloc",
        type=_wanted,
        action="append",
        required=True,
        dest="wanted",
        metavar="SPEC",
        help="a chunk: SIZE[/ALIGN][,name=TEXT], as in 8MiB/1MiB,name=frames; may be repeated",
    )
    parser.add_argument(
        "--context",
        type=context_name,
        metavar="CONTEXT",
        help="where the chunks come from (default: the only context there is)",
    )
    parser.add_argument(
        "--deadline", type=seconds, metavar="SECONDS", help="of each allocation (default: 10)"
    )
    parser.add_argument(
        "command", nargs="+", metavar="COMMAND", help="the command and its arguments, after `--`"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Allocate all chunks, and become the command."""
    names = _names(args.wanted)
    with ExitStack() as held:
        context = held.enter_context(Context(args.context or _only_context()))
        # Lists of chunks show who asked for them: that is the command.
        with suppress(OSError):
            _COMM.write_bytes(os.fsencode(os.path.basename(args.command[0]))[:_COMM_LENGTH])
        buffers = [
            held.enter_context(
                context.alloc(it.size, it.alignment, deadline=args.deadline, name=it.name or None)
            )
            for it in args.wanted
        ]
        _become(args.command, names, buffers)
    return 0


def _wanted(text: str) -> Wanted:
    """Read SIZE[/ALIGN][,name=TEXT]."""
    size, comma, option = text.partition(",")
    key, _, name = option.partition("=")
    if comma and (key != "name" or not name):
        raise argparse.ArgumentTypeError(f"{text!r}: write SIZE[/ALIGN] or SIZE[/ALIGN],name=TEXT")
    if set(name) & set(",:"):
        raise argparse.ArgumentTypeError(f"{name!r}: neither ',' nor ':' can be in the name")
    return Wanted(*request(size), buffer_name(name))


def _names(wanted: Sequence[Wanted]) -> list[str]:
    names = [it.name or str(number) for number, it in enumerate(wanted, 1)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--alloc: two chunks are called {name!r}; give them other names")
    return names


def _only_context() -> str:
    there = contexts()
    if len(there) != 1:
        listed = ", ".join(there) or "none, see `cm-agent doctor`"
        raise UsageError(f"give --context: there is not one alone (there: {listed})")
    return there[0]


def _become(command: list[str], names: Sequence[str], buffers: Sequence[Buffer]) -> None:
    """Execute a command that has the buffers' descriptors; returns only by an exception."""
    for buffer in buffers:
        os.set_inheritable(buffer.fd, True)
    # Python ignores these, and a command would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    there = zip(names, buffers, strict=True)
    listed = ",".join(f"{name}:{buffer.fd}:{buffer.size}" for name, buffer in there)
    try:
        os.execvpe(command[0], command, os.environ | {VARIABLE: listed})
    except FileNotFoundError:
        raise UsageError(f"there is no command {command[0]!r}") from None
    except OSError as error:
        raise explained(error, f"command {command[0]!r} cannot be run") from None
