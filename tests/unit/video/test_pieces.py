# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Images of ordinary memory, row by row where a device wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cm_agent.video.format import Format, PlaneFormat
from cm_agent.video.pieces import image_pieces, packet_pieces
from hypothesis import given
from hypothesis import strategies as st

GREY = Format(6, 4, "GREY", (PlaneFormat(32, 8),))
RGB = Format(6, 4, "RGB3", (PlaneFormat(72, 18),))
I420 = Format(6, 4, "YU12", (PlaneFormat(36, 6),))
NV12M = Format(6, 4, "NM12", (PlaneFormat(32, 8), PlaneFormat(16, 8)))
Y16 = Format(6, 4, "Y16 ", (PlaneFormat(48, 12),))


def copied(image: Any, format: Format) -> list[bytes]:
    planes = [memoryview(bytearray(b"." * plane.size)) for plane in format.planes]
    for piece in image_pieces(image, format):
        piece.copy_to(planes[piece.part.plane])
    return [bytes(plane) for plane in planes]


def test_rows_are_as_far_apart_as_the_driver_wants() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(4, 6)
    (plane,) = copied(image, GREY)
    assert plane == b"".join(image[row].tobytes() + b".." for row in range(4))


def test_luma_and_chroma_of_one_object_follow_each_other_as_in_opencv() -> None:
    image = np.arange(36, dtype=np.uint8).reshape(6, 6)
    assert copied(image, I420) == [image.tobytes()]


def test_luma_and_chroma_may_be_a_list_and_go_into_planes_of_their_own() -> None:
    luma, chroma = np.full((4, 6), 1, np.uint8), np.full((2, 3, 2), 2, np.uint8)
    first, second = copied([luma, chroma], NV12M)
    assert first == (b"\1" * 6 + b"..") * 4 and second == (b"\2" * 6 + b"..") * 2


def test_the_rows_below_the_image_are_left_alone() -> None:
    cropped = Format(6, 4, "YU12", (PlaneFormat(48, 8),)).cropped(6, 2)
    (plane,) = copied(bytes(18), cropped)
    luma, unused, first = bytes(6) + b"..", b"........", bytes(3) + b"."
    assert plane == luma * 2 + unused * 2 + first + b"...." + first + b"...."


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::-1]])
def test_a_view_whose_rows_are_elsewhere_is_put_in_order(view: Any) -> None:
    image = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)[view]
    assert copied(image, RGB) == [image.tobytes()]


@given(st.binary(min_size=24, max_size=24))
def test_bytes_are_an_image_without_padding(data: bytes) -> None:
    (plane,) = copied(data, GREY)
    assert b"".join(plane[at : at + 6] for at in (0, 8, 16, 24)) == data


def test_numbers_of_two_bytes_are_those_of_the_format() -> None:
    image = np.arange(24, dtype="<u2").reshape(4, 6)
    assert copied(image, Y16) == [image.tobytes()]


WRONG = {
    "transposed": (np.zeros((6, 4, 3), np.uint8), RGB, r"shape \(6, 4, 3\).*\(4, 6, 3\) of u1"),
    "pixels": (np.zeros((4, 18), np.uint8)[:, :, None], RGB, r"\(4, 18, 1\)"),
    "floats": (np.zeros((4, 6), np.float32), GREY, "of 4-byte 'f': no image of 6x4 GREY"),
    "wide numbers": (np.zeros((4, 3), np.uint16), GREY, "of 2-byte 'H'"),
    "half floats": (np.zeros((4, 6), np.float16), Y16, "of 2-byte 'e'"),
    "another order": (np.zeros((4, 6), ">u2"), Y16, "of 2-byte '>H'"),
    "one number": (np.array(7, np.uint8), GREY, r"shape \(\)"),
    "short": (bytes(23), GREY, "23 bytes: no image of 6x4 GREY, which has .* 24 bytes"),
    "parts": ([bytes(24)], I420, r"1 parts are no image of 6x4 YU12, which has 3: \(4, 6\) and"),
    "chroma": ([bytes(24), bytes(6), bytes(5)], I420, r"5 bytes: .* \(2, 3\) of u1, 6 bytes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_shape_is_refused_with_both(name: str) -> None:
    image, format, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        image_pieces(image, format)


@pytest.mark.parametrize("image", [7, "text", object(), None])
def test_what_has_no_bytes_is_refused_with_what_has(image: Any) -> None:
    with pytest.raises(TypeError, match=f"{type(image).__name__} has no bytes: a NumPy array"):
        image_pieces(image, GREY)


def test_a_packet_is_one_piece_and_a_large_one_is_refused_with_both_numbers() -> None:
    coded = Format(6, 4, "H264", (PlaneFormat(10, 0),))
    (piece,) = packet_pieces(b"0123456789", coded)
    plane = bytearray(10)
    piece.copy_to(memoryview(plane))
    assert plane == b"0123456789"
    with pytest.raises(ValueError, match=r"11 bytes .* buffers of 10: .*coded_size=11"):
        packet_pieces(bytes(11), coded)
