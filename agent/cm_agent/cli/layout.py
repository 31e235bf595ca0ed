# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent layout`: a picture of a context, in text."""

from __future__ import annotations

import argparse
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from string import ascii_lowercase
from typing import Any

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import add_common, context_name
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.cli._places import Place, describe_offset, describe_state, places
from cm_agent.core.context import Context
from cm_agent.core.login import user_name
from cm_agent.core.reports import ContextState, LayoutEntry
from cm_agent.core.size import format_size

_COLUMNS, _ROWS = 64, 4
_HOLE = "."
_HEADINGS = ("IN PICTURE", "OFFSET", "SIZE", "STATE", "USER", "PROCESS", "NAME")
_DESCRIPTION = """\
Show where in a context the chunks lie, and the holes between them: first as a picture, in which
every character stands for as many bytes, then as a table."""
_EPILOG = """\
In the picture, `.` is a hole, a letter a chunk, and a capital letter a chunk that cannot be moved.
A character shows what most of its bytes are, so that a small chunk or hole may not be seen; the
table has all of them. After `z` comes `a` again.
Where chunks lie gives physical addresses away, so without CAP_SYS_RAWIO (root has it) there is only
the table, without offsets and holes, in the order of the places.
Exit codes: 0 it was shown; 1 it was not; 2 an error in the arguments, or there is no such
context."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "show where in a context the chunks lie, as a picture"
    parser = add_verb(sub, "layout", what, _DESCRIPTION, _EPILOG)
    parser.add_argument("context", type=context_name, metavar="CONTEXT", help="name of the context")
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the picture and the table."""
    with Context(args.context) as context:
        state, chunks = context.query(), context.layout()
    found = places(chunks, state.size)
    lines = _table_of(chunks) if found is None else _picture_and_table(state, found)
    return show(args, _result(state, chunks, found), lines)


def _result(
    state: ContextState, chunks: Sequence[LayoutEntry], found: list[Place] | None
) -> dict[str, Any]:
    holes = [
        {"offset": it.start, "size": it.end - it.start} for it in found or () if it.chunk is None
    ]
    return {
        "state": asdict(state),
        "chunks": [asdict(chunk) for chunk in chunks],
        "holes": None if found is None else holes,
    }


def _table_of(chunks: Sequence[LayoutEntry]) -> Iterator[str]:
    rows = [_row("", chunk) for chunk in chunks]
    yield "There is no picture: offsets are shown with CAP_SYS_RAWIO only (root has it)."
    yield from table.lines([_HEADINGS, *rows], "<>><<<<")


def _picture_and_table(state: ContextState, found: list[Place]) -> Iterator[str]:
    signs, starts = list(_signs(found)), [it.start for it in found]
    unit = _unit(state)
    yield f"{state.name}: {format_size(state.size)}, a character is {format_size(unit)}"
    for start in range(0, state.size, unit * _COLUMNS):
        end = min(start + unit * _COLUMNS, state.size)
        cells = [range(at, min(at + unit, end)) for at in range(start, end, unit)]
        drawn = "".join(signs[_most(found, starts, cell)] for cell in cells)
        yield f"{start:#12x} |{drawn}|"
    rows = [
        _row(sign, it.chunk) if it.chunk else _hole(it)
        for sign, it in zip(signs, found, strict=True)
    ]
    yield from table.lines([_HEADINGS, *rows], "<>><<<<")


def _unit(state: ContextState) -> int:
    """Return the bytes of a character: whole pages."""
    cells = _COLUMNS * _ROWS
    return -(-state.size // (cells * state.page_size)) * state.page_size


def _signs(found: list[Place]) -> Iterator[str]:
    """Yield a character for each place."""
    number = 0
    for place in found:
        if place.chunk is None:
            yield _HOLE
            continue
        letter = ascii_lowercase[number % len(ascii_lowercase)]
        number += 1
        yield letter.upper() if place.chunk.immovable else letter


def _most(found: list[Place], starts: list[int], cell: range) -> int:
    """Return the number of the place that has most of these bytes."""
    first, last = bisect_right(starts, cell.start) - 1, bisect_left(starts, cell.stop)
    within = range(first, last)
    return max(
        within,
        key=lambda at: min(found[at].end, cell.stop) - max(found[at].start, cell.start),
    )


def _row(sign: str, chunk: LayoutEntry) -> tuple[str, ...]:
    return (
        sign,
        describe_offset(chunk.offset),
        format_size(chunk.size),
        describe_state(chunk),
        user_name(chunk.uid),
        "hidden" if chunk.hidden else f"{chunk.comm}[{chunk.pid}]",
        chunk.name,
    )


def _hole(place: Place) -> tuple[str, ...]:
    size = format_size(place.end - place.start)
    return (_HOLE, describe_offset(place.start), size, "free", "", "", "")
