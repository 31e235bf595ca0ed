# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A map of kmod/placement.c, driven from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unit.kmod.kernel.host import load
from unit.kmod.kernel.invariants import Extent

# A horizon after which nothing can be stuck: no granule is avoided.
NEVER = (1 << 64) - 1
# No valid value of a bool, so that the sanitizer notices who reads it.
GARBAGE = 0xA5


@dataclass
class Granule:
    """A granule, as struct cm_granule describes it."""

    since: int = 0
    users: int = 0
    taken: bool = False


@dataclass(frozen=True)
class Want:
    """What place is looked for, as struct cm_want describes it."""

    count: int
    align: int = 1
    taken: bool = False
    horizon: int = NEVER


class PlacementMap:
    """The C structures: a map, its granules, and the extents in it by their start.

    A page here stands for 1 << shift page frames there, so that a small model is enough for maps
    of any size.
    """

    def __init__(
        self,
        pages: range,
        order: int = 0,
        granules: Sequence[Granule] = (),
        *,
        bits: int = 64,
        shift: int = 0,
    ) -> None:
        self._ffi, self._lib = load("placement", bits)
        self._shift = shift
        self._granule_count = -(-len(pages) >> order)
        self._memory = self._guarded(granules or [Granule(taken=True)] * self._granule_count)
        self._bank: Any = self._ffi.new(
            "struct cm_bank *",
            {
                "start": pages.start << shift,
                "count": len(pages) << shift,
                "order": order + shift,
                "granules": self._memory + 1,
                "granule_count": self._granule_count,
            },
        )
        self._map: Any = self._ffi.new("struct cm_placement *")
        size = self._ffi.sizeof(self._map[0])
        self._ffi.memmove(self._map, bytes([GARBAGE]) * size, size)
        self.keep(pages.start, len(pages))
        self.extents: dict[int, Any] = {}
        self._lib.cm_placement_init(self._map, self._bank)

    def _guarded(self, granules: Sequence[Granule]) -> Any:
        """Return granules in C, with garbage in front of the first and behind the last."""
        assert len(granules) == self._granule_count
        memory = self._ffi.new("struct cm_granule[]", len(granules) + 2)
        size = self._ffi.sizeof(memory)
        self._ffi.memmove(memory, bytes([GARBAGE]) * size, size)
        for index, granule in enumerate(granules):
            memory[index + 1] = vars(granule)
        return memory

    @property
    def used(self) -> int:
        """Return the pages that the map counts as used."""
        return self._pages(self._map.used)

    @property
    def free(self) -> int:
        """Return the pages that the map says no chunk has."""
        return self._pages(self._lib.cm_placement_free(self._map))

    @property
    def largest_hole(self) -> int:
        """Return the size of the largest hole."""
        return self._pages(self._lib.cm_placement_largest_hole(self._map))

    @property
    def extent_count(self) -> int:
        """Return the number of extents that the map counts."""
        return int(self._map.extent_count)

    @property
    def granules(self) -> list[Granule]:
        """Return what the granules are; check that nothing wrote beside them."""
        edges = (self._memory[0:1], self._memory[self._granule_count + 1 : self._granule_count + 2])
        for edge in edges:
            assert set(bytes(self._ffi.buffer(edge))) == {GARBAGE}
        found = self._memory[1 : self._granule_count + 1]
        return [Granule(item.since, item.users, bool(item.taken)) for item in found]

    def set_granule(self, index: int, *, since: int, taken: bool) -> None:
        """Do to a granule what pool.c does when it takes it, fails to, or gives it back."""
        self._memory[index + 1].since = since
        self._memory[index + 1].taken = taken

    def is_stuck(self, index: int, horizon: int) -> bool:
        """Return whether a granule is better avoided."""
        return bool(self._lib.cm_granule_is_stuck(self._memory + 1 + index, horizon))

    def keep(self, start: int, count: int) -> None:
        """Have find() find no place in a range; 0 pages end that."""
        self._map.kept_start = start << self._shift
        self._map.kept_count = count << self._shift

    def find(self, want: Want) -> Any:
        """Return the best place, or None."""
        count, align = want.count << self._shift, want.align << self._shift
        wanted = {"count": count, "align": align, "taken": want.taken, "horizon": want.horizon}
        return self._place(self._lib.cm_placement_find, self._ffi.new("struct cm_want *", wanted))

    def at(self, start: int, count: int) -> Any:
        """Return a certain place, or None if not all of it is free."""
        return self._place(self._lib.cm_placement_at, start << self._shift, count << self._shift)

    def _place(self, function: Any, *arguments: object) -> Any:
        """Return what a function finds; check that it leaves the place alone if that is nothing."""
        place = self._ffi.new("struct cm_place *", {"start": GARBAGE})
        before = bytes(self._ffi.buffer(place))
        if function(self._map, *arguments, place):
            return place
        assert bytes(self._ffi.buffer(place)) == before
        return None

    def start_of(self, place: Any) -> int:
        """Return the first page of a place."""
        return self._pages(place.start)

    def insert(self, place: Any, count: int, *, reserved: bool = False) -> int:
        """Occupy a place; return its start, by which remove() knows it."""
        extent = self._ffi.new("struct cm_extent *", {"reserved": reserved})
        self._lib.cm_placement_insert(self._map, extent, place, count << self._shift)
        start = self.start_of(place)
        self.extents[start] = extent
        return start

    def remove(self, start: int, now: int = 0) -> None:
        """Free the pages of an extent."""
        self._lib.cm_placement_remove(self._map, self.extents.pop(start), now)

    def walk(self, direction: str = "next") -> list[Extent]:
        """Return what is in the list, read along "next" or "prev"."""
        known = {self._ffi.addressof(extent, "node"): extent for extent in self.extents.values()}
        head = self._ffi.addressof(self._map, "extents")
        node, found = getattr(head, direction), []
        while node != head:
            extent = known.pop(node)
            name = "reserved" if extent.reserved else "chunk"
            found.append(Extent(self._pages(extent.start), self._pages(extent.count), name=name))
            node = getattr(node, direction)
        return found

    def _pages(self, frames: int) -> int:
        assert frames % (1 << self._shift) == 0
        return int(frames >> self._shift)
