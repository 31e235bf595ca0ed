# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Which arrays a buffer lends: shape, strides and mode, and what cannot be."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from unit.core.memfd_buffer import MemfdBuffer

SIZE = 4 * mmap.PAGESIZE
ROWS = 64


@pytest.fixture
def buffer() -> Iterator[MemfdBuffer]:
    with MemfdBuffer.holding(bytes(range(256)) * (SIZE // 256)) as made:
        yield made


def test_rows_that_are_padded_are_not_copied(buffer: MemfdBuffer) -> None:
    with buffer.array((ROWS, 200), np.uint8, "rw", offset=8, strides=(256, 1)) as array:
        assert array[1, 0] == 8 and array[0, 199] == 207 and not array.flags.owndata
        array[1, 0] = 99
    with buffer.cpu_access() as view:
        assert view[256 + 8] == 99


def test_all_of_it_is_the_shape_unless_one_is_given(buffer: MemfdBuffer) -> None:
    with buffer.array() as array:
        assert array.shape == (SIZE,) and array.dtype == np.uint8
    with buffer.array(dtype="<u2", offset=4) as array:
        assert array.shape == (SIZE // 2 - 2,)


def test_mode_r_cannot_be_written(buffer: MemfdBuffer) -> None:
    with buffer.array((16,)) as array, pytest.raises(ValueError, match="read-only"):
        array[0] = 1


MADE_WRITABLE: dict[str, Callable[[Any], Any]] = {
    "flags": lambda array: setattr(array.flags, "writeable", True),
    "setflags": lambda array: array.setflags(write=True),
    "view": lambda array: array[:8].setflags(write=True),
    "base": lambda array: array.base.setflags(write=True),
}


@pytest.mark.parametrize("make", MADE_WRITABLE.values(), ids=MADE_WRITABLE)
def test_nor_be_made_writable(buffer: MemfdBuffer, make: Callable[[Any], Any]) -> None:
    with (
        buffer.array((16,)) as array,
        pytest.raises(ValueError, match="cannot set WRITEABLE flag to True"),
    ):
        make(array)


def test_mode_rw_can_be_made_read_only_and_back(buffer: MemfdBuffer) -> None:
    with buffer.array((16,), mode="rw") as array:
        array.setflags(write=False)
        array.setflags(write=True)
        array[0] = 42
    assert os.pread(buffer.fd, 1, 0) == b"*"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "too large": ({"shape": (SIZE + 1,)}, f"shape .{SIZE + 1},., dtype uint8.*of {SIZE:,}"),
    "too far": ({"shape": (16,), "offset": SIZE}, f"at byte {SIZE}"),
    "negative": ({"shape": (-1,)}, "shape"),
    "negative offset": ({"shape": (1,), "offset": -1}, "at byte -1"),
    "strides": ({"shape": (ROWS, 256), "strides": (512, 1)}, "strides .512, 1."),
    "overflow": ({"shape": (5,), "strides": (1 << 62,)}, "its bytes would be"),
    "backwards": ({"shape": (5,), "strides": (-8,)}, "its bytes would be -32"),
    "dimensions": ({"shape": (5, 5), "strides": (8,)}, "as many strides"),
    "objects": ({"shape": (1,), "dtype": object}, "dtype object"),
    "mode": ({"shape": (1,), "mode": "x"}, "'x' is no mode"),
    "modes": ({"shape": (1,), "mode": ["r"]}, "'r'. is no mode"),
}


@pytest.mark.parametrize(("given", "match"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_with_the_numbers(
    buffer: MemfdBuffer, given: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match), buffer.array(**given):
        pass
    assert buffer._accesses == 0


NO_NUMBERS: dict[str, tuple[dict[str, Any], str]] = {
    "shape": ({"shape": "64"}, "shape is a whole number, or a tuple of such, not '64' .str."),
    "shapes": ({"shape": (64, 1.5)}, "shape is a whole number, or a tuple of such, not 1.5 .float"),
    "offset": ({"offset": 1.5}, "offset is bytes, a whole number, not 1.5"),
    "strides": ({"shape": 1, "strides": ("x",)}, "strides is a whole number, or a tuple of such"),
    "dtype": ({"dtype": "bytes please"}, "bytes please"),
}


@pytest.mark.parametrize(("given", "match"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused_with_what_it_is(
    buffer: MemfdBuffer, given: dict[str, Any], match: str
) -> None:
    with pytest.raises(TypeError, match=match), buffer.array(**given):
        pass
    assert buffer._accesses == 0
