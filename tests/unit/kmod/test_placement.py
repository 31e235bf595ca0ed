# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""kmod/placement.c, the same file that the kernel runs, against a set of page numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from unit.kmod.kernel.invariants import check_map
from unit.kmod.kernel.placement_map import NEVER, Granule, PlacementMap, Want

MOST_PAGES = 80
# A map of so many pages is shifted by less than a word has bits.
PAGE_BITS = 8
MORE = (-1, 0, 1)
TIMES = st.integers(1, 9)


class Place(NamedTuple):
    """A place, and what it costs; the least of several is the best."""

    cost: int
    room: int
    start: int


class Model:
    """The pages of a map, one by one."""

    def __init__(self, pages: range, order: int, granules: list[Granule]) -> None:
        self.pages = pages
        self.order = order
        self.granules = granules
        self.extents: dict[int, int] = {}
        self.reserved: set[int] = set()
        self.kept = range(0)

    def granules_of(self, pages: range) -> set[int]:
        """Return the indices of the granules that pages lie in."""
        return {(page - self.pages.start) >> self.order for page in pages}

    def occupied(self) -> set[int]:
        """Return the numbers of the pages of all extents."""
        return {page for item in self.extents.items() for page in extent_pages(item)}

    def holes(self) -> list[range]:
        """Return runs of free pages."""
        return runs(sorted(set(self.pages) - self.occupied()))

    def will_do(self, page: int, want: Want) -> bool:
        """Return whether a page may be part of a place, if it is free."""
        (index,) = self.granules_of(range(page, page + 1))
        granule = self.granules[index]
        stuck = not granule.taken and granule.since > want.horizon
        return page not in self.kept and (granule.taken if want.taken else not stuck)

    def usable(self, want: Want) -> list[range]:
        """Return runs of free pages that will do."""
        return [
            run
            for hole in self.holes()
            for run in runs([page for page in hole if self.will_do(page, want)])
        ]

    def places(self, want: Want) -> list[Place]:
        """Return every place."""
        return [place for run in self.usable(want) for place in self.places_in(run, want)]

    def candidates(self, want: Want) -> list[Place]:
        """Return the places that are looked at: the first and the last of each usable run."""
        found = [self.places_in(run, want) for run in self.usable(want)]
        return [place for places in found if places for place in (places[0], places[-1])]

    def places_in(self, run: range, want: Want) -> list[Place]:
        """Return every place in a run."""
        return [
            Place(self.cost(range(start, start + want.count)), len(run), start)
            for start in run
            if start % want.align == 0 and start + want.count <= run.stop
        ]

    def cost(self, pages: range) -> int:
        """Return how many granules would have to be taken from the system."""
        return sum(not self.granules[index].taken for index in self.granules_of(pages))

    def insert(self, start: int, count: int, reserved: bool) -> None:
        """Occupy pages: a granule that is taken is not empty any more."""
        self.extents[start] = count
        if reserved:
            self.reserved.add(start)
        for index in self.granules_of(range(start, start + count)):
            self.granules[index].users += 1
            if self.granules[index].taken:
                self.granules[index].since = 0

    def remove(self, start: int, now: int) -> None:
        """Free pages: taken granules that nobody uses any more are empty from now on."""
        count = self.extents.pop(start)
        self.reserved.discard(start)
        for index in self.granules_of(range(start, start + count)):
            self.granules[index].users -= 1
            if self.granules[index].taken and not self.granules[index].users:
                self.granules[index].since = now

    def used(self) -> int:
        """Return the pages of extents that are not reserved."""
        return sum(count for start, count in self.extents.items() if start not in self.reserved)

    def notes(self) -> list[str]:
        """Return what to print behind the map: the granules, and what is kept."""
        lines = [f"kept {self.kept.start} to {self.kept.stop}"] if self.kept else []
        for index, granule in enumerate(self.granules):
            start = self.pages.start + (index << self.order)
            lines.append(f"from {start}: {granule}")
        return lines


def runs(numbers: list[int]) -> list[range]:
    """Return ordered numbers as runs of neighbors."""
    found: list[range] = []
    for number in numbers:
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found


