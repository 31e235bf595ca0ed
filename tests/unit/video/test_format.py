# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Pixel formats as text and as numbers, and the numbers of the ioctls."""

import pytest
from cm_agent.video import uapi
from cm_agent.video.format import Format, PlaneFormat, fourcc, fourcc_text
from hypothesis import given
from hypothesis import strategies as st

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=4, max_size=4)


@pytest.mark.parametrize(
    ("text", "number"),
    [("RGB3", 0x33424752), ("YUYV", 0x56595559), ("GREY", 0x59455247), ("Y16", 0x20363159)],
)
def test_number_of_a_pixel_format(text: str, number: int) -> None:
    assert fourcc(text) == number
    assert fourcc_text(number) == text.ljust(4)


def test_big_endian_variants_set_the_top_bit() -> None:
    assert fourcc("Y16 -BE") == fourcc("Y16-BE") == 0xA0363159
    assert fourcc_text(0xA0363159) == "Y16 -BE"


@given(PRINTABLE, st.booleans())
def test_text_survives_the_way_to_the_number_and_back(text: str, big_endian: bool) -> None:
    whole = text + ("-BE" if big_endian else "")
    assert fourcc_text(fourcc(whole)) == whole


@given(st.integers(0, 0xFFFFFFFF))
def test_every_number_has_a_text(number: int) -> None:
    text = fourcc_text(number)
    assert int(text, 16) == number if text.startswith("0x0") else text.isprintable()


@pytest.mark.parametrize("text", ["", "RGB24", "-BE", "ab\n", "\u00e4bcd", "RGB3-LE"])
def test_text_that_is_no_pixel_format(text: str) -> None:
    with pytest.raises(ValueError, match="four printable ASCII characters"):
        fourcc(text)


def test_a_format_reads_like_people_write_it() -> None:
    assert str(Format(640, 480, "RGB3", (PlaneFormat(921600, 1920),))) == "640x480 RGB3"


def test_numbers_carry_the_sizes_of_this_machine() -> None:
    for name, argument in {
        "VIDIOC_QUERYCAP": "struct v4l2_capability",
        "VIDIOC_S_FMT": "struct v4l2_format",
        "VIDIOC_QBUF": "struct v4l2_buffer",
        "VIDIOC_STREAMON": "int",
    }.items():
        assert uapi.NUMBERS[name] >> 16 & 0x3FFF == uapi.ffi.sizeof(argument)
        assert uapi.NUMBERS[name] >> 8 & 0xFF == ord("V")


def test_the_union_of_formats_is_as_large_as_the_kernels() -> None:
    pointer = uapi.ffi.sizeof("void *")
    assert uapi.ffi.sizeof("struct v4l2_format") == 200 + pointer
    assert uapi.ffi.offsetof("struct v4l2_format", "fmt") == pointer
