# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""kmod/plan.c, the same file that the kernel runs: its plans are carried out move by move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis.strategies import sampled_from
from unit.kmod.kernel.invariants import check_map
from unit.kmod.kernel.planner import NO_PLAN, Move, Piece, Plan, make_timed
from unit.kmod.plan_case import Case, carry_out, cases, check_plan

plain = cases(200, 30, (1,), (False,))


def holes(pages: range, taken: list[range]) -> Iterator[range]:
    """Yield what is free between things that are taken, in order."""
    at = pages.start
    for it in taken:
        yield range(at, it.start)
        at = it.stop
    yield range(at, pages.stop)


def length_from(hole: range, align: int) -> int:
    """Return how long a request fits into a hole."""
    return len(range(hole.start + -hole.start % align, hole.stop))


def longest(case: Case) -> int:
    """Return the longest request of the case's alignment that fits as things are."""
    taken = [range(it.start, it.start + it.count) for it in case.pieces]
    return max(length_from(hole, case.align) for hole in holes(case.pages, taken))


def longest_slid(case: Case) -> int:
    """Return the longest request that fits once the pieces between two fixed ones slide down."""
    length, at = 0, case.pages.start
    for piece in case.pieces:
        if piece.fixed:
            length = max(length, length_from(range(at, piece.start), case.align))
            at = piece.start + piece.count
        else:
            at += -at % piece.align + piece.count
    return max(length, length_from(range(at, case.pages.stop), case.align))


def length_after(case: Case, plan: Plan) -> int:
    """Return how many pages are free in a row from a plan's place on, once it is carried out."""
    assert plan.place is not None and plan.place % case.align == 0
    now = sorted(carry_out(case, plan).values())
    behind = [it.start for it in now if it.stop > plan.place]
    free = range(plan.place, min([*behind, case.pages.stop]))
    check_map(case.pages, now, free=free)
    return len(free)


def cheap_cost(case: Case) -> int | None:
    """Return the size of the smallest piece that alone is in the way and has somewhere to go."""
    taken = [range(it.start, it.start + it.count) for it in case.pieces]
    free = list(holes(case.pages, taken))
    costs = []
    for number, piece in enumerate(case.pieces):
        others = [hole for i, hole in enumerate(free) if i not in (number, number + 1)]
        around = range(free[number].start, free[number + 1].stop)
        fits = any(length_from(hole, piece.align) >= piece.count for hole in others)
        if not piece.fixed and fits and length_from(around, case.align) >= case.count:
            costs.append(piece.count)
    return min(costs, default=None)


@given(cases(60, 20) | cases(60, 20, aligned=False))
@settings(max_examples=600)
def test_plan_can_be_carried_out(case: Case) -> None:
    """Nothing is overwritten, nothing moves twice, and the request then fits."""
    plan = case.plan()
    if plan.place is not None:
        check_plan(case, plan)


@given(plain)
@settings(max_examples=300)
def test_free_pages_are_enough_where_nothing_is_fixed_or_aligned(case: Case) -> None:
    assert (case.plan().place is not None) == (case.count <= case.free)


@given(plain, sampled_from([1 << order for order in range(9)]))
@settings(max_examples=300)
def test_all_pieces_go_above_the_first_aligned_place_if_they_fit_there(
    case: Case, align: int
) -> None:
    place = case.pages.start + -case.pages.start % align
    used = len(case.pages) - case.free
    if place + case.count + used <= case.pages.stop:
        above = Case(case.pages, case.pieces, case.count, align, case.bits)
        check_plan(above, above.plan())


def test_pieces_at_the_only_aligned_place_slide_up_the_last_one_first() -> None:
    case = Case(range(0, 64), (Piece(0, 8), Piece(8, 24, 8)), 9, 64)
    assert case.plan() == Plan(0, (Move(1, 40), Move(0, 32)), 32)


def test_piece_slides_up_from_a_place_that_only_its_own_alignment_needs() -> None:
    """Page 1 is free for the request, though not for the piece."""
    case = Case(range(0, 16), (Piece(0, 1, 1, True), Piece(4, 4, 4)), 9, 1)
    assert case.plan() == Plan(1, (Move(1, 12),), 4)


