# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Gaps in a driver's sequence numbers."""

import pytest
from cm_agent.video.camera import missed
from hypothesis import given
from hypothesis import strategies as st

WORD = st.integers(0, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("expected", "came", "gap"),
    [
        (None, 0, 0),
        (None, 17, 0),
        (1, 1, 0),
        (1, 2, 1),
        (5, 25, 20),
        (0xFFFFFFFF, 0xFFFFFFFF, 0),
        (0, 0, 0),
        (0xFFFFFFFE, 1, 3),
        (10, 9, 0),
        (500, 0, 0),
    ],
)
def test_frames_between(expected: int | None, came: int, gap: int) -> None:
    assert missed(expected, came) == gap


@given(WORD, st.integers(0, (1 << 31) - 1))
def test_a_gap_is_counted_across_the_end_of_the_numbers(expected: int, gap: int) -> None:
    assert missed(expected, (expected + gap) % (1 << 32)) == gap
