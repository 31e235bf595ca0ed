# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A planner of kmod/plan.c, driven from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count as count_up
from typing import Any, NamedTuple

from unit.kernel.host import load

BUDGET = 500_000
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
    exhausted: bool
    ended: bool = False


def make_plan(
    pages: range,
    pieces: Sequence[Piece],
    count: int,
    align: int = 1,
    *,
    budget: int = BUDGET,
    bits: int = 64,
    questions: int | None = None,
) -> Plan:
    """Return what cm_plan_make() plans.

    questions: how often it is told to go on when it asks; None for always.
    """
    return _plan("cm_plan_make", pages, pieces, count, align, budget, bits, questions)


def pack_plan(
    pages: range,
    pieces: Sequence[Piece],
    count: int,
    align: int = 1,
    *,
    budget: int = BUDGET,
    bits: int = 64,
    questions: int | None = None,
) -> Plan:
    """Return what cm_plan_pack() plans."""
    return _plan("cm_plan_pack", pages, pieces, count, align, budget, bits, questions)


def _plan(
    function: str,
    pages: range,
    pieces: Sequence[Piece],
    count: int,
    align: int,
    budget: int,
    bits: int,
    questions: int | None,
) -> Plan:
    """Return what the C code plans; check that it stays within the memory that it was given."""
    ffi, lib = load("plan", bits)
    slot_count = lib.cm_plan_slots(len(pieces))
    slots = ffi.new("struct cm_slot[]", slot_count + 1)
    move_count = lib.cm_plan_moves(len(pieces))
    moves = ffi.new("struct cm_move[]", move_count + 1)
    for memory in (slots, moves):
        ffi.memmove(memory, bytes([GARBAGE]) * ffi.sizeof(memory), ffi.sizeof(memory))
    c_pieces = ffi.new("struct cm_piece[]", [asdict(piece) for piece in pieces])
    left = iter(range(questions)) if questions is not None else count_up()

    @ffi.callback("bool(const void *)")
    def go_on(_: object) -> bool:
        return next(left, None) is not None

    plan: Any = ffi.new(
        "struct cm_plan *",
        {
            "start": pages.start,
            "count": len(pages),
            "pieces": c_pieces,
            "piece_count": len(pieces),
            "slots": slots,
            "moves": moves,
            "go_on": go_on,
        },
    )
    found = getattr(lib, function)(plan, count, align, budget)
    for last in (slots[slot_count : slot_count + 1], moves[move_count : move_count + 1]):
        assert set(bytes(ffi.buffer(last))) == {GARBAGE}
    if not found:
        return Plan(None, (), 0, plan.exhausted, plan.ended)
    made = [Move(move.piece, move.to) for move in moves[0 : plan.move_count]]
    return Plan(plan.place, tuple(made), plan.cost, plan.exhausted, plan.ended)
