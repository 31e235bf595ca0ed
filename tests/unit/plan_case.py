# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Maps of pieces with a request, drawn for kmod/plan.c; plans are carried out page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from unit.kernel.planner import BUDGET, Piece, Plan, make_plan, pack_plan


@dataclass(frozen=True)
class Case:
    """A map, and what is wanted of it."""

    pages: range
    pieces: tuple[Piece, ...]
    count: int
    align: int
    bits: int = 64

    def plan(self, budget: int = BUDGET) -> Plan:
        """Return what cm_plan_make() plans."""
        return make_plan(
            self.pages, self.pieces, self.count, self.align, budget=budget, bits=self.bits
        )

    def pack(self, budget: int = BUDGET) -> Plan:
        """Return what cm_plan_pack() plans."""
        return pack_plan(
            self.pages, self.pieces, self.count, self.align, budget=budget, bits=self.bits
        )


def free(pages: range, pieces: Sequence[Piece]) -> int:
    """Return how many pages nobody has."""
    return len(pages) - sum(piece.count for piece in pieces)


def carry_out(case: Case, plan: Plan) -> None:
    """Move page by page; check that nothing is overwritten and that the request then fits."""
    owners = {
        page: index
        for index, piece in enumerate(case.pieces)
        for page in range(piece.start, piece.start + piece.count)
    }
    for index, to in plan.moves:
        piece = case.pieces[index]
        new = range(to, to + piece.count)
        assert not piece.fixed
        assert to % piece.align == 0
        assert new[0] in case.pages and new[-1] in case.pages
        assert all(owners.get(page, index) == index for page in new)
        for page in [page for page, owner in owners.items() if owner == index]:
            del owners[page]
        owners.update(dict.fromkeys(new, index))
    assert plan.place is not None and plan.place % case.align == 0
    wanted = range(plan.place, plan.place + case.count)
    assert wanted[0] in case.pages and wanted[-1] in case.pages
    assert owners.keys().isdisjoint(wanted)


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
    unused = free(pages, pieces)
    wanted = draw(st.integers(unused // 2, unused) | st.integers(1, len(pages) + 1))
    return Case(pages, tuple(pieces), max(1, wanted), draw(st.sampled_from(aligns)), bits)
