# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""One image or piece of a stream: where its bytes lie, who reads it, and when it goes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from cm_agent.core.buffer import Buffer, Mode
from cm_agent.core.errors import ClosedError
from cm_agent.core.lending import LentArrays, Part
from cm_agent.video.format import Filled, Format
from cm_agent.video.image import require_convertible, to_image
from cm_agent.video.layout import parts

if TYPE_CHECKING:
    from cm_agent.core.lending import Array


Planes: TypeAlias = tuple[Buffer, ...]
"""The chunks of one image, plane by plane."""


class Lender(Protocol):
    """Whose chunks a frame is in."""

    @property
    def awaits_frames(self) -> bool:
        """Nearly all are lent, so that its device may stand still until some come back."""

    def take_back(self, planes: Planes) -> None:
        """Take the chunks of a frame that nobody reads any longer."""


@dataclass(slots=True)
class Counters:
    """What a capture has done; plain numbers."""

    frames: int = 0
    dropped: int = 0
    """Frames that the driver had no buffer for, seen as gaps in its sequence numbers."""
    errors: int = 0
    """Frames that the driver itself marked as in error."""
    bytes_copied: int = 0
    """Bytes that the CPU copied, because somebody asked for a copy or put in one of their own."""


class Frame:
    """Lend one filled image to its readers; true until the last of them gives it back.

    The chunks hold the image itself, not a copy. They go back to the driver that filled them when
    the first reader is done, by end() or at the end of a `with` block, and a release() undid each
    retain(). Reading it afterwards raises ClosedError, because the driver is filling it again.

    Synchronization: none required; any thread may give it back.
    """

    __slots__ = (
        "_buffers",
        "_counters",
        "_lender",
        "_lent",
        "_lock",
        "_retained",
        "filled",
        "format",
    )

    def __init__(
        self,
        buffers: Planes,
        filled: Filled,
        format: Format,
        counters: Counters,
        lender: Lender | None = None,
    ) -> None:
        """Lend chunks; without a lender nobody is told when they are free again."""
        self.filled = filled
        self.format = format
        self._buffers = buffers
        self._counters = counters
        self._lender = lender
        self._lock = threading.RLock()  # a collection may release it meanwhile
        self._lent = True  # to the first reader
        self._retained = 0

    def retain(self) -> None:
        """Count one more reader, who will release() it; ClosedError when it went back already."""
        with self._lock:
            self._require_live()
            self._retained += 1

    def release(self) -> None:
        """Undo one retain(), or, where there is none to undo, end()."""
        with self._lock:
            self._require_live()
            if self._retained:
                self._retained -= 1
            else:
                self._lent = False
            last = not self
        if last:
            self._give_back()

    def end(self) -> None:
        """Be done with it as its first reader; harmless when done again.

        This, and not release(), is how the reader of a loop or a `with` block gives it back before
        its end.
        """
        with self._lock:
            last = self._lent and not self._retained
            self._lent = False
        if last:
            self._give_back()

    def _give_back(self) -> None:
        if self._lender:
            self._lender.take_back(self._buffers)

    @property
    def awaited(self) -> bool:
        """The device that filled it has hardly a buffer left until frames are given back."""
        return self._lender is not None and self._lender.awaits_frames

    @property
    def buffers(self) -> Planes:
        """The chunks, plane by plane, which stay the capture's; ClosedError after release()."""
        self._require_live()
        return self._buffers

    @contextmanager
    def array(self, mode: Mode = "r") -> Iterator[Any]:
        """Lend the image as a NumPy array without a copy, for a `with` block; see Buffer.array().

        Its shape is (rows, columns), and behind that the numbers of a pixel, if it has several.
        Formats that keep luma and chroma apart (YU12, NV12, NV12M ...) have the list of planes().
        """
        with self.planes(mode) as arrays:
            yield arrays[0] if len(arrays) == 1 else arrays

    @contextmanager
    def planes(self, mode: Mode = "r") -> Iterator[list[Array]]:
        """Lend the parts of the image as NumPy arrays without a copy, for a `with` block.

        A list of one, or of luma and chroma in the order in which they lie. Rows that the driver
        pads are no copy either. The frame is not given back before the block ends. ValueError:
        nobody knows how an image of this format lies; ImportError: without NumPy.
        """
        payloads = self.filled.payloads
        lent = [
            Part(it.plane, payloads[it.plane].offset + it.offset, it.shape, it.dtype, it.strides)
            for it in parts(self.format)
        ]
        self.retain()
        try:
            accesses = [buffer.cpu_access(mode) for buffer in self._buffers]
            with LentArrays(accesses, lent, f"frame {self.sequence}") as arrays:
                yield arrays
        finally:
            self.release()

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
    def error(self) -> bool:
        """The driver marked the data as in error."""
        return self.filled.error

    @property
    def keyframe(self) -> bool:
        """It can be decoded without those before it; False where the driver does not report it."""
        return self.filled.keyframe

    @property
    def buffer(self) -> Buffer:
        """The chunk of the first plane; ClosedError after release()."""
        return self.buffers[0]

    @property
    def bytes_used(self) -> int:
        """Bytes of data in the first plane."""
        return self.filled.payloads[0].bytes_used

    def copy(self, plane: int = 0) -> bytes:
        """Copy the data of a plane out of its chunk, and count the bytes as copied."""
        payload = self.filled.payloads[plane]
        self.retain()
        try:
            with self._buffers[plane].cpu_access("r") as view:
                data = bytes(view[payload.offset : payload.offset + payload.bytes_used])
        finally:
            self.release()
        self._counters.bytes_copied += len(data)
        return data

    def save(self, path: Path | str) -> None:
        """Write the frame as a picture, PNG or what else the suffix of `path` says.

        Copies the frame once. Raises ValueError for a pixel format that is not
        one of image.CONVERTIBLE, ImportError without Pillow.
        """
        require_convertible(self.format)
        planes = [self.copy(plane) for plane in range(len(self._buffers))]
        to_image(planes, self.format).save(path)

    def _require_live(self) -> None:
        if not self:
            raise ClosedError(f"frame {self.sequence} has gone back to the driver")

    def __bool__(self) -> bool:
        return self._lent or self._retained > 0

    def __enter__(self) -> Self:
        self._require_live()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"<Frame {self.sequence} {self.format}{'' if self else ' RETURNED'}>"
