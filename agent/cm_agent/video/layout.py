# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Where the parts of an image lie in its planes, as arrays have it.

Formats and the rules for their strides: the kernel's pixfmt-rgb.rst, pixfmt-yuv-luma.rst,
pixfmt-packed-yuv.rst and pixfmt-yuv-planar.rst.
"""

from __future__ import annotations

from typing import NamedTuple

from cm_agent.video.format import Format, PlaneFormat

PACKED: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("GREY", "BA81", "GBRG", "GRBG", "RGGB"), ("u1", 1)),
    **dict.fromkeys(("Y10", "Y12", "Y14", "Y16"), ("<u2", 1)),
    "Y16-BE": (">u2", 1),
    **dict.fromkeys(("RGBP", "XR15", "AR15", "XR12", "AR12"), ("<u2", 1)),
    **dict.fromkeys(("YUYV", "YVYU", "UYVY", "VYUY"), ("u1", 2)),
    **dict.fromkeys(("RGB3", "BGR3", "YUV3"), ("u1", 3)),
    **dict.fromkeys(
        ("RGB4", "BGR4", "XR24", "AR24", "XB24", "AB24", "RX24", "RA24", "BX24", "BA24"), ("u1", 4)
    ),
}
"""Pixel formats whose pixels lie side by side: dtype and numbers of each."""


class Planar(NamedTuple):
    """How chroma is kept: one sample for so many columns and rows of luma, pairs or two planes."""

    columns: int
    rows: int
    pairs: bool


PLANAR: dict[str, Planar] = {
    **dict.fromkeys(("NV12", "NV21", "NM12", "NM21"), Planar(2, 2, True)),
    **dict.fromkeys(("NV16", "NV61", "NM16", "NM61"), Planar(2, 1, True)),
    **dict.fromkeys(("NV24", "NV42"), Planar(1, 1, True)),
    **dict.fromkeys(("YU12", "YV12", "YM12", "YM21"), Planar(2, 2, False)),
    **dict.fromkeys(("422P", "YM16", "YM61"), Planar(2, 1, False)),
    **dict.fromkeys(("YM24", "YM42"), Planar(1, 1, False)),
}
"""Pixel formats whose luma lies before their chroma, or in a plane of its own."""
SEVERAL_PLANES = ("NM", "YM")
"""How those of PLANAR begin whose luma and chroma are in planes, and buffers, of their own."""


def tight(width: int, height: int, pixelformat: str) -> Format:
    """Return the format of such images with no bytes between rows; ValueError when not known."""
    name = pixelformat.strip()
    if name in PACKED:
        dtype, numbers = PACKED[name]
        stride = width * numbers * int(dtype[-1])
        return Format(width, height, pixelformat, (PlaneFormat(stride * height, stride),))
    if name not in PLANAR:
        what = f"the size of {width}x{height} {pixelformat} cannot be computed"
        raise ValueError(f"{what}: it is a coded one, or not known here")
    kept = PLANAR[name]
    stride = -(-width // kept.columns) * (2 if kept.pairs else 1)
    chroma = PlaneFormat(stride * -(-height // kept.rows), stride)
    planes = [PlaneFormat(width * height, width), *([chroma] * (1 if kept.pairs else 2))]
    if not name.startswith(SEVERAL_PLANES):
        planes = [PlaneFormat(sum(plane.size for plane in planes), width)]
    return Format(width, height, pixelformat, tuple(planes))


class Part(NamedTuple):
    """Pixels of one kind: in which plane of the frame, and there as what array; bytes."""

    plane: int
    offset: int
    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...]

    @property
    def row(self) -> int:
        """Bytes of a row, without what pads it."""
        return self.shape[1] * self.strides[1]

    @property
    def end(self) -> int:
        """Bytes that its plane has up to the last one of the last row."""
        return self.offset + (self.shape[0] - 1) * self.strides[0] + self.row

    @property
    def rows(self) -> range:
        """Where in its plane each row begins."""
        stride = self.strides[0]
        return range(self.offset, self.offset + self.shape[0] * stride, stride)


def parts(format: Format) -> list[Part]:
    """Return the parts of an image: one, or luma and chroma in the order in which they lie.

    (rows, columns), and behind that the numbers of a pixel, if it has several. ValueError for a
    pixel format that is not known here, such as a coded one.
    """
    name = format.pixelformat.strip()
    if name in PACKED:
        dtype, numbers = PACKED[name]
        return [_part(0, 0, format.height, format.width, numbers, dtype, format.planes[0].stride)]
    if name not in PLANAR:
        hint = "it is a coded one, or not known here; ask for GREY, YUYV, RGB3, BGR3, NV12 or YU12"
        raise ValueError(f"{format} has no array: {hint}")
    return _planar(format, PLANAR[name])


def _planar(format: Format, kept: Planar) -> list[Part]:
    luma, *others = format.planes
    found = [_part(0, 0, format.height, format.width, 1, "u1", luma.stride)]
    height = format.rows or format.height
    plane, offset, numbers = 0, luma.stride * height, 2 if kept.pairs else 1
    for number in range(1 if kept.pairs else 2):
        stride = luma.stride * numbers // kept.columns
        if others:
            plane, offset, stride = number + 1, 0, others[number].stride
        # Of odd sizes, that is what vivid and v4l2-common's drivers agree on.
        columns = min(-(-format.width // kept.columns), stride // numbers)
        rows = format.height // kept.rows
        found.append(_part(plane, offset, rows, columns, numbers, "u1", stride))
        offset += stride * height // kept.rows
    return found


def _part(
    plane: int, offset: int, rows: int, columns: int, numbers: int, dtype: str, stride: int
) -> Part:
    size = int(dtype[-1])
    if numbers == 1:
        return Part(plane, offset, (rows, columns), dtype, (stride, size))
    shape, strides = (rows, columns, numbers), (stride, numbers * size, size)
    return Part(plane, offset, shape, dtype, strides)