def extent_pages(extent: tuple[int, int]) -> range:
    """Return the pages of (start, count)."""
    start, count = extent
    return range(start, start + count)


@st.composite
def maps(draw: st.DrawFn, bits: int) -> range:
    """Draw a small map: at page 0, in the middle, up to the last number."""
    count = draw(st.integers(1, MOST_PAGES))
    last = (1 << bits) - 1 - count
    start = draw(st.integers(0, 70) | st.integers(0, last) | st.integers(last - 70, last))
    return range(start, start + count)


@st.composite
def wants(draw: st.DrawFn, bits: int) -> Want:
    """Draw what is looked for: most is small, some is the largest that there can be."""
    limit = (1 << bits) - 1
    small, large = st.integers(1, 8), st.integers(limit - 90, limit)
    count = draw(small | small | st.integers(1, 90) | large)
    align = 1 << draw(st.integers(0, 3) | st.integers(0, 3) | st.integers(0, bits - 1))
    horizon = draw(TIMES | st.sampled_from([0, NEVER]))
    return Want(count, align, draw(st.booleans()), horizon)


class Placement(RuleBasedStateMachine):
    """Places found, occupied and freed in any order, on a map and on its model."""

    BITS: ClassVar = 64

    extents: Bundle[int] = Bundle("extents")

    @initialize(data=st.data())
    def make(self, data: st.DataObject) -> None:
        """Begin with an empty map, of granules in any state."""
        # A shifted map is huge: a page of the model stands for many page frames.
        self.bits = self.BITS - data.draw(
            st.just(0) | st.integers(0, self.BITS - PAGE_BITS), label="shift"
        )
        pages = data.draw(maps(self.bits), label="pages")
        order = data.draw(st.integers(0, 5), label="order")
        count = -(-len(pages) >> order)
        granules = [
            Granule(since=data.draw(st.integers(0, 9)), taken=data.draw(st.booleans()))
            for _ in range(count)
        ]
        self.model = Model(pages, order, granules)
        self.map = PlacementMap(pages, order, granules, bits=self.BITS, shift=self.BITS - self.bits)

    def expect(self, **facts: tuple[object, object]) -> None:
        """Compare what was found with what is expected; print the map if they differ."""
        check_map(self.model.pages, self.map.walk(), facts=facts, notes=self.model.notes())

    def insert(self, place: Any, count: int, reserved: bool) -> int:
        start = self.map.insert(place, count, reserved=reserved)
        self.model.insert(start, count, reserved)
        return start

    def find(self, want: Want) -> Any:
        """Return the best place, or None; it is there if there is one, and none is better."""
        place = self.map.find(want)
        self.expect(found=((want, place is not None), (want, bool(self.model.places(want)))))
        if place is not None:
            candidates = self.model.candidates(want)
            best = {item.start for item in candidates if item[:2] == min(candidates)[:2]}
            start = self.map.start_of(place)
            self.expect(best=((want, start), (want, start if start in best else sorted(best))))
        return place

    @rule(target=extents, data=st.data(), reserved=st.booleans())
    def occupy_best(self, data: st.DataObject, reserved: bool) -> Any:
        """Occupy the best place, if there is one."""
        want = data.draw(wants(self.bits), label="want")
        place = self.find(want)
        return multiple() if place is None else self.insert(place, want.count, reserved)

    @rule(data=st.data())
    def find_what_just_fits(self, data: st.DataObject) -> None:
        """Look for as much as each run of usable pages has, for a bit more and a bit less."""
        want = data.draw(wants(self.bits), label="want but for its count")
        for count in sorted({len(run) + more for run in self.model.usable(want) for more in MORE}):
            if count:
                self.find(replace(want, count=count))

    @rule(target=extents, data=st.data(), reserved=st.booleans())
    def occupy_at(self, data: st.DataObject, reserved: bool) -> Any:
        """Occupy certain pages, also kept ones: all of them are free, or nothing happens."""
        pages, limit = self.model.pages, (1 << self.bits) - 1
        around = st.integers(max(0, pages.start - 9), min(limit, pages.stop + 9))
        start = data.draw(st.sampled_from(pages) | around, label="start")
        to_the_end = st.just(max(1, pages.stop - start))
        count = data.draw(st.integers(1, 12) | to_the_end, label="count")
        wanted = range(start, start + count)
        inside = pages.start <= wanted.start and wanted.stop <= pages.stop
        place = self.map.at(start, count)
        free = inside and self.model.occupied().isdisjoint(wanted)
        self.expect(is_free=((wanted, place is not None), (wanted, free)))
        if place is None:
            return multiple()
        self.expect(place=(self.map.start_of(place), start))
        return self.insert(place, count, reserved)

    @rule(start=consumes(extents), now=TIMES)
    def remove(self, start: int, now: int) -> None:
        """Free an extent."""
        self.map.remove(start, now)
        self.model.remove(start, now)

    @rule(data=st.data(), now=TIMES)
    def take_or_give_granule(self, data: st.DataObject, now: int) -> None:
        """Take a granule from the system, fail to, or give it back, as pool.c does."""
        index = data.draw(st.sampled_from(range(len(self.model.granules))), label="index")
        granule = self.model.granules[index]
        if not granule.taken:
            granule.taken = data.draw(st.booleans(), label="taken")
            granule.since = 0 if granule.taken and granule.users else now
        elif not granule.users:
            granule.taken, granule.since = False, 0
        self.map.set_granule(index, since=granule.since, taken=granule.taken)

    @rule(data=st.data())
    def keep(self, data: st.DataObject) -> None:
        """Keep a range, whether it is occupied or not."""
        pages = self.model.pages
        start = data.draw(st.sampled_from(pages), label="start")
        count = data.draw(st.integers(1, pages.stop - start), label="count")
        self.model.kept = range(start, start + count)
        self.map.keep(start, count)

    @precondition(lambda self: self.model.kept)
    @rule(data=st.data())
    def end_keeping(self, data: st.DataObject) -> None:
        """Keep nothing: it does not matter where."""
        self.model.kept = range(0)
        self.map.keep(data.draw(st.sampled_from(self.model.pages), label="start"), 0)

    @rule(horizon=TIMES)
    def is_stuck(self, horizon: int) -> None:
        """A granule is stuck if it is not taken, and was stuck after the horizon."""
        indices = range(len(self.model.granules))
        found = [self.map.is_stuck(index, horizon) for index in indices]
        stuck = [not item.taken and item.since > horizon for item in self.model.granules]
        self.expect(stuck=(found, stuck))

    @invariant()
    def map_is_what_the_model_is(self) -> None:
        """Before and after every step: nothing overlaps, nothing is outside, no page is lost."""
        extents = self.map.walk()
        self.expect(
            extents=(
                [(item.start, item.count) for item in extents],
                sorted(self.model.extents.items()),
            ),
            backwards=(self.map.walk("prev")[::-1], extents),
            extent_count=(self.map.extent_count, len(extents)),
            used=(self.map.used, self.model.used()),
            free=(self.map.free, len(self.model.pages) - self.model.used()),
            largest_hole=(self.map.largest_hole, max(map(len, self.model.holes()), default=0)),
            granules=(self.map.granules, self.model.granules),
        )


