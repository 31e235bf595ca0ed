# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The judge of tests/hil/test_compaction.py, on maps so small that all arrangements are tried."""

from __future__ import annotations

import pytest
from hil.packing import Chunk, bins, has_room
from hypothesis import given, settings
from hypothesis import strategies as st

PAGES = 12


@st.composite
def layouts(draw: st.DrawFn) -> list[Chunk]:
    """Draw chunks of a context of 12 pages."""
    chunks: list[Chunk] = []
    at = 0
    for _ in range(draw(st.integers(0, 5))):
        at += draw(st.integers(0, 2))
        size = draw(st.integers(1, 3))
        if at + size <= PAGES:
            chunks.append(Chunk(at, size, 1, draw(st.booleans())))
        at += size
    return chunks


def pages(start: int, count: int) -> frozenset[int]:
    """Return the numbers of pages in a row."""
    return frozenset(range(start, start + count))


def can_all_be_put(sizes: list[int], taken: frozenset[int]) -> bool:
    """Try every place for each of them."""
    if not sizes:
        return True
    return any(
        can_all_be_put(sizes[1:], taken | pages(at, sizes[0]))
        for at in range(PAGES - sizes[0] + 1)
        if taken.isdisjoint(pages(at, sizes[0]))
    )


@given(layouts(), st.integers(1, PAGES))
@settings(max_examples=500)
def test_judge_agrees_with_every_arrangement(chunks: list[Chunk], wanted: int) -> None:
    fixed = frozenset[int]().union(*(pages(it.offset, it.size) for it in chunks if it.fixed))
    loose = [it.size for it in chunks if not it.fixed]
    assert has_room(PAGES, chunks, wanted) == can_all_be_put([wanted, *loose], fixed)


def test_bins_are_what_lies_between_fixed_chunks() -> None:
    chunks = [Chunk(0, 2, 1, True), Chunk(3, 1, 1, False), Chunk(5, 1, 1, True)]
    assert bins(9, chunks) == [0, 3, 3]


def test_judge_does_not_guess_where_alignments_matter() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        has_room(16, [Chunk(4, 4, 4, False), Chunk(8, 1, 1, False)], 4)
