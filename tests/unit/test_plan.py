# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""kmod/plan.c, the same file that the kernel runs: its plans are carried out page by page."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.kernel.planner import Piece, Plan, make_plan
from unit.plan_case import Case, carry_out, cases, free


class Arrangements:
    """All that can become of a map in which every piece may move once; pages are bits."""

    def __init__(self, case: Case) -> None:
        self.pages, self.pieces = case.pages, case.pieces
        self.places = [self.bits(at, case.count) for at in self.fits(case.count, case.align)]
        self.spots = [
            []
            if piece.fixed
            else [self.bits(at, piece.count) for at in self.fits(piece.count, piece.align)]
            for piece in case.pieces
        ]
        self.start = tuple(self.bits(piece.start, piece.count) for piece in case.pieces)

    def bits(self, start: int, count: int) -> int:
        return ((1 << count) - 1) << (start - self.pages.start)

    def fits(self, count: int, align: int) -> list[int]:
        return [at for at in self.pages if at % align == 0 and at + count <= self.pages.stop]

    def after_one_move(self, now: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
        for index, piece in enumerate(self.pieces):
            others = sum(now) - now[index]
            if now[index] == self.start[index]:
                for spot in self.spots[index]:
                    if not spot & others:
                        yield piece.count, (*now[:index], spot, *now[index + 1 :])

    def fewest_moved(self) -> int | None:
        """Return how many pages must move, or None if nothing makes the request fit."""
        costs = {self.start: 0}
        queue = [(0, self.start)]
        while queue:
            cost, now = heapq.heappop(queue)
            if any(not place & sum(now) for place in self.places):
                return cost
            for more, then in self.after_one_move(now):
                if costs.get(then, cost + more + 1) > cost + more:
                    costs[then] = cost + more
                    heapq.heappush(queue, (cost + more, then))
        return None


budgets = st.sampled_from([0, 30, 300, 3000, 30_000])


@given(cases(60, 20) | cases(60, 20, aligned=False), budgets)
@settings(max_examples=300)
def test_plan_can_be_carried_out(case: Case, budget: int) -> None:
    plan = case.plan(budget)
    if plan.place is not None:
        carry_out(case, plan)


@given(cases(60, 20), budgets)
@settings(max_examples=200)
def test_nothing_moves_twice_and_every_page_is_counted(case: Case, budget: int) -> None:
    plan = case.plan(budget)
    moved = [index for index, _ in plan.moves]
    assert len(set(moved)) == len(moved)
    assert plan.cost == sum(case.pieces[index].count for index in moved)


@given(cases(200, 30, (1,), (False,)))
@settings(max_examples=200)
def test_free_pages_are_enough_where_nothing_is_fixed_or_aligned(case: Case) -> None:
    assert (case.plan(0).place is not None) == (case.count <= free(case.pages, case.pieces))


def test_thousands_of_pieces_make_way_for_a_request_for_all_free_pages() -> None:
    pieces = tuple(Piece(3 * i, 1 + i % 2) for i in range(4000))
    pages = range(0, 12_000)
    case = Case(pages, pieces, free(pages, pieces), 1)
    carry_out(case, case.plan())


def test_a_long_plan_is_given_up_when_it_is_told_to() -> None:
    """It asks again and again, so it takes no longer than what is between two questions."""
    pieces = tuple(Piece(3 * i, 1 + i % 2) for i in range(2000))
    pages = range(0, 6000)
    asked = (pages, pieces, free(pages, pieces))
    for questions in (0, 1, 10):
        plan = make_plan(*asked, questions=questions)
        assert (plan.place, plan.moves, plan.ended) == (None, (), True)
    assert not make_plan(*asked, questions=1_000_000).ended


def test_piece_goes_beyond_a_fixed_one_after_others_are_compacted_there() -> None:
    here = (Piece(0, 3), Piece(5, 3))
    there = (Piece(13, 2), Piece(17, 2, 1, True))
    case = Case(range(0, 19), (*here, Piece(10, 1, 1, True), *there), 7, 1)
    plan = case.plan(0)
    carry_out(case, plan)
    assert {move.piece for move in plan.moves} > {3}


def test_hundreds_of_pieces_stay_where_one_can_make_way() -> None:
    rows = [Piece(3 * i, 2) for i in range(500)]
    case = Case(
        range(0, 1541),
        (*rows[:250], Piece(770, 1), *(Piece(piece.start + 41, 2) for piece in rows[250:])),
        41,
        1,
    )
    plan = case.plan()
    carry_out(case, plan)
    assert plan.cost == 1


def test_two_pieces_do_not_wait_for_each_other() -> None:
    """Piece 1 could go to page 8 and piece 0 to page 11, if both went at once."""
    case = Case(range(8, 16), (Piece(9, 3), Piece(12, 3, 4)), 2, 2)
    assert case.plan() == Plan(None, (), 0, False)


@given(cases(16, 6))
@settings(max_examples=600)
def test_plan_is_the_cheapest(case: Case) -> None:
    plan = case.plan()
    assert not plan.exhausted
    assert (plan.cost if plan.place is not None else None) == Arrangements(case).fewest_moved()


@given(cases(16, 6), st.integers(0, 500))
@settings(max_examples=200)
def test_exhausted_budget_is_told(case: Case, budget: int) -> None:
    few, most = case.plan(budget), case.plan()
    assert few.exhausted or (few.cost, few.place is None) == (most.cost, most.place is None)


@given(cases(60, 20))
def test_request_that_fits_moves_nothing(case: Case) -> None:
    stays = Case(case.pages, case.pieces, 1, 1, case.bits)
    if free(case.pages, case.pieces):
        assert stays.plan(0) == Plan(stays.plan(0).place, (), 0, False)


def test_empty_map_is_given_whole() -> None:
    assert Case(range(3, 20), (), 17, 1).plan() == Plan(3, (), 0, False)


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("beyond", [1, None])
def test_request_larger_than_the_map_has_no_plan(bits: int, beyond: int | None) -> None:
    pages = range((1 << bits) - 33, (1 << bits) - 1)
    count = len(pages) + beyond if beyond else (1 << bits) - 1
    for align in (1, 1 << (bits - 1)):
        case = Case(pages, (Piece(pages.start + 9, 4),), count, align, bits)
        assert case.plan() == Plan(None, (), 0, False)


@pytest.mark.parametrize(("count", "bits"), [((1 << 32) - 1, 32), (1 << 62, 64)])
def test_search_of_a_map_without_limits_ends_with_its_budget(count: int, bits: int) -> None:
    pieces = (Piece(count // 2, 4, 1, True), Piece(count // 2 + 9, 4))
    plan = Case(range(0, count), pieces, count // 2 + 1, 1, bits).plan()
    assert plan == Plan(None, (), 0, True)
