# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Spans of addresses, against sets of numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from overlays.span import Span, cut, highest, joined

SPANS = st.lists(st.builds(Span, st.integers(0, 40), st.integers(0, 12)), max_size=5)


def numbers(spans: list[Span]) -> set[int]:
    """Return all the addresses in spans."""
    return {address for span in spans for address in range(span.start, span.end)}


@given(SPANS)
def test_joining_changes_no_address_and_leaves_gaps(spans: list[Span]) -> None:
    result = joined(spans)
    assert numbers(result) == numbers(spans)
    assert all(one.end < other.start for one, other in pairwise(result))


@given(SPANS, SPANS)
def test_cutting_leaves_what_is_in_no_hole(spans: list[Span], holes: list[Span]) -> None:
    assert numbers(cut(spans, holes)) == numbers(spans) - numbers(holes)


@given(SPANS, st.integers(1, 12), st.sampled_from([1, 2, 4]))
def test_the_highest_place_is_the_last_that_fits(
    spans: list[Span], size: int, alignment: int
) -> None:
    fitting = [
        start
        for span in spans
        for start in range(span.start, span.end - size + 1)
        if start % alignment == 0
    ]
    assert highest(spans, size, alignment) == (Span(max(fitting), size) if fitting else None)