class Placement32(Placement):
    """The same where a long has 32 bits."""

    BITS = 32


class TestPlacement64(Placement.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class TestPlacement32(Placement32.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


both_words = pytest.mark.parametrize("bits", [64, 32])


def granules(states: str) -> list[Granule]:
    """Return a granule for each letter: taken, the system's, or stuck since that time."""
    since = {letter: int(letter) for letter in states if letter.isdigit()}
    return [Granule(since.get(letter, 0), taken=letter == "t") for letter in states]


def start_of_best(map_: PlacementMap, want: Want) -> int | None:
    """Return where the best place begins, or None if there is none."""
    place = map_.find(want)
    return None if place is None else map_.start_of(place)


@both_words
def test_alignment_is_that_of_the_address(bits: int) -> None:
    map_ = PlacementMap(range(0x80003, 0x8002B), bits=bits)
    assert start_of_best(map_, Want(8, 16)) == 0x80010
    assert start_of_best(map_, Want(27, 16)) == 0x80010
    assert start_of_best(map_, Want(28, 16)) is None


@both_words
def test_end_of_a_range_is_aligned_down(bits: int) -> None:
    map_ = PlacementMap(range(16), 3, granules("st"), bits=bits)
    assert start_of_best(map_, Want(4, 8)) == 8


@both_words
def test_smallest_hole_that_is_large_enough(bits: int) -> None:
    map_ = PlacementMap(range(30), bits=bits)
    for start in (4, 12):
        map_.insert(map_.at(start, 1), 1)
    assert start_of_best(map_, Want(4)) == 0
    assert start_of_best(map_, Want(5)) == 5
    assert start_of_best(map_, Want(8)) == 13


@both_words
def test_larger_hole_is_better_where_nothing_is_taken_from_the_system(bits: int) -> None:
    map_ = PlacementMap(range(32), 3, granules("sstt"), bits=bits)
    map_.insert(map_.at(8, 1), 1)
    assert start_of_best(map_, Want(4)) == 28
    assert start_of_best(map_, Want(16)) == 16
    assert start_of_best(map_, Want(24)) is None


@both_words
def test_only_taken_granules_will_do_on_the_fast_path(bits: int) -> None:
    map_ = PlacementMap(range(32), 3, granules("tsts"), bits=bits)
    assert start_of_best(map_, Want(8, taken=True)) in (0, 16)
    assert start_of_best(map_, Want(9, taken=True)) is None
    assert start_of_best(map_, Want(9)) is not None


@both_words
def test_stuck_granules_are_avoided_until_they_are_worth_another_try(bits: int) -> None:
    map_ = PlacementMap(range(32), 3, granules("s5ss"), bits=bits)
    assert start_of_best(map_, Want(16, horizon=4)) == 16
    assert start_of_best(map_, Want(17, horizon=4)) is None
    assert start_of_best(map_, Want(17, horizon=5)) is not None


@both_words
def test_no_place_in_what_is_kept_but_for_whoever_keeps_it(bits: int) -> None:
    map_ = PlacementMap(range(30), bits=bits)
    map_.keep(10, 12)
    assert start_of_best(map_, Want(8)) == 22
    assert start_of_best(map_, Want(10)) == 0
    assert start_of_best(map_, Want(11)) is None
    assert map_.at(10, 12) is not None
    map_.keep(10, 0)
    assert start_of_best(map_, Want(30)) == 0


@both_words
def test_last_granule_may_be_cut_short(bits: int) -> None:
    last = (1 << bits) - 1
    map_ = PlacementMap(range(last - 21, last), 3, granules("sst"), bits=bits)
    assert start_of_best(map_, Want(5, taken=True)) == last - 5
    assert start_of_best(map_, Want(6, taken=True)) is None
    assert start_of_best(map_, Want(21)) == last - 21


@both_words
def test_what_is_reserved_is_occupied_but_not_used(bits: int) -> None:
    map_ = PlacementMap(range(20), bits=bits)
    start = map_.insert(map_.at(4, 8), 8, reserved=True)
    assert (map_.used, map_.free, map_.largest_hole) == (0, 20, 8)
    assert [map_.at(*where) for where in [(3, 2), (11, 1), (20, 1), (21, 1)]] == [None] * 4
    map_.remove(start)
    assert (map_.used, map_.free, map_.largest_hole) == (0, 20, 20)


@both_words
def test_neighbors_share_a_granule(bits: int) -> None:
    map_ = PlacementMap(range(16), 3, granules("tt"), bits=bits)
    first = map_.insert(map_.at(0, 4), 4)
    second = map_.insert(map_.at(4, 8), 8)
    assert [granule.users for granule in map_.granules] == [2, 1]
    map_.remove(first, now=7)
    assert map_.granules == [Granule(0, 1, True), Granule(0, 1, True)]
    map_.remove(second, now=9)
    assert map_.granules == [Granule(9, 0, True), Granule(9, 0, True)]


def test_checker_prints_the_map_when_a_fact_is_not_as_expected() -> None:
    check_map(range(9), [], facts={"used": (0, 0)}, notes=["kept"])
    with pytest.raises(AssertionError, match=r"(?s)used: 1, not 0.*map 0 to 9.*kept"):
        check_map(range(9), [], facts={"used": (1, 0)}, notes=["kept"])
