# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A map of kmod/placement.c, driven from Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from unit.kernel.host import load


@dataclass(frozen=True)
class Request:
    """What is looked for, in page frames."""

    count: int
    align: int
    stride: int


class Key(NamedTuple):
    """A place; a search visits them in this order."""

    hole_count: int
    start: int


FIRST = Key(0, 0)


class PlacementMap:
    """The C structure, and the extents in it by their start."""

    def __init__(self, start: int, count: int, bits: int = 64) -> None:
        self._ffi, self._lib = load("placement", bits)
        self._map: Any = self._ffi.new("struct cm_placement *")
        self.extents: dict[int, Any] = {}
        self._lib.cm_placement_init(self._map, start, count)

    @property
    def used(self) -> int:
        """Return the page frames that the map counts as taken."""
        return int(self._map.used)

    @property
    def free(self) -> int:
        """Return the page frames that the map says no chunk has."""
        return int(self._lib.cm_placement_free(self._map))

    @property
    def largest_hole(self) -> int:
        """Return the size of the largest hole."""
        return int(self._lib.cm_placement_largest_hole(self._map))

    def cursor(self, after: Key = FIRST) -> Any:
        """Return a cursor that stands on a place, or before the first one."""
        return self._ffi.new("struct cm_place *", after._asdict())

    def next(self, request: Request, place: Any) -> Key | None:
        """Move the cursor to the next place; check that it stays where it is if there is none."""
        before = bytes(self._ffi.buffer(place))
        wanted = (request.count, request.align, request.stride)
        if self._lib.cm_placement_next(self._map, *wanted, place):
            return Key(place.hole_count, place.start)
        assert bytes(self._ffi.buffer(place)) == before
        return None

    def search(self, request: Request) -> Iterator[Key]:
        """Yield place after place."""
        place = self.cursor()
        while key := self.next(request, place):
            yield key

    def insert(self, place: Any, count: int) -> int:
        """Take the page frames at a place; return their start, by which remove() knows them."""
        extent = self._ffi.new("struct cm_extent *")
        self._lib.cm_placement_insert(self._map, extent, place, count)
        self.extents[place.start] = extent
        return int(place.start)

    def take(self, start: int, count: int, *, spare: bool = False) -> bool:
        """Take certain page frames, for a chunk or as spare; tell whether they were free."""
        extent: Any = self._ffi.new("struct cm_extent *", {"spare": spare})
        if not self._lib.cm_placement_take(self._map, extent, start, count):
            return False
        self.extents[start] = extent
        return True

    def append(self, start: int, count: int) -> None:
        """Take page frames behind all that are taken, wherever a search would have put them."""
        place = self.cursor(Key(0, start))
        place.prev = self._map.extents.prev
        self.insert(place, count)

    def leave(self, start: int, count: int) -> None:
        """Give up an extent, of which so many page frames have yet to be given back."""
        self._lib.cm_placement_leave(self._map, self.extents[start], count)

    def remove(self, start: int) -> None:
        """Give an extent back."""
        extent = self.extents.pop(start)
        assert self._lib.cm_extent_is_taken(extent)
        self._lib.cm_placement_remove(self._map, extent)
        assert not self._lib.cm_extent_is_taken(extent)

    def walk(self, direction: str) -> list[tuple[int, int]]:
        """Return (start, count) of what is in the list, read along "next" or "prev"."""
        known = {self._ffi.addressof(extent, "node"): extent for extent in self.extents.values()}
        head = self._ffi.addressof(self._map, "extents")
        node, found = getattr(head, direction), []
        while node != head:
            extent = known.pop(node)
            found.append((int(extent.start), int(extent.count)))
            node = getattr(node, direction)
        return found