@pytest.mark.parametrize("bits", [64, 32])
def test_thousands_of_pieces_make_way_for_a_request_for_all_free_pages(bits: int) -> None:
    """However few of the steps the search before has left."""
    pieces = tuple(Piece(3 * i, 1 + i % 2) for i in range(20_000))
    case = Case(range(0, 60_000), pieces, 30_000, 1, bits)
    plan = case.plan()
    now = case.extents()
    now |= {number: replace(now[number], start=to) for number, to in plan.moves}
    assert plan.place is not None
    free = range(plan.place, plan.place + case.count)
    check_map(case.pages, sorted(now.values()), free=free)


@given(cases(60, 20))
@settings(max_examples=300)
def test_request_that_fits_moves_nothing(case: Case) -> None:
    if length := longest(case):
        fits = Case(case.pages, case.pieces, length, case.align, case.bits)
        plan = fits.plan()
        check_plan(fits, plan)
        assert plan.moves == ()


@given(cases(60, 20))
@settings(max_examples=600)
def test_one_piece_makes_way_if_it_can(case: Case) -> None:
    """Or something else, if that is not dearer."""
    cost = cheap_cost(case)
    if cost is not None:
        assert case.plan().place is not None
        assert case.plan().cost <= cost


def test_hundreds_of_pieces_stay_where_one_can_make_way() -> None:
    rows = [Piece(3 * i, 2) for i in range(500)]
    case = Case(
        range(0, 1541),
        (*rows[:250], Piece(770, 1), *(Piece(piece.start + 41, 2) for piece in rows[250:])),
        41,
        1,
    )
    plan = case.plan()
    check_plan(case, plan)
    assert plan.cost == 1


def test_what_is_evicted_takes_the_smallest_hole_that_is_enough() -> None:
    """Otherwise piece 4 might take the hole that piece 5 needs."""
    here, posts = (Piece(10, 2), Piece(13, 3)), [Piece(at, 1, 1, True) for at in (3, 6, 9, 19)]
    pieces = (Piece(0, 1), *posts[:3], *here, posts[3])
    assert Case(range(0, 20), pieces, 9, 1).plan() == NO_PLAN
    case = Case(range(0, 24), (*pieces, Piece(23, 1, 1, True)), 9, 1)
    plan = case.plan()
    check_plan(case, plan)
    assert {(case.pieces[it.piece].count, it.to) for it in plan.moves} == {(3, 20), (2, 1)}


def test_the_largest_is_evicted_first() -> None:
    """Otherwise one of the others would be in the hole that it needs."""
    here = (Piece(0, 2), Piece(3, 2), Piece(6, 3))
    posts = (Piece(10, 1, 1, True), Piece(15, 1, 1, True), Piece(19, 1, 1, True))
    case = Case(range(0, 20), (*here, *posts), 10, 1)
    check_plan(case, case.plan())


def test_pieces_that_find_no_hole_slide_beside_those_that_do() -> None:
    """Piece 0 fits nowhere else, but piece 1 does."""
    case = Case(range(0, 19), (Piece(2, 6), Piece(9, 2), Piece(16, 1, 1, True)), 10, 1)
    plan = case.plan()
    check_plan(case, plan)
    assert plan.cost == 8


def test_pieces_far_away_stay_where_neighbors_can_slide() -> None:
    """No hole takes any piece, but the last one can slide; so could all the others."""
    case = Case(range(0, 86), (*(Piece(7 * i, 6) for i in range(10)), Piece(75, 6)), 10, 1)
    plan = case.plan()
    check_plan(case, plan)
    assert plan.cost == 6


def test_piece_goes_beyond_a_fixed_one_after_others_are_compacted_there() -> None:
    here = (Piece(0, 3), Piece(5, 3))
    there = (Piece(13, 2), Piece(17, 2, 1, True))
    case = Case(range(0, 19), (*here, Piece(10, 1, 1, True), *there), 7, 1)
    plan = case.plan()
    check_plan(case, plan)
    assert {move.piece for move in plan.moves} > {3}


def test_piece_that_is_not_aligned_stays_when_others_are_compacted() -> None:
    """Page 8 is the next that would do for piece 2, and another piece has it."""
    there = (Piece(6, 2, 4), Piece(8, 3), Piece(12, 3), Piece(16, 1, 1, True))
    case = Case(range(0, 17), (Piece(0, 2), Piece(4, 1, 1, True), *there), 4, 1)
    plan = case.plan()
    check_plan(case, plan)
    assert 2 not in {move.piece for move in plan.moves}


