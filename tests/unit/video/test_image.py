# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Known pixels become a picture and come back from the PNG."""

from pathlib import Path

import pytest
from cm_agent.video.format import Format, PlaneFormat
from cm_agent.video.image import to_image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PICTURE = [[RED, GREEN], [BLUE, WHITE], [WHITE, RED]]
BYTES = {"GREY": 1, "YUYV": 2, "RGB3": 3, "BGR3": 3}
WIDTH, HEIGHT, PADDING = 2, 3, 5


def frame_format(pixelformat: str, *, full_range: bool = True, padding: int = PADDING) -> Format:
    stride = WIDTH * BYTES[pixelformat] + padding
    planes = (PlaneFormat(stride * HEIGHT, stride),)
    return Format(WIDTH, HEIGHT, pixelformat, planes, full_range)


def padded(rows: list[bytes]) -> bytes:
    return b"".join(row + b"\xee" * PADDING for row in rows)


def through_png(image: Image.Image, path: Path) -> list[list[object]]:
    image.save(path)
    with Image.open(path) as read:
        assert read.size == (WIDTH, HEIGHT)
        return [[read.getpixel((x, y)) for x in range(WIDTH)] for y in range(HEIGHT)]


@pytest.mark.parametrize(("pixelformat", "step"), [("RGB3", 1), ("BGR3", -1)])
def test_colours_keep_their_places(pixelformat: str, step: int, tmp_path: Path) -> None:
    data = padded([b"".join(bytes(pixel[::step]) for pixel in row) for row in PICTURE])
    image = to_image([data], frame_format(pixelformat))
    assert through_png(image, tmp_path / "frame.png") == PICTURE


def test_grey_keeps_its_values(tmp_path: Path) -> None:
    rows = [[0, 1], [128, 129], [254, 255]]
    image = to_image([padded([bytes(row) for row in rows])], frame_format("GREY"))
    assert through_png(image, tmp_path / "frame.png") == rows


def test_yuyv_of_the_usual_range_spans_black_to_white(tmp_path: Path) -> None:
    rows = [bytes([16, 128, 235, 128]), bytes([126, 128, 126, 128]), bytes([81, 90, 81, 240])]
    image = to_image([padded(rows)], frame_format("YUYV", full_range=False))
    black_white, grey, red = through_png(image, tmp_path / "frame.png")
    assert black_white == [(0, 0, 0), WHITE]
    assert grey == [(128, 128, 128)] * 2
    for pixel in red:
        assert isinstance(pixel, tuple)
        assert all(abs(got - want) <= 3 for got, want in zip(pixel, RED, strict=True))


def test_yuyv_of_the_full_range_is_not_stretched(tmp_path: Path) -> None:
    rows = [bytes([16, 128, 235, 128])] * HEIGHT
    image = to_image([padded(rows)], frame_format("YUYV"))
    assert through_png(image, tmp_path / "frame.png") == [[(16,) * 3, (235,) * 3]] * HEIGHT


@given(st.binary(min_size=18, max_size=18))
def test_any_rgb_pixels_come_back(data: bytes) -> None:
    assert to_image([data], frame_format("RGB3", padding=0)).tobytes() == data


def test_the_last_row_needs_no_padding() -> None:
    data = padded([bytes(6)] * HEIGHT)
    assert to_image([data[:-PADDING]], frame_format("RGB3")).size == (WIDTH, HEIGHT)
    with pytest.raises(ValueError, match=r"has 28 bytes, there are 27"):
        to_image([data[: -PADDING - 1]], frame_format("RGB3"))


def test_a_stride_below_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="stride of 5"):
        to_image([bytes(100)], frame_format("RGB3", padding=-1))


def planar(pixelformat: str, chroma: bytes) -> list[list[object]]:
    """Make a picture of a white column beside a black one, over two rows."""
    size = 4 + len(chroma)
    shape = Format(2, 2, pixelformat, (PlaneFormat(size, 2),), full_range=True)
    image = to_image([bytes([255, 0, 255, 0]) + chroma], shape)
    return [[image.getpixel((x, y)) for x in range(2)] for y in range(2)]


@pytest.mark.parametrize("pixelformat", ["YU12", "NV12"])
def test_planes_of_chroma_behind_the_luma(pixelformat: str) -> None:
    assert planar(pixelformat, bytes([128, 128])) == [[WHITE, (0, 0, 0)]] * 2
    (_, dark), _ = planar(pixelformat, bytes([128, 255]))
    assert isinstance(dark, tuple) and dark[0] > 150 and dark[2] == 0, "Cr comes second: red"


def test_rows_of_chroma_are_half_as_far_apart() -> None:
    shape = Format(2, 4, "YU12", (PlaneFormat(24, 4),))
    luma = bytes([0, 0, 9, 9]) * 4
    chroma = bytes([128, 9]) * 2 + bytes([128, 9, 255])
    upper, lower = (to_image([luma + chroma], shape).getpixel((0, y)) for y in (0, 3))
    assert upper == (0, 0, 0) and lower != upper
    with pytest.raises(ValueError, match="has 23 bytes, there are 22"):
        to_image([luma + chroma[:-1]], shape)


def test_other_formats_are_refused_with_what_can_be_asked_for() -> None:
    with pytest.raises(ValueError, match="RGB3, BGR3, GREY, YUYV, YU12, YM12, NV12"):
        to_image([b""], Format(2, 2, "MJPG", (PlaneFormat(0, 0),)))
