# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What holds for a map of page frames at any time; whoever breaks it sees the map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Extent:
    """Page frames that are taken; `name` tells whose they are when the map is printed."""

    start: int
    count: int
    align: int = 1
    name: str = ""

    @property
    def stop(self) -> int:
        """Return the number of the page frame behind it."""
        return self.start + self.count


def check_map(
    pages: range,
    extents: Sequence[Extent],
    *,
    used: int | None = None,
    stays: Sequence[Extent] = (),
    free: range | None = None,
    facts: Mapping[str, tuple[object, object]] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Check a map; raise AssertionError with what is wrong and the map, if something is.

    Extents are in order, not empty, in the map, aligned, and do not overlap.
    used: number of page frames that all extents have; stays: extents that must be there unchanged;
    free: page frames that none may have; facts: by name what was found, and what should have been;
    notes: lines to print behind the map.
    """
    wrong = [
        *_misplaced(pages, extents),
        *(f"{_tell(extent)} is gone" for extent in stays if extent not in extents),
    ]
    if used is not None and used != sum(extent.count for extent in extents):
        wrong.append(f"{sum(extent.count for extent in extents)} page frames in use, not {used}")
    if free is not None:
        wrong += _not_free(pages, extents, free)
    for name, (found, expected) in (facts or {}).items():
        if found != expected:
            wrong.append(f"{name}: {found}, not {expected}")
    if wrong:
        raise AssertionError("\n".join([*wrong, *draw_map(pages, extents), *notes]))


def draw_map(pages: range, extents: Sequence[Extent]) -> list[str]:
    """Return a line for each extent and each hole."""
    lines, at = [f"map {pages.start} to {pages.stop}:"], pages.start
    for extent in extents:
        if extent.start > at:
            lines.append(f"  {at:>8} {extent.start - at:>8}  -")
        lines.append(f"  {_tell(extent)}")
        at = max(at, extent.stop)
    if at < pages.stop:
        lines.append(f"  {at:>8} {pages.stop - at:>8}  -")
    return lines


def _misplaced(pages: range, extents: Sequence[Extent]) -> Iterator[str]:
    behind = pages.start
    for extent in extents:
        if extent.count < 1:
            yield f"{_tell(extent)} is empty"
        if extent.start < pages.start or extent.stop > pages.stop:
            yield f"{_tell(extent)} is not in the map"
        elif extent.start < behind:
            yield f"{_tell(extent)} overlaps what is before it, or is out of order"
        if extent.start % extent.align:
            yield f"{_tell(extent)} is not aligned"
        behind = max(behind, extent.stop)


def _not_free(pages: range, extents: Sequence[Extent], free: range) -> Iterator[str]:
    if free.start < pages.start or free.stop > pages.stop:
        yield f"{free.start} to {free.stop} is not in the map"
    for extent in extents:
        if extent.start < free.stop and free.start < extent.stop:
            yield f"{_tell(extent)} is between {free.start} and {free.stop}"


def _tell(extent: Extent) -> str:
    return f"{extent.start:>8} {extent.count:>8}  {extent.name or 'taken'}, align {extent.align}"