def test_segment_where_nothing_goes_is_not_compacted() -> None:
    """Piece 3 may stay as it is: it is piece 5 that has to make way for another."""
    posts = [Piece(10, 1, 1, True), Piece(14, 1, 1, True), Piece(19, 2, 1, True)]
    pieces = (Piece(0, 3), Piece(5, 3), posts[0], Piece(12, 1), posts[1], Piece(16, 1), posts[2])
    case = Case(range(0, 21), pieces, 7, 1)
    plan = case.plan()
    check_plan(case, plan)
    assert 3 not in {move.piece for move in plan.moves}


@pytest.mark.parametrize("most_align", [1, 8])
@pytest.mark.parametrize("fixed_every", [1 << 20, 500, 40])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_time_is_bounded(most_align: int, fixed_every: int, share: float) -> None:
    """4,096 pieces, between 1 and 8 pages long, with as many free as taken."""
    chance, pieces, at = Random(most_align * fixed_every), [], 0
    for number in range(4096):
        align = most_align if number % 3 else 1
        at += chance.randrange(8)
        at += -at % align
        pieces.append(Piece(at, chance.randrange(1, 9), align, number % fixed_every == 7))
        at += pieces[-1].count
    free = at - sum(piece.count for piece in pieces)
    timed = make_timed(range(0, at), pieces, int(free * share), most_align)
    assert timed.steps <= 120_000 + 20 * len(pieces)
    assert make_timed(range(0, at), pieces, 0, most_align).steps <= 120_000


def test_empty_map_is_given_whole() -> None:
    case = Case(range(3, 20), (), 17, 1)
    assert case.plan() == case.largest() == Plan(3, (), 0)


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("beyond", [1, None])
def test_request_larger_than_the_map_has_no_plan(bits: int, beyond: int | None) -> None:
    pages = range((1 << bits) - 33, (1 << bits) - 1)
    count = len(pages) + beyond if beyond else (1 << bits) - 1
    for align in (1, 1 << (bits - 1)):
        case = Case(pages, (Piece(pages.start + 9, 4),), count, align, bits)
        assert case.plan() == NO_PLAN


@pytest.mark.parametrize(("count", "bits"), [((1 << 32) - 1, 32), ((1 << 63) - 1, 64)])
def test_map_without_limits(count: int, bits: int) -> None:
    pieces = (Piece(count // 2, 4, 1, True), Piece(count // 2 + 9, 4))
    case = Case(range(0, count), pieces, count // 2 + 1, 1, bits)
    assert case.plan() == NO_PLAN
    fits = Case(case.pages, pieces, count // 2 - 4, 1, bits)
    check_plan(fits, fits.plan())
    assert length_after(fits, fits.largest()) >= fits.count


@given(plain)
@settings(max_examples=200)
def test_largest_hole_is_all_that_is_free_where_nothing_is_fixed_or_aligned(case: Case) -> None:
    plan = case.largest()
    assert (plan.place is not None) == bool(case.free)
    if plan.place is not None:
        assert length_after(case, plan) == case.free


@given(cases(60, 20) | cases(60, 20, aligned=False))
@settings(max_examples=300)
def test_largest_hole_is_not_smaller_than_before(case: Case) -> None:
    plan, before = case.largest(), longest(case)
    after = length_after(case, plan) if plan.place is not None else 0
    assert after > before if plan.moves else after == before


def test_largest_hole_among_thousands_of_fixed_pieces_is_found() -> None:
    pieces = [Piece(2 * i + 4 * (i >= 9000), 1, 1, True) for i in range(20_000)]
    case = Case(range(0, 40_004), tuple(pieces), 1, 1)
    assert case.largest() == Plan(17_999, (), 0)


@given(cases(60, 20) | cases(160, 20, (1, 4, 16, 64)))
@settings(max_examples=300)
def test_largest_hole_is_not_smaller_than_where_a_segment_slides_together(case: Case) -> None:
    plan = case.largest()
    after = length_after(case, plan) if plan.place is not None else 0
    assert after >= longest_slid(case)


def test_pieces_leave_for_other_segments_to_make_the_largest_hole() -> None:
    """Piece 0 leaves, and piece 2 slides down for it."""
    posts = (Piece(12, 1, 1, True), Piece(19, 1, 1, True))
    case = Case(range(0, 20), (Piece(4, 4), posts[0], Piece(15, 2), posts[1]), 1, 1)
    plan = case.largest()
    assert length_after(case, plan) == 12
    assert plan.moves == (Move(2, 13), Move(0, 15))
