# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""kmod/placement.c, the same file that the kernel runs, against a set of page numbers."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from unit.kernel.placement_map import FIRST, Key, PlacementMap, Request

FEW = 12


class Model:
    """The pages of a map, one by one."""

    def __init__(self, start: int, count: int) -> None:
        self.pages = range(start, start + count)
        self.taken: dict[int, int] = {}

    def free(self) -> list[int]:
        """Return the numbers of the pages that nobody has."""
        taken = {
            page for start, count in self.taken.items() for page in range(start, start + count)
        }
        return [page for page in self.pages if page not in taken]

    def holes(self) -> list[range]:
        """Return runs of free pages."""
        found: list[range] = []
        for page in self.free():
            if found and found[-1].stop == page:
                found[-1] = range(found[-1].start, page + 1)
            else:
                found.append(range(page, page + 1))
        return found

    def fitting(self, request: Request) -> list[int]:
        """Return every page at which the request fits, hole or no hole."""
        free = set(self.free())
        return [
            page
            for page in self.pages
            if page % request.align == 0 and page in free and request.count <= len(free)
            if free.issuperset(range(page, page + request.count))
        ]

    def places(self, request: Request) -> list[Key]:
        """Return the places of a search in the order of its visits."""
        found = []
        fitting = self.fitting(request)
        for hole in self.holes():
            fits = [page for page in fitting if page in hole]
            found += [
                Key(len(hole), page) for page in fits if (page - fits[0]) % request.stride == 0
            ]
        return sorted(found)


class Search:
    """An allocation under way, as in kmod/search.c: it holds a place while it tries it."""

    def __init__(self, request: Request, cursor: Any) -> None:
        self.request = request
        self.cursor = cursor
        self.last = FIRST
        self.held: int | None = None


@st.composite
def maps(draw: st.DrawFn, bits: int) -> tuple[int, int]:
    """Draw start and count of a small map: at page 0, in the middle, up to the last number."""
    count = draw(st.integers(1, 80))
    last = (1 << bits) - 1 - count
    start = draw(st.integers(0, 70) | st.integers(0, last) | st.integers(last - 70, last))
    return start, count


