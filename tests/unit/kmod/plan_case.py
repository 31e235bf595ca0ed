# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Maps of pieces with a request, drawn for kmod/plan.c; plans are carried out move by move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from unit.kmod.kernel.invariants import Extent, check_map
from unit.kmod.kernel.planner import Piece, Plan, make_largest, make_plan


@dataclass(frozen=True)
class Case:
    """A map, and what is wanted of it."""

    pages: range
    pieces: tuple[Piece, ...]
    count: int
    align: int
    bits: int = 64

    @property
    def free(self) -> int:
        """Return how many pages nobody has."""
        return len(self.pages) - sum(piece.count for piece in self.pieces)

    def plan(self) -> Plan:
        """Return what cm_plan_make() plans."""
        return make_plan(self.pages, self.pieces, self.count, self.align, bits=self.bits)

    def largest(self) -> Plan:
        """Return what cm_plan_largest() plans, for which the count does not matter."""
        return make_largest(self.pages, self.pieces, self.align, bits=self.bits)

    def extents(self) -> dict[int, Extent]:
        """Return what is taken, by the number of the piece; where it is, it need not be aligned."""
        return {
            number: Extent(
                it.start, it.count, 1, f"piece {number}, {'fixed' if it.fixed else 'loose'}"
            )
            for number, it in enumerate(self.pieces)
        }


def carry_out(case: Case, plan: Plan) -> dict[int, Extent]:
    """Make the moves; check the map before and after each; return what is where in the end."""
    now = case.extents()
    fixed = [now[number] for number, piece in enumerate(case.pieces) if piece.fixed]
    used = len(case.pages) - case.free

    def check() -> None:
        check_map(case.pages, sorted(now.values()), used=used, stays=fixed)

    check()
    for number, to in plan.moves:
        now[number] = replace(now[number], start=to, align=case.pieces[number].align)
        check()
    return now


def check_plan(case: Case, plan: Plan) -> None:
    """Carry a plan out; check that the request then fits, and what the plan says of itself."""
    now = carry_out(case, plan)
    assert plan.place is not None and plan.place % case.align == 0
    wanted = range(plan.place, plan.place + case.count)
    check_map(case.pages, sorted(now.values()), free=wanted)
    moved = [number for number, _ in plan.moves]
    assert len({*moved}) == len(moved)
    assert plan.cost == sum(case.pieces[number].count for number in moved)
    assert all(case.pieces[number].start != to for number, to in plan.moves)


@st.composite
def maps(draw: st.DrawFn, count: int, bits: int) -> range:
    """Draw where a map of so many pages begins: at page 0, in the middle, up to the last number."""
    last = (1 << bits) - 1 - count
    start = draw(st.integers(0, 9) | st.integers(0, last) | st.integers(last - 9, last))
    return range(start, start + count)


@st.composite
def cases(
    draw: st.DrawFn,
    most_pages: int,
    most_pieces: int,
    aligns: Sequence[int] = (1, 2, 4),
    fixed: Sequence[bool] = (False, False, False, True),
    aligned: bool = True,
) -> Case:
    """Draw a map with pieces and a request, often for about as many pages as are free."""
    bits = draw(st.sampled_from([64, 32]))
    pages = draw(maps(draw(st.integers(most_pages // 2, most_pages)), bits))
    pieces: list[Piece] = []
    at = pages.start
    for _ in range(draw(st.integers(0, most_pieces) | st.just(most_pieces))):
        align = draw(st.sampled_from(aligns))
        at += draw(st.integers(0, 2))
        if aligned:
            at += -at % align
        piece = Piece(at, draw(st.integers(1, 3)), align, draw(st.sampled_from(fixed)))
        at += piece.count
        if at > pages.stop:
            break
        pieces.append(piece)
    unused = len(pages) - sum(piece.count for piece in pieces)
    wanted = draw(st.integers(unused // 2, unused) | st.integers(1, len(pages) + 1))
    return Case(pages, tuple(pieces), max(1, wanted), draw(st.sampled_from(aligns)), bits)
