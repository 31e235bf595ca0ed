# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How like two images are, of images whose difference is known."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from cm_agent.selftest.psnr import decibels, mean, psnr
from cm_agent.video.format import Filled, Format, Payload, PlaneFormat
from cm_agent.video.frame import Counters, Frame
from hypothesis import given
from hypothesis import strategies as st
from unit.core.memfd_buffer import MemfdBuffer

SHAPE = Format(8, 2, "GREY", (PlaneFormat(16, 8),))


@pytest.fixture
def frame() -> Iterator[Any]:
    with ExitStack() as stack:

        def made(data: bytes, format: Format = SHAPE) -> Frame:
            buffer = stack.enter_context(MemfdBuffer.holding(data))
            filled = Filled(0, (Payload(len(data), 0),), 0, 0, error=False)
            return Frame((buffer,), filled, format, Counters())

        yield made


def test_equal_images_have_no_noise(frame: Any) -> None:
    assert psnr(frame(bytes(range(16))), frame(bytes(range(16)))) == math.inf


def test_the_opposite_of_an_image_is_as_far_as_can_be(frame: Any) -> None:
    assert psnr(frame(bytes(16)), frame(b"\xff" * 16)) == 0


def test_one_sample_among_sixteen(frame: Any) -> None:
    there = bytes(15) + b"\x0a"
    expected = 10 * math.log10(255**2 / (10**2 / 16))
    assert psnr(frame(bytes(16)), frame(there)) == pytest.approx(expected)


def test_what_lies_behind_the_image_does_not_count(frame: Any) -> None:
    assert psnr(frame(bytes(20)), frame(bytes(16) + b"tail")) == math.inf


def test_the_chroma_counts_too(frame: Any) -> None:
    shape = Format(4, 4, "YU12", (PlaneFormat(24, 4),))
    there = bytes(23) + b"\x01"
    expected = 10 * math.log10(255**2 * 24)
    assert psnr(frame(bytes(24), shape), frame(there, shape)) == pytest.approx(expected)


def test_neither_image_is_copied(frame: Any) -> None:
    ours, theirs = frame(bytes(16)), frame(bytes(16))
    psnr(ours, theirs)
    assert ours._counters.bytes_copied == theirs._counters.bytes_copied == 0


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(SHAPE, width=4), "in 8x2 GREY and in 4x2 GREY cannot be compared"),
        (replace(SHAPE, planes=(PlaneFormat(32, 16),)), "cannot be compared"),
    ],
)
def test_images_of_other_shapes_are_refused(frame: Any, other: Format, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        psnr(frame(bytes(32)), frame(bytes(32), other))


def test_padded_rows_are_refused(frame: Any) -> None:
    padded = replace(SHAPE, planes=(PlaneFormat(32, 16),))
    with pytest.raises(ValueError, match="their rows are padded"):
        psnr(frame(bytes(32), padded), frame(bytes(32), padded))


@given(st.lists(st.integers(1, 1 << 40), min_size=1, max_size=20), st.integers(1, 1 << 20))
def test_the_mean_of_many_is_that_of_all_their_errors(errors: list[int], samples: int) -> None:
    together = decibels(sum(errors), samples * len(errors))
    assert mean(decibels(it, samples) for it in errors) == pytest.approx(together)


def test_the_mean_of_equal_images_is_without_noise() -> None:
    assert mean([math.inf, math.inf]) == math.inf
