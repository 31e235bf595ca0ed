# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""An image's bytes as a picture, by Pillow."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from cm_agent.video.format import Format

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {"RGB3": ("RGB", "RGB"), "BGR3": ("RGB", "BGR"), "GREY": ("L", "L")}
"""Pixel formats that Pillow unpacks by itself: its mode and its raw mode."""

CONVERTIBLE = (*MODES, "YUYV", "YU12", "NV12")


def require_convertible(format: Format) -> None:
    """Say early, with ImportError or ValueError, that a picture cannot be made."""
    _pillow()
    if format.pixelformat not in CONVERTIBLE or len(format.planes) != 1:
        raise ValueError(
            f"a frame in {format} cannot be made into a picture;"
            f" ask the driver for one of {', '.join(CONVERTIBLE)}"
        )


def to_image(data: bytes, format: Format) -> Image:
    """Make a picture of a frame's bytes, with the driver's strides.

    Luma and chroma are taken as BT.601. Raises ValueError when there are fewer
    bytes than the format needs.
    """
    require_convertible(format)
    parts = _parts(data, format)
    if format.pixelformat in MODES:
        mode, raw = MODES[format.pixelformat]
        size = format.width, format.height
        image: Image = _pillow().frombytes(mode, size, parts[0], "raw", raw)
        return image
    half = format.width // 2, format.height // 2
    if format.pixelformat == "YUYV":
        half = format.width // 2, format.height
        luma, chroma = parts[0][0::2], [parts[0][1::4], parts[0][3::4]]
    elif format.pixelformat == "NV12":
        luma, chroma = parts[0], [parts[1][0::2], parts[1][1::2]]
    else:
        luma, *chroma = parts
    return _from_luma_and_chroma(luma, chroma, half, format)


def shapes(format: Format) -> list[tuple[int, int, int]]:
    """Return stride, bytes of a row and number of rows of each part of an image in one plane.

    The chroma of planar formats lies behind the luma, as the kernel's
    pixfmt-yuv-planar.rst has it.
    """
    stride, width, height = format.planes[0].stride, format.width, format.height
    return {
        "GREY": [(stride, width, height)],
        "YUYV": [(stride, 2 * width, height)],
        "YU12": [(stride, width, height), *[(stride // 2, width // 2, height // 2)] * 2],
        "NV12": [(stride, width, height), (stride, width, height // 2)],
    }.get(format.pixelformat, [(stride, 3 * width, height)])


def _parts(data: bytes, format: Format) -> list[bytes]:
    """Cut a frame's bytes into its parts, each without what pads its rows."""
    parts, start = [], 0
    for stride, row, rows in shapes(format):
        needed = start + stride * (rows - 1) + row
        if stride < row or len(data) < needed:
            raise ValueError(
                f"a frame in {format} with a stride of {stride:,} has {needed:,} bytes,"
                f" there are {len(data):,}"
            )
        parts.append(b"".join(data[at : at + row] for at in range(start, needed, stride)))
        start += stride * rows
    return parts


def _from_luma_and_chroma(
    luma: bytes, chroma: list[bytes], half: tuple[int, int], format: Format
) -> Image:
    pillow = _pillow()
    size = format.width, format.height
    bright = pillow.frombytes("L", size, luma)
    colours = [pillow.frombytes("L", half, plane) for plane in chroma]
    if not format.full_range:
        bright = bright.point(_stretch(16, 219, 0))
        colours = [plane.point(_stretch(128, 224, 128)) for plane in colours]
    whole = [plane.resize(size, pillow.Resampling.NEAREST) for plane in colours]
    image: Image = pillow.merge("YCbCr", [bright, *whole]).convert("RGB")
    return image


def _stretch(zero: int, span: int, base: int) -> list[int]:
    """Tabulate the way from values around `zero`, `span` wide, to all 256 around `base`."""
    return [min(max(round((value - zero) * 255 / span) + base, 0), 255) for value in range(256)]


def _pillow() -> ModuleType:
    """Import Pillow only when a picture is asked for: boards do without it otherwise."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "pictures need Pillow: install python3-pil (Debian) or cm-agent[frame] (pip)"
        ) from error
    return Image
