# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Where the parts of an image lie, and the arrays that a frame lends of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from cm_agent.core.errors import ClosedError, KeptError
from cm_agent.video.format import Filled, Format, Payload, PlaneFormat
from cm_agent.video.frame import Counters, Frame
from cm_agent.video.layout import parts
from unit.core.memfd_buffer import MemfdBuffer
from unit.video.test_output_buffers import Loan

MakeFrame = Callable[..., Frame]


@pytest.fixture
def frame_of(request: pytest.FixtureRequest) -> MakeFrame:
    """Make a frame of a format, of planes with these strides and sizes, and of these bytes."""

    def make(
        name: str, width: int, height: int, planes: list[tuple[int, int]], offset: int = 0
    ) -> Frame:
        whole = Format(width, height, name, tuple(PlaneFormat(s, b) for b, s in planes))
        sizes = [offset + size + 4096 for _, size in planes]
        buffers = tuple(
            MemfdBuffer.holding((np.arange(size) % 251).astype(np.uint8).tobytes())
            for size in sizes
        )
        for buffer in buffers:
            request.addfinalizer(buffer.close)
        payloads = tuple(Payload(size, offset) for _, size in planes)
        return Frame(buffers, Filled(0, payloads, 0, 0, error=False), whole, Counters())

    return make


def at(frame: Frame, plane: int, offset: int) -> int:
    with frame.buffers[plane].cpu_access() as view:
        return view[offset]


PACKED_SHAPES = {
    "GREY": ((4, 6), "u1"),
    "Y16": ((4, 6), "<u2"),
    "Y16 ": ((4, 6), "<u2"),
    "YUYV": ((4, 6, 2), "u1"),
    "RGB3": ((4, 6, 3), "u1"),
    "BGR3": ((4, 6, 3), "u1"),
    "AB24": ((4, 6, 4), "u1"),
    "RGBP": ((4, 6), "<u2"),
}


@pytest.mark.parametrize("name", PACKED_SHAPES)
def test_pixels_side_by_side_are_one_array_with_padded_rows(frame_of: MakeFrame, name: str) -> None:
    shape, dtype = PACKED_SHAPES[name]
    frame = frame_of(name, 6, 4, [(32, 128)], offset=16)
    with frame.array() as image:
        assert (image.shape, image.dtype) == (shape, np.dtype(dtype))
        assert image.strides[0] == 32 and not image.flags.owndata
        first_of_row_3 = image[3].ravel().view(np.uint8)[0]
    assert first_of_row_3 == at(frame, 0, 16 + 3 * 32)


PLANES = {
    # name, size, (stride, bytes) of each plane: (plane, offset, shape, stride) of each part
    "NV12": (6, 4, [(8, 48)], [(0, 0, (4, 6), 8), (0, 32, (2, 3, 2), 8)]),
    "NV21": (6, 4, [(8, 48)], [(0, 0, (4, 6), 8), (0, 32, (2, 3, 2), 8)]),
    "NM12": (6, 4, [(8, 32), (8, 16)], [(0, 0, (4, 6), 8), (1, 0, (2, 3, 2), 8)]),
    "YU12": (6, 4, [(8, 48)], [(0, 0, (4, 6), 8), (0, 32, (2, 3), 4), (0, 40, (2, 3), 4)]),
    "YM12": (
        6,
        4,
        [(8, 32), (16, 32), (16, 32)],
        [(0, 0, (4, 6), 8), (1, 0, (2, 3), 16), (2, 0, (2, 3), 16)],
    ),
    "NV16": (6, 4, [(8, 64)], [(0, 0, (4, 6), 8), (0, 32, (4, 3, 2), 8)]),
    "NV24": (6, 4, [(8, 96)], [(0, 0, (4, 6), 8), (0, 32, (4, 6, 2), 16)]),
    "422P": (6, 4, [(8, 64)], [(0, 0, (4, 6), 8), (0, 32, (4, 3), 4), (0, 48, (4, 3), 4)]),
}