@st.composite
def requests(draw: st.DrawFn, bits: int) -> Request:
    """Draw a request: most are small, some are the largest that there can be."""
    limit = (1 << bits) - 1
    count = draw(st.integers(1, 12) | st.integers(1, 90) | st.integers(limit - 90, limit))
    align = 1 << draw(st.integers(0, 4) | st.integers(0, bits - 1))
    factor = draw(st.just(1) | st.integers(1, 9) | st.integers(1, limit))
    return Request(count, align, align * min(factor, limit // align))


class Placement(RuleBasedStateMachine):
    """Allocations, frees and searches in any order, on a map and on its model."""

    BITS: ClassVar = 64

    chunks: Bundle[int] = Bundle("chunks")
    searches: Bundle[Search] = Bundle("searches")

    @initialize(data=st.data())
    def make(self, data: st.DataObject) -> None:
        """Begin with an empty map."""
        start, count = data.draw(maps(self.BITS), label="start, count")
        self.map = PlacementMap(start, count, self.BITS)
        self.model = Model(start, count)
        self.spare: set[int] = set()

    def draw_request(self, data: st.DataObject) -> Request:
        return data.draw(requests(self.BITS), label="request")

    def take(self, cursor: Any, count: int) -> int:
        start = self.map.insert(cursor, count)
        self.model.taken[start] = count
        return start

    def give(self, start: int) -> None:
        self.map.remove(start)
        del self.model.taken[start]
        self.spare.discard(start)

    @rule(target=chunks, data=st.data())
    def allocate(self, data: st.DataObject) -> Any:
        """Take the first place of a search: the lowest in the smallest hole that will do."""
        request = self.draw_request(data)
        cursor = self.map.cursor()
        key = self.map.next(request, cursor)
        fitting = self.model.fitting(request)
        assert (key is None) == (not fitting)
        if key is None:
            return multiple()
        assert key.start in fitting
        sizes = {page: len(hole) for hole in self.model.holes() for page in hole}
        assert key.hole_count == sizes[key.start] == min(sizes[page] for page in fitting)
        assert key.start == min(page for page in fitting if sizes[page] == key.hole_count)
        return self.take(cursor, request.count)

    @rule(target=chunks, data=st.data())
    def take_there(self, data: st.DataObject) -> Any:
        """Take certain pages: all of them are free, or nothing happens."""
        start = data.draw(st.sampled_from(self.model.pages), label="start")
        count = data.draw(st.integers(1, 12), label="count")
        free = set(self.model.free()).issuperset(range(start, start + count))
        assert self.map.take(start, count) == free
        if not free:
            return multiple()
        self.model.taken[start] = count
        return start

    @rule(start=chunks, data=st.data())
    def leave(self, start: int, data: st.DataObject) -> None:
        """Give up an allocation, or spare pages: what was not yet taken is free at once."""
        count = data.draw(st.integers(1, self.model.taken[start]), label="count")
        self.map.leave(start, count)
        self.model.taken[start] = count
        self.spare.add(start)

    @rule(start=consumes(chunks))
    def free(self, start: int) -> None:
        """Give a chunk back."""
        self.give(start)

    @rule(data=st.data())
    def visit_all(self, data: st.DataObject) -> None:
        """Search until nothing is left while the map stays as it is."""
        request = self.draw_request(data)
        visits = list(islice(self.map.search(request), len(self.model.pages) + 1))
        places = [key.start for key in visits]
        fitting = self.model.fitting(request)
        assert len(set(places)) == len(places)
        assert set(places) <= set(fitting)
        assert request.stride > request.align or set(places) == set(fitting)
        assert visits == self.model.places(request)

    @rule(target=searches, data=st.data())
    def begin_search(self, data: st.DataObject) -> Search:
        """Begin a search that other rules will change the map under."""
        return Search(self.draw_request(data), self.map.cursor())

    @rule(search=searches)
    def try_next_place(self, search: Search) -> None:
        """Let go of a place that was busy, look for the next and hold it."""
        if search.held is not None:
            self.give(search.held)
            search.held = None
        key = self.map.next(search.request, search.cursor)
        places = self.model.places(search.request)
        assert key == next((place for place in places if place > search.last), None)
        if key:
            search.last = key
            search.held = self.take(search.cursor, search.request.count)

    @rule(target=chunks, search=consumes(searches))
    def end_search(self, search: Search) -> Any:
        """Keep the place that is held, if there is one."""
        return multiple() if search.held is None else search.held

    @invariant()
    def map_is_what_the_model_is(self) -> None:
        """Nothing overlaps, nothing is outside, no page is lost."""
        extents = self.map.walk("next")
        assert extents == self.map.walk("prev")[::-1]
        assert extents == sorted(self.model.taken.items())
        covered = [page for start, count in extents for page in range(start, start + count)]
        assert sorted({*covered, *self.model.free()}) == list(self.model.pages)
        assert len(covered) == len(set(covered)) == self.map.used
        assert self.map.largest_hole == max(map(len, self.model.holes()), default=0)
        spare = sum(self.model.taken[start] for start in self.spare)
        assert self.map.free == len(self.model.free()) + spare


class Placement32(Placement):
    """The same where a long has 32 bits."""

    BITS = 32


class TestPlacement64(Placement.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class TestPlacement32(Placement32.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@st.composite
def huge_maps(draw: st.DrawFn, bits: int) -> tuple[int, list[range], int]:
    """Draw start, extents and end of a map of any size, up to all the numbers that there are."""
    numbers = st.integers(0, 9) | st.integers(0, (1 << bits) - 1)
    numbers |= numbers.map(lambda number: (1 << bits) - 1 - number)
    bounds = sorted(draw(st.lists(numbers, min_size=2, max_size=8, unique=True)))
    inner = bounds[1 : 1 + (len(bounds) - 2) // 2 * 2]
    return bounds[0], [range(*inner[i : i + 2]) for i in range(0, len(inner), 2)], bounds[-1]


def first_after(last: Key, start: int, end: int, request: Request) -> Key | None:
    """Return the first place after the last one in a hole."""
    place = -(-start // request.align) * request.align
    if end - start == last.hole_count and place <= last.start:
        place += ((last.start - place) // request.stride + 1) * request.stride
    later = end - start >= last.hole_count and place + request.count <= end
    return Key(end - start, place) if later else None


@pytest.mark.parametrize("bits", [64, 32])
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_number_is_too_large(bits: int, data: st.DataObject) -> None:
    start, extents, end = data.draw(huge_maps(bits), label="map")
    request = data.draw(requests(bits), label="request")
    holes = list(
        zip([start, *(e.stop for e in extents)], [*(e.start for e in extents), end], strict=True)
    )
    inside = [
        Key(high - low, place)
        for low, high in holes
        for place in (low, (low + high) // 2, max(low, high - request.count), max(low, high - 1))
    ]
    last = data.draw(st.just(FIRST) | st.sampled_from(inside), label="last")

    map_ = PlacementMap(start, end - start, bits)
    for extent in extents:
        map_.append(extent.start, extent.stop - extent.start)
    assert map_.largest_hole == max(high - low for low, high in holes)
    assert map_.used == sum(extent.stop - extent.start for extent in extents)

    cursor = map_.cursor(last)
    for _ in range(FEW):
        keys = [first_after(last, low, high, request) for low, high in holes]
        expected = min((key for key in keys if key), default=None)
        assert map_.next(request, cursor) == expected
        if expected is None:
            break
        last = expected


@pytest.mark.parametrize("bits", [64, 32])
def test_search_of_all_the_numbers_ends(bits: int) -> None:
    half = 1 << (bits - 1)
    map_ = PlacementMap(0, 2 * half - 1, bits)
    places = islice(map_.search(Request(1, half, half)), 3)
    assert [key.start for key in places] == [0, half]


def test_alignment_is_that_of_the_address() -> None:
    map_ = PlacementMap(0x80003, 40)
    assert [key.start for key in map_.search(Request(8, 16, 16))] == [0x80010, 0x80020]
    assert [key.start for key in map_.search(Request(12, 16, 16))] == [0x80010]


def test_busy_place_is_followed_by_the_next_hole_though_others_allocate() -> None:
    map_ = PlacementMap(0, 30)
    map_.append(4, 1)
    map_.append(12, 1)
    request = Request(4, 4, 4)
    cursor = map_.cursor()
    assert map_.next(request, cursor) == Key(4, 0)
    other = map_.cursor()
    assert map_.next(Request(16, 1, 1), other) == Key(17, 13)
    map_.insert(other, 16)
    assert map_.next(request, cursor) == Key(7, 8)
    map_.remove(13)
    assert map_.next(request, cursor) == Key(17, 16)


@given(st.lists(st.booleans(), max_size=9), st.randoms())
def test_what_is_spare_counts_as_free(spares: list[bool], chance: random.Random) -> None:
    map_ = PlacementMap(100, 90)
    for number, spare in enumerate(spares):
        assert map_.take(100 + 10 * number, 7, spare=spare)
    assert map_.free == 90 - 7 * spares.count(False)
    for number in chance.sample(range(len(spares)), len(spares)):
        map_.remove(100 + 10 * number)
    assert map_.free == 90
