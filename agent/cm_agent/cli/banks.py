# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent banks`: reserved memory, the contexts in it, and what is free for `create`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import add_common
from cm_agent.cli._output import Problem, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.attributes import bank_of, offset_of, size_of
from cm_agent.core.context import contexts
from cm_agent.core.devicetree import Bank, banks
from cm_agent.core.size import exact_size, format_size

_DESCRIPTION = """\
Show the reserved memory that the device tree has, which contexts are in it, and what is free for
`cm-agent create`, with the command that makes a context of it."""
_EPILOG = """\
Where in a bank a context begins is shown to root only, since it gives physical addresses away.
Exit codes: 0 there are banks; 1 there is none; 2 an error in the arguments."""


@dataclass(frozen=True, slots=True)
class Part:
    """A context's part of a bank: bytes from its start, None when only root may know."""

    context: str
    offset: int | None
    size: int


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "show the reserved memory, the contexts in it, and what is free"
    parser = add_verb(sub, "banks", what, _DESCRIPTION, _EPILOG)
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every bank with its parts."""
    found = [(bank, _parts(bank)) for bank in banks()]
    lines = (line for bank, parts in found for line in _lines(bank, parts))
    return show(args, [_entry(*it) for it in found], lines, [] if found else [_nothing()])


def _parts(bank: Bank) -> list[Part]:
    there = [name for name in contexts() if bank_of(name) == bank.name]
    parts = [Part(name, offset_of(name), size_of(name) or 0) for name in there]
    return sorted(parts, key=lambda part: part.offset or 0)


def _holes(bank: Bank, parts: Sequence[Part]) -> list[tuple[int, int]] | None:
    """Return offset and size of what is free; None when only root may know."""
    holes, end = [], 0
    if bank.obstacle or bank.size is None:
        return []
    for part in parts:
        if part.offset is None:
            return None
        if part.offset > end:
            holes.append((end, part.offset - end))
        end = part.offset + part.size
    return [*holes, (end, bank.size - end)] if bank.size > end else holes


def _entry(bank: Bank, parts: Sequence[Part]) -> dict[str, Any]:
    holes = _holes(bank, parts)
    free = [{"offset": offset, "size": size} for offset, size in holes or ()]
    return asdict(bank) | {
        "contexts": [asdict(part) for part in parts],
        "free": None if holes is None else free,
    }


def _lines(bank: Bank, parts: Sequence[Part]) -> Iterator[str]:
    size = "size unknown" if bank.size is None else format_size(bank.size)
    kinds = "shared and private contexts" if bank.reusable else "private contexts only"
    fit = f"no contexts: {bank.obstacle}" if bank.obstacle else kinds
    yield f"{bank.name}: {size}, for {fit}"
    rows = [*_rows(bank, parts)]
    if rows:
        yield from (f"  {line}" for line in table.lines(rows, ">><"))


def _rows(bank: Bank, parts: Sequence[Part]) -> Iterator[tuple[str, ...]]:
    holes = _holes(bank, parts)
    rows = [(part.offset or 0, part.size, f"context {part.context!r}") for part in parts]
    if holes is None:
        yield from (("?", format_size(size), what) for _, size, what in rows)
        free = (bank.size or 0) - sum(part.size for part in parts)
        if free:
            yield ("?", format_size(free), "free")
        return
    rows += [(*hole, f"free: cm-agent create NAME {_options(bank, *hole)}") for hole in holes]
    yield from ((format_size(at), format_size(size), what) for at, size, what in sorted(rows))


def _options(bank: Bank, offset: int, size: int) -> str:
    part = f" --offset {exact_size(offset)}" if offset else ""
    part += f" --size {exact_size(size)}" if offset + size != bank.size else ""
    return f"{bank.name}{part}{'' if bank.reusable else ' --private'}"


def _nothing() -> Problem:
    return Problem(
        "the device tree has no reserved memory; `cm-agent doctor` shows how to apply an overlay"
    )
