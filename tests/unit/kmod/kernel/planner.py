# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A planner of kmod/plan.c, driven from Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, NamedTuple

from unit.kmod.kernel.host import SANITIZED, load

GARBAGE = 0xA5


@dataclass(frozen=True)
class Piece:
    """What is taken, in page frames."""

    start: int
    count: int
    align: int = 1
    fixed: bool = False


class Move(NamedTuple):
    """One step of a plan."""

    piece: int
    to: int


@dataclass(frozen=True)
class Plan:
    """How to make a request fit; place is None if no way was found."""

    place: int | None
    moves: tuple[Move, ...]
    cost: int


NO_PLAN = Plan(None, (), 0)


def make_plan(
    pages: range, pieces: Sequence[Piece], count: int, align: int = 1, *, bits: int = 64
) -> Plan:
    """Return what cm_plan_make() plans."""
    ffi, lib = load("plan", bits)
    return _run(ffi, lib, pages, pieces, lambda plan: lib.cm_plan_make(plan, count, align))


def make_largest(pages: range, pieces: Sequence[Piece], align: int = 1, *, bits: int = 64) -> Plan:
    """Return what cm_plan_largest() plans."""
    ffi, lib = load("plan", bits)
    return _run(ffi, lib, pages, pieces, lambda plan: lib.cm_plan_largest(plan, align))


class Timed(NamedTuple):
    """A plan, and what it took to make it."""

    plan: Plan
    steps: int
    seconds: float


def make_timed(
    pages: range,
    pieces: Sequence[Piece],
    count: int,
    align: int = 1,
    *,
    flags: tuple[str, ...] = SANITIZED,
) -> Timed:
    """Return what cm_plan_make() plans, with its steps; cm_plan_largest() for a count of 0."""
    ffi, lib = load("plan", flags=flags)
    steps, took = 0, 0.0

    def timed(plan: Any) -> bool:
        nonlocal steps, took
        begin = perf_counter()
        found = lib.cm_plan_make(plan, count, align) if count else lib.cm_plan_largest(plan, align)
        took = perf_counter() - begin
        steps = plan.steps
        return bool(found)

    made = _run(ffi, lib, pages, pieces, timed)
    return Timed(made, steps, took)


def _run(
    ffi: Any, lib: Any, pages: range, pieces: Sequence[Piece], function: Callable[[Any], bool]
) -> Plan:
    """Return what a function plans; check that it stays within the memory that it was given."""
    scratch = ffi.new("struct cm_plan_scratch[]", len(pieces) + 1)
    moves = ffi.new("struct cm_move[]", len(pieces) + 1)
    for memory in (scratch, moves):
        ffi.memmove(memory, bytes([GARBAGE]) * ffi.sizeof(memory), ffi.sizeof(memory))
    c_pieces = ffi.new("struct cm_piece[]", [asdict(piece) for piece in pieces])
    plan: Any = ffi.new(
        "struct cm_plan *",
        {
            "start": pages.start,
            "count": len(pages),
            "pieces": c_pieces,
            "piece_count": len(pieces),
            "scratch": scratch,
            "moves": moves,
            "move_count": len(pieces) + 1,
        },
    )
    found = function(plan)
    for memory in (scratch, moves):
        last = memory[len(pieces) : len(pieces) + 1]
        assert set(bytes(ffi.buffer(last))) == {GARBAGE}
    if not found:
        assert plan.move_count == 0
        return NO_PLAN
    made = [Move(move.piece, move.to) for move in moves[0 : plan.move_count]]
    return Plan(plan.place, tuple(made), plan.cost)
