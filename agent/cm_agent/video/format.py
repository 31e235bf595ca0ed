# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a V4L2 driver says about itself and its images."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace


def fourcc(text: str) -> int:
    """Turn a pixel format's four characters into the number that drivers use.

    Shorter texts are padded with spaces, as in "Y16 ". A big-endian variant
    carries the suffix "-BE". Raises ValueError for anything else.
    """
    characters, big_endian = text.removesuffix("-BE"), text.endswith("-BE")
    padded = characters.ljust(4)
    if not characters or len(padded) != 4 or not padded.isascii() or not padded.isprintable():
        raise ValueError(f"{text!r} is no pixel format: four printable ASCII characters are")
    return int.from_bytes(padded.encode("ascii"), "little") | (big_endian << 31)


def fourcc_text(value: int) -> str:
    """Turn a driver's number of a pixel format into its four characters.

    Numbers that are not four printable characters come back in hexadecimal.
    """
    raw = (value & 0x7FFFFFFF).to_bytes(4, "little")
    text = raw.decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        return f"0x{value:08x}"
    return text + ("-BE" if value >> 31 else "")


MOST_BUFFERS = 32
"""VIDEO_MAX_FRAME: what drivers take."""


def check_size(size: object) -> tuple[int, int] | tuple[None, None]:
    """Return width and height in pixels, twice None for None; TypeError, ValueError for others."""
    if size is None:
        return None, None
    if not (isinstance(size, tuple | list) and len(size) == 2):
        raise TypeError(f"size is (width, height) in pixels, such as (640, 480), not {size!r}")
    width, height = map(operator.index, size)
    if min(width, height) <= 0:
        raise ValueError(f"no image is {width} pixels wide and {height} high")
    return width, height


def check_count(what: str, count: int, *, least: int = 1, most: int | None = None) -> int:
    """Return a number of buffers or frames; TypeError, ValueError for what is none."""
    number = operator.index(count)
    if number < least or (most is not None and number > most):
        limits = f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"{what} is {limits}, not {number}")
    return number


def check_fps(fps: float | None) -> None:
    """Raise TypeError or ValueError unless it is None or a rate, in frames per second."""
    if fps is None:
        return
    if not isinstance(fps, int | float):
        raise TypeError(f"fps is a number, not {fps!r}")
    if not 0.001 <= fps <= 1000:
        raise ValueError(f"fps is from 0.001 to 1000 frames per second, not {fps!r}")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A device's identity and what its node can do."""

    driver: str
    card: str
    bus: str
    capture: bool
    """It delivers images, through one plane or several."""
    multiplanar: bool
    """Its capture queue speaks the multi-planar structures."""
    memory_to_memory: bool
    """It is a codec or converter: images come out only when some go in."""
    streaming: bool


@dataclass(frozen=True, slots=True)
class FormatDescription:
    """One entry of the list of pixel formats that a driver offers."""

    pixelformat: str
    description: str
    compressed: bool
    emulated: bool


@dataclass(frozen=True, slots=True)
class PlaneFormat:
    """One plane of an image: bytes that its buffer must have, bytes from row to row."""

    size: int
    stride: int


@dataclass(frozen=True, slots=True)
class Colour:
    """What colours the numbers stand for, in V4L2's own numbers; 0: the driver's default."""

    space: int = 0
    encoding: int = 0
    quantization: int = 0
    transfer: int = 0


@dataclass(frozen=True, slots=True)
class Format:
    """The shape of an image, every number of it the driver's own."""

    width: int
    height: int
    pixelformat: str
    planes: tuple[PlaneFormat, ...]
    full_range: bool = True
    """Luma and chroma use all 256 values; otherwise 16 ... 235 and 16 ... 240."""
    colour: Colour = Colour()
    rows: int | None = None
    """Rows that each plane of the driver's has, when that is more than the image's height."""

    def cropped(self, width: int, height: int) -> Format:
        """Return the format of the upper left part of such an image."""
        return replace(self, width=width, height=height, rows=self.rows or self.height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from row to row, plane by plane; 0 in coded ones."""
        return tuple(plane.stride for plane in self.planes)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pixelformat}"


@dataclass(frozen=True, slots=True)
class Payload:
    """Where the data of one plane lies in its buffer, in bytes."""

    bytes_used: int
    offset: int


@dataclass(frozen=True, slots=True)
class Filled:
    """A buffer that the driver has filled, or read, and handed back."""

    index: int
    payloads: tuple[Payload, ...]
    sequence: int
    timestamp_ns: int
    error: bool
    last: bool = False
    """The codec makes no more of what it was fed until it is started again."""
    keyframe: bool = False
    """It can be decoded without those before it."""
