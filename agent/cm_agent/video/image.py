# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""An image's bytes as a picture, by Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from cm_agent.video.format import Format
from cm_agent.video.layout import Part, parts

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {"RGB3": ("RGB", "RGB"), "BGR3": ("RGB", "BGR"), "GREY": ("L", "L")}
"""Pixel formats that Pillow unpacks by itself: its mode and its raw mode."""

CONVERTIBLE = (*MODES, "YUYV", "YU12", "YM12", "NV12", "NM12")


def require_convertible(format: Format) -> None:
    """Say early, with ImportError or ValueError, that a picture cannot be made."""
    _pillow()
    if format.pixelformat not in CONVERTIBLE:
        raise ValueError(
            f"a frame in {format} cannot be made into a picture;"
            f" ask the driver for one of {', '.join(CONVERTIBLE)}"
        )


def to_image(planes: Sequence[bytes], format: Format) -> Image:
    """Make a picture of the bytes of a frame's planes, with the driver's strides.

    Luma and chroma are taken as BT.601. Raises ValueError when there are fewer
    bytes than the format needs.
    """
    require_convertible(format)
    first, *chroma = (_rows(planes[part.plane], part, format) for part in parts(format))
    if format.pixelformat in MODES:
        mode, raw = MODES[format.pixelformat]
        image: Image = _pillow().frombytes(mode, format.size, first, "raw", raw)
        return image
    half = -(-format.width // 2), format.height // 2
    if format.pixelformat == "YUYV":
        half = format.width // 2, format.height
        first, chroma = first[0::2], [first[1::4], first[3::4]]
    elif len(chroma) == 1:
        chroma = [chroma[0][0::2], chroma[0][1::2]]
    return _from_luma_and_chroma(first, chroma, half, format)


def _rows(data: bytes, part: Part, format: Format) -> bytes:
    """Return the rows of a part of an image, without what pads them."""
    if part.strides[0] < part.row or len(data) < part.end:
        raise ValueError(
            f"a frame in {format} with a stride of {part.strides[0]:,} has {part.end:,} bytes,"
            f" there are {len(data):,}"
        )
    return b"".join(data[at : at + part.row] for at in part.rows)


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
