# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What must hold of every map, before and after every step; a broken map is printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from string import ascii_letters

# A map of more page frames is printed as a table only.
MOST_DRAWN = 200


def check_map(
    pages: range,
    extents: Sequence[tuple[int, int]],
    facts: Mapping[str, tuple[object, object]] | None = None,
    rows: Mapping[str, str] | None = None,
) -> None:
    """Check a map; raise AssertionError with all that is wrong, and the map, if anything is.

    pages: the page frames of the map
    extents: start and count of what is occupied, in the order of the map
    facts: by name what was found, and what is expected
    rows: by name a character for each page frame, printed below the map
    """
    wrong = [*_wrong_extents(pages, extents)]
    for name, (found, expected) in (facts or {}).items():
        if found != expected:
            wrong.append(f"{name}: {found}, not {expected}")
    if wrong:
        raise AssertionError("\n".join([*wrong, draw_map(pages, extents, rows)]))


def _wrong_extents(pages: range, extents: Sequence[tuple[int, int]]) -> Iterable[str]:
    for start, count in extents:
        if count < 1:
            yield f"{start}+{count} is empty"
        if start < pages.start or start + count > pages.stop:
            yield f"{start}+{count} is outside the map"
    for (start, count), (after, after_count) in pairwise(extents):
        if after < start:
            yield f"{after}+{after_count} comes after {start}+{count}: not in order"
        elif after < start + count:
            yield f"{start}+{count} and {after}+{after_count} overlap"


def draw_map(
    pages: range, extents: Sequence[tuple[int, int]], rows: Mapping[str, str] | None = None
) -> str:
    """Return a map as text: a letter for each page frame of an extent, "." free, "!" twice."""
    names = [ascii_letters[index % len(ascii_letters)] for index in range(len(extents))]
    lines = [f"map {pages.start}+{len_of(pages)}"]
    if len_of(pages) <= MOST_DRAWN:
        drawn = ["."] * len_of(pages)
        for name, (start, count) in zip(names, extents, strict=True):
            for page in range(max(start, pages.start), min(start + count, pages.stop)):
                at = page - pages.start
                drawn[at] = name if drawn[at] == "." else "!"
        width = max(map(len, ["extents", *(rows or {})]))
        for title, row in {"extents": "".join(drawn), **(rows or {})}.items():
            lines.append(f"  {title:{width}} |{row}|")
    for name, (start, count) in zip(names, extents, strict=True):
        lines.append(f"  {name}: {start}+{count}, {start - pages.start} behind the start")
    return "\n".join(lines)


def len_of(pages: range) -> int:
    """Return the number of page frames, which may be too large for len()."""
    return pages.stop - pages.start
