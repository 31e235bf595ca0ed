# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""kmod/plan_pack.c and plan_settle.c: a plan wherever pieces can be packed, as a judge says."""

from __future__ import annotations

from hil.packing import Chunk, has_room
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unit.kernel.planner import Piece, Plan, pack_plan
from unit.plan_case import Case, carry_out, cases, free


def can_be_packed(case: Case) -> bool:
    """Ask the judge, who knows nothing of how to get there."""
    chunks = [
        Chunk(piece.start - case.pages.start, piece.count, piece.align, piece.fixed)
        for piece in case.pieces
    ]
    return has_room(len(case.pages), chunks, case.count)


def largest(case: Case) -> int:
    """Return the length of the largest piece that may move."""
    return max((piece.count for piece in case.pieces if not piece.fixed), default=0)


@st.composite
def tight(draw: st.DrawFn, most_pieces: int) -> Case:
    """Draw a map without alignments, and a request for what is free in it, or almost all."""
    pieces: list[Piece] = []
    at = start = draw(st.integers(0, 9))
    for _ in range(draw(st.integers(2, most_pieces))):
        at += draw(st.sampled_from([0, 0, 0, 1, 2, 4]))
        pieces.append(Piece(at, draw(st.integers(1, 6)), 1, draw(st.integers(0, 3)) == 0))
        at += pieces[-1].count
    pages = range(start, at + draw(st.integers(0, 9)))
    unused = free(pages, pieces)
    wanted = unused - draw(st.sampled_from([0, 0, 1, 2]))
    assume(wanted > 0)
    return Case(pages, tuple(pieces), wanted, 1)


@given(cases(60, 20) | cases(60, 20, aligned=False) | tight(20), st.integers(0, 3000))
@settings(max_examples=600)
def test_packing_can_be_carried_out(case: Case, budget: int) -> None:
    plan = case.pack(budget)
    if plan.place is not None:
        carry_out(case, plan)
        assert plan.cost == sum(case.pieces[index].count for index, _ in plan.moves)


@given(tight(12))
@settings(max_examples=1000)
def test_packing_is_found_if_there_is_one_and_room_to_change_places(case: Case) -> None:
    """Room for the largest piece twice is what a context three quarters full has."""
    assume(free(case.pages, case.pieces) >= 2 * largest(case))
    plan = case.pack()
    assert not plan.exhausted
    assert (plan.place is not None) == can_be_packed(case)


@given(tight(12))
@settings(max_examples=300)
def test_nothing_is_found_where_nothing_can_be_packed(case: Case) -> None:
    assert case.pack().place is None or can_be_packed(case)


@given(tight(12), st.integers(0, 60))
@settings(max_examples=300)
def test_exhausted_budget_is_told(case: Case, budget: int) -> None:
    few, most = case.pack(budget), case.pack()
    assert few.exhausted or (few.place is None) == (most.place is None)


def test_pieces_change_places_through_a_third_bin() -> None:
    """Both bins are full, so one of the two pieces moves twice."""
    here, there = Piece(0, 3), Piece(4, 2)
    posts = (Piece(3, 1, 1, True), Piece(7, 1, 1, True))
    case = Case(range(0, 13), (here, posts[0], there, Piece(6, 1), posts[1], Piece(10, 1)), 4, 1)
    plan = case.pack()
    carry_out(case, plan)


def test_bins_are_filled_with_hundreds_of_pieces() -> None:
    posts = [Piece(200 * i, 1, 1, True) for i in range(1, 6)]
    here = [Piece(200 * i + 1 + 4 * k, 1 + k % 4) for i in range(5) for k in range(49)]
    there = [Piece(1001 + 4 * k, 3) for k in range(130)]
    pieces = sorted([*posts, *here, Piece(199, 1), *there], key=lambda piece: piece.start)
    pages = range(0, 1600)
    case = Case(pages, tuple(pieces), free(pages, pieces), 1)
    carry_out(case, case.pack())


def test_packing_ends_when_it_may_not_go_on() -> None:
    """It asks again and again, so it takes no longer than what is between two questions."""
    pieces = [Piece(3 * i, 1 + i % 2, 1, i % 5 == 0) for i in range(3000)]
    asked = (range(0, 9000), pieces, 12)
    for questions in (0, 1, 10):
        plan = pack_plan(*asked, questions=questions)
        assert (plan.place, plan.moves, plan.ended) == (None, (), True)
    assert not pack_plan(*asked, questions=1_000_000).ended


def test_nothing_moves_where_the_request_fits() -> None:
    case = Case(range(0, 9), (Piece(0, 2), Piece(5, 1, 1, True)), 3, 1)
    assert case.pack() == Plan(2, (), 0, False)
