# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The checker of maps, which must not overlook anything."""

from __future__ import annotations

from typing import Any

import pytest
from unit.kmod.kernel.invariants import Extent, check_map, draw_map

PAGES = range(8, 24)
GOOD = (Extent(8, 2), Extent(12, 4, 4, "chunk 7"), Extent(16, 8))


def test_map_that_is_right_is_accepted() -> None:
    check_map(PAGES, GOOD, used=14, stays=GOOD[1:], free=range(10, 12))


@pytest.mark.parametrize(
    ("extents", "expected", "said"),
    [
        ((Extent(8, 0),), {}, "is empty"),
        ((Extent(7, 2),), {}, "not in the map"),
        ((Extent(20, 5),), {}, "not in the map"),
        ((Extent(8, 4), Extent(11, 2)), {}, "overlaps"),
        ((Extent(8, 9), Extent(9, 1), Extent(12, 2)), {}, "overlaps"),
        ((Extent(12, 2), Extent(8, 2)), {}, "out of order"),
        ((Extent(10, 4, 4),), {}, "not aligned"),
        (GOOD, {"used": 13}, "14 page frames in use, not 13"),
        (GOOD, {"stays": [Extent(12, 4, 4, "chunk 8")]}, "is gone"),
        (GOOD, {"free": range(11, 13)}, "is between 11 and 13"),
        (GOOD, {"free": range(23, 25)}, "not in the map"),
    ],
)
def test_fault_is_told_with_the_map(
    extents: tuple[Extent, ...], expected: dict[str, Any], said: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        check_map(PAGES, extents, **expected)
    assert said in str(caught.value)
    assert str(caught.value).endswith("\n".join(draw_map(PAGES, extents)))


def test_map_shows_extents_and_holes() -> None:
    assert [line.split() for line in draw_map(PAGES, GOOD[:2])] == [
        ["map", "8", "to", "24:"],
        ["8", "2", "taken,", "align", "1"],
        ["10", "2", "-"],
        ["12", "4", "chunk", "7,", "align", "4"],
        ["16", "8", "-"],
    ]
