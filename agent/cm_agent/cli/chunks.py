# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent chunks`: who holds what."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import add_common
from cm_agent.cli._contexts import add_contexts, ask_contexts
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.cli._places import describe_offset, describe_state
from cm_agent.core.attributes import bank_of
from cm_agent.core.context import Context
from cm_agent.core.login import user_name
from cm_agent.core.reports import LayoutEntry
from cm_agent.core.size import format_size
from cm_agent.diagnose.process import is_gone

_HEADINGS = ("CONTEXT", "USER", "PROCESS", "NAME", "SIZE", "STATE", "OFFSET", "BANK")
_TOTALS = ("USER", "CHUNKS", "SIZE", "IMMOVABLE")
_DESCRIPTION = """\
Show every chunk: the user it counts for, the process that asked for it, also when that has closed
its descriptors, its name and size, and the bank it lies in; then what each user has altogether."""
_EPILOG = """\
PROCESS is the name and, in brackets, the number that the process had when it asked. It is said to
be gone when it has ended, or when its number is that of a process of another name which has no
dma-buf; the chunk is then held by others, which have its descriptor or a mapping of it. `hidden`:
only root may know who has the chunks of other users.
STATE is `pinned` when a process knows the physical address, `mapped` when a driver uses the chunk,
`imported` when drivers have it and do not use it now, `immovable` when very many processes have it
mapped, and `draining` when it was freed, and its memory comes back once a transfer has ended. To
make a hole, what is pinned, mapped or immovable is not moved.
OFFSET is from the start of the context; `?`: only root may know.
Exit codes: 0 every context was asked; 1 one could not be, or there is none; 2 an error in the
arguments, or there is no such context."""


@dataclass(frozen=True, slots=True)
class Held:
    """A chunk of a context, and whether the process that asked for it is gone, None if unknown."""

    context: str
    bank: str | None
    gone: bool | None
    chunk: LayoutEntry


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = add_verb(sub, "chunks", "show who holds what", _DESCRIPTION, _EPILOG)
    add_contexts(parser)
    parser.add_argument(
        "--sort",
        choices=("place", "size"),
        default="place",
        metavar="KEY",
        help="`place` in each context, or `size`, the largest first (default: %(default)s)",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a line per chunk, and one per user."""
    answers, problems = ask_contexts(args.contexts, _ask)
    held = list(chain.from_iterable(answers))
    if args.sort == "size":
        held.sort(key=lambda it: it.chunk.size, reverse=True)
    users = _users(it.chunk for it in held)
    result = {"chunks": [_entry(it) for it in held], "users": users}
    lines = _lines(held, users) if held or not problems else ()
    return show(args, result, lines, problems)


def _ask(context: Context) -> list[Held]:
    bank = bank_of(context.name)
    return [Held(context.name, bank, _is_gone(it), it) for it in context.layout()]


def _is_gone(chunk: LayoutEntry) -> bool | None:
    return None if chunk.hidden else is_gone(chunk.pid, chunk.comm)


def _users(chunks: Iterable[LayoutEntry]) -> list[dict[str, Any]]:
    """Return what each user has, the one with the most bytes first."""
    users: dict[int, dict[str, Any]] = {}
    for it in chunks:
        nothing = {"uid": it.uid, "user": user_name(it.uid)} | _sums(0, 0, 0)
        user = users.setdefault(it.uid, nothing)
        fixed = it.size if it.immovable else 0
        for key, more in _sums(1, it.size, fixed).items():
            user[key] += more
    return sorted(users.values(), key=lambda user: user["bytes"], reverse=True)


def _sums(chunks: int, size: int, immovable: int) -> dict[str, int]:
    return {"chunks": chunks, "bytes": size, "immovable": immovable}


def _entry(it: Held) -> dict[str, Any]:
    whose = {"user": user_name(it.chunk.uid), "gone": it.gone}
    return {"context": it.context, "bank": it.bank} | asdict(it.chunk) | whose


def _lines(held: list[Held], users: list[dict[str, Any]]) -> Iterator[str]:
    if not held:
        yield "no chunks"
        return
    yield from table.lines([_HEADINGS, *map(_row, held)], "<<<<><><")
    yield ""
    yield from table.lines([_TOTALS, *map(_total, users)], "<>>>")


def _row(it: Held) -> tuple[str, ...]:
    chunk = it.chunk
    return (
        it.context,
        user_name(chunk.uid),
        "hidden" if chunk.hidden else f"{chunk.comm}[{chunk.pid}]{', gone' if it.gone else ''}",
        chunk.name,
        format_size(chunk.size),
        describe_state(chunk),
        describe_offset(chunk.offset),
        it.bank or "?",
    )


def _total(user: dict[str, Any]) -> tuple[str, ...]:
    sizes = (user["bytes"], user["immovable"])
    return (user["user"], str(user["chunks"]), *map(format_size, sizes))