@pytest.mark.parametrize("name", PLANES)
def test_luma_and_chroma_are_where_the_kernel_has_them(name: str) -> None:
    width, height, planes, expected = PLANES[name]
    format = Format(width, height, name, tuple(PlaneFormat(size, s) for s, size in planes))
    found = [(it.plane, it.offset, it.shape, it.strides[0]) for it in parts(format)]
    assert found == expected


def test_odd_sizes_are_as_vivid_has_them() -> None:
    """355x286 in YU12: its tpg_fillbuffer() goes from plane to plane by 177 * 286 / 2 bytes."""
    format = Format(355, 286, "YU12", (PlaneFormat(151_866, 355),))
    assert [(it.offset, it.shape, it.strides[0]) for it in parts(format)] == [
        (0, (286, 355), 355),
        (101_530, (143, 177), 177),
        (126_841, (143, 177), 177),
    ]


def test_planes_are_a_list_and_each_is_ended(frame_of: MakeFrame) -> None:
    frame = frame_of("NV12", 6, 4, [(8, 48)])
    with frame.array("rw") as planes:
        luma, chroma = planes
        chroma[1, 2] = 7, 8
        assert luma.shape == (4, 6)
    assert planes == [] and "ended" in repr(luma) and "ended" in repr(chroma)
    assert at(frame, 0, 32 + 8 + 5) == 8


def test_a_plane_that_is_kept_is_an_error(frame_of: MakeFrame) -> None:
    frame = frame_of("NM12", 6, 4, [(8, 32), (8, 16)])
    kept = []
    with pytest.raises(KeptError), frame.planes() as (luma, chroma):
        kept.append(chroma)
    assert "ended" in repr(luma) and frame


def test_opencv_converts_it(frame_of: MakeFrame) -> None:
    frame = frame_of("YUYV", 6, 4, [(12, 48)])
    with frame.array() as image:
        picture = cv2.cvtColor(image, cv2.COLOR_YUV2BGR_YUYV)
    assert picture.shape == (4, 6, 3)


@pytest.mark.parametrize("name", ["MJPG", "FWHT", "H264", "????"])
def test_a_format_that_has_no_array_is_named_with_some_that_have(name: str) -> None:
    with pytest.raises(ValueError, match=f"6x4 .*{name[0]}.* coded one.*GREY.*NV12"):
        parts(Format(6, 4, name, (PlaneFormat(100, 0),)))


def test_an_image_that_its_chunk_is_too_small_for_is_refused(frame_of: MakeFrame) -> None:
    frame = frame_of("GREY", 64, 4096, [(64, 4096)])
    with pytest.raises(ValueError, match=r"no array of shape \(4096, 64\)"), frame.array():
        pass
    frame.end()
    assert not frame


def test_a_frame_does_not_go_back_before_the_block_ends() -> None:
    with MemfdBuffer.holding(bytes(range(32))) as buffer:
        loan = Loan(1, format=Format(6, 4, "GREY", (PlaneFormat(32, 8),)), chunk=buffer)
        with loan.frame.array() as image:
            loan.frame.end()
            assert not loan.back and image[0, 5] == 5
        assert loan.back


USES: dict[str, Callable[[Frame], Any]] = {
    "array": lambda frame: frame.array().__enter__(),
    "planes": lambda frame: frame.planes().__enter__(),
    "buffer": lambda frame: frame.buffer,
    "buffers": lambda frame: frame.buffers,
    "copy": lambda frame: frame.copy(),
    "with": lambda frame: frame.__enter__(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_frame_that_was_given_back_cannot_be_read(
    frame_of: MakeFrame, use: Callable[[Frame], Any]
) -> None:
    frame = frame_of("GREY", 6, 4, [(8, 32)])
    with frame:
        pass
    with pytest.raises(ClosedError, match="has gone back"):
        use(frame)
