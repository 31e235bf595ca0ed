# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""One captured image: where its bytes lie, and as a picture when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from cm_agent.buffer import Buffer
from cm_agent.errors import ClosedError
from cm_agent.v4l2.format import Filled, Format

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {"RGB3": ("RGB", "RGB"), "BGR3": ("RGB", "BGR"), "GREY": ("L", "L")}
"""Pixel formats that Pillow unpacks by itself: its mode and its raw mode."""

CONVERTIBLE = (*MODES, "YUYV")


@dataclass(slots=True)
class Counters:
    """What a capture has done; plain numbers for whoever wants to show them."""

    frames: int = 0
    dropped: int = 0
    """Frames that the driver had no buffer for, seen as gaps in its sequence numbers."""
    damaged: int = 0
    """Frames that the driver itself marked as in error."""
    bytes_copied: int = 0
    """Bytes of frames that the CPU copied, because somebody asked for a copy."""


class Frame:
    """Lend one filled image to its reader; true until it goes back to the driver.

    The chunks are the capture's own and hold the image itself, not a copy. It
    is over when the iteration takes its next step: reading it afterwards
    raises ClosedError, because the driver is filling it again.

    Synchronization: external synchronization is required.
    """

    __slots__ = ("_counters", "_live", "buffers", "filled", "format")

    def __init__(
        self, buffers: tuple[Buffer, ...], filled: Filled, format: Format, counters: Counters
    ) -> None:
        self.buffers = buffers
        self.filled = filled
        self.format = format
        self._counters = counters
        self._live = True

    @property
    def index(self) -> int:
        """Number of the buffer within its capture."""
        return self.filled.index

    @property
    def sequence(self) -> int:
        """Number of the frame by the driver's count, modulo 2**32."""
        return self.filled.sequence

    @property
    def timestamp_ns(self) -> int:
        """When the driver took the frame, by its clock (CLOCK_MONOTONIC with most)."""
        return self.filled.timestamp_ns

    @property
    def damaged(self) -> bool:
        """The driver marked the data as in error."""
        return self.filled.damaged

    @property
    def buffer(self) -> Buffer:
        """The chunk of the first plane."""
        return self.buffers[0]

    @property
    def bytes_used(self) -> int:
        """Bytes of data in the first plane."""
        return self.filled.payloads[0].bytes_used

    def copy(self, plane: int = 0) -> bytes:
        """Copy the data of a plane out of its chunk, and count the bytes as copied."""
        if not self._live:
            raise ClosedError(f"frame {self.sequence} has gone back to the driver")
        payload = self.filled.payloads[plane]
        with self.buffers[plane].cpu_access("r") as view:
            data = bytes(view[payload.offset : payload.offset + payload.bytes_used])
        self._counters.bytes_copied += len(data)
        return data

    def save(self, path: Path | str) -> None:
        """Write the frame as a picture, PNG or what else the suffix of `path` says.

        Copies the frame once. Raises ValueError for a pixel format that is not
        one of CONVERTIBLE, ImportError without Pillow.
        """
        require_convertible(self.format)
        to_image(self.copy(), self.format).save(path)

    def retire(self) -> None:
        """End the loan, as the capture does before it queues the buffer again."""
        self._live = False

    def __bool__(self) -> bool:
        return self._live

    def __repr__(self) -> str:
        return f"<Frame {self.sequence} {self.format}{'' if self else ' RETURNED'}>"


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

    YUYV is taken as BT.601. Raises ValueError when there are fewer bytes than
    the format needs.
    """
    require_convertible(format)
    stride = format.planes[0].stride
    row = format.width * {"GREY": 1, "YUYV": 2}.get(format.pixelformat, 3)
    needed = stride * (format.height - 1) + row
    if stride < row or len(data) < needed:
        raise ValueError(
            f"a frame in {format} with a stride of {stride:,} has {needed:,} bytes,"
            f" there are {len(data):,}"
        )
    rows = b"".join(data[start : start + row] for start in range(0, needed, stride))
    if format.pixelformat == "YUYV":
        return _from_yuyv(rows, format)
    mode, raw = MODES[format.pixelformat]
    image: Image = _pillow().frombytes(mode, (format.width, format.height), rows, "raw", raw)
    return image


def _from_yuyv(rows: bytes, format: Format) -> Image:
    pillow = _pillow()
    size = format.width, format.height
    half = format.width // 2, format.height
    luma = pillow.frombytes("L", size, rows[0::2])
    chroma = [pillow.frombytes("L", half, rows[start::4]) for start in (1, 3)]
    if not format.full_range:
        luma = luma.point(_stretch(16, 219, 0))
        chroma = [plane.point(_stretch(128, 224, 128)) for plane in chroma]
    whole = [plane.resize(size, pillow.Resampling.NEAREST) for plane in chroma]
    image: Image = pillow.merge("YCbCr", [luma, *whole]).convert("RGB")
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
            "saving a frame needs Pillow: install python3-pil (Debian) or cm-agent[frame] (pip)"
        ) from error
    return Image
