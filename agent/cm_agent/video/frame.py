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


class _Loan:
    """Chunks that frames refer to, and how many do; they go back when none does any longer."""

    def __init__(self, planes: Planes, lender: Lender | None) -> None:
        self.planes = planes
        self.lender = lender
        self._lock = threading.RLock()  # a collection may end another one meanwhile
        self._frames = 1

    def take(self) -> Self:
        """Count one more."""
        with self._lock:
            self._frames += 1
        return self

    def end(self) -> None:
        """Count one less."""
        with self._lock:
            self._frames -= 1
            last = not self._frames
        if last and self.lender:
            self.lender.take_back(self.planes)


class Frame:
    """One filled image, until end(), or the end of a `with` block or of a loop's step.

    The chunks hold the image itself, not a copy, and go back to the driver that filled them when
    this and every dup() of it have ended: keep it by a dup(), or copy it. Reading it after its end
    raises ClosedError, because the driver may be filling the chunks again.

    Synchronization: none required; any thread may end it.
    """

    __slots__ = ("_counters", "_live", "_loan", "_lock", "filled", "format")

    def __init__(
        self,
        buffers: Planes,
        filled: Filled,
        format: Format,
        counters: Counters,
        lender: Lender | None = None,
    ) -> None:
        """Lend chunks, which the lender takes back; None: they are nobody's to fill again."""
        self._begin(_Loan(buffers, lender), filled, format, counters)

    def _begin(self, loan: _Loan, filled: Filled, format: Format, counters: Counters) -> None:
        self.filled = filled
        self.format = format
        self._counters = counters
        self._loan = loan
        self._lock = threading.RLock()
        self._live = True

    def dup(self) -> Frame:
        """Return another frame of the same image, with an end of its own; ClosedError after end().

        As with descriptors: the chunks are lent until the last of them has ended.
        """
        with self._lock:
            self._require_live()
            other = Frame.__new__(Frame)
            other._begin(self._loan.take(), self.filled, self.format, self._counters)
            return other

    def end(self) -> None:
        """Be done with it; harmless when done again."""
        with self._lock:
            live, self._live = self._live, False
        if live:
            self._loan.end()

    @property
    def awaited(self) -> bool:
        """The device that filled it has hardly a buffer left until frames are given back."""
        lender = self._loan.lender
        return lender is not None and lender.awaits_frames

    @property
    def buffers(self) -> Planes:
        """The chunks, plane by plane, which stay the lender's; ClosedError after end()."""
        self._require_live()
        return self._loan.planes

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
        with self.dup() as held:
            accesses = [buffer.cpu_access(mode) for buffer in held.buffers]
            with LentArrays(accesses, lent, f"frame {self.sequence}") as arrays:
                yield arrays

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
        """The chunk of the first plane; ClosedError after end()."""
        return self.buffers[0]

    @property
    def bytes_used(self) -> int:
        """Bytes of data in the first plane."""
        return self.filled.payloads[0].bytes_used

    def copy(self, plane: int = 0) -> bytes:
        """Copy the data of a plane out of its chunk, and count the bytes as copied."""
        payload = self.filled.payloads[plane]
        with self.dup() as held, held.buffers[plane].cpu_access("r") as view:
            data = bytes(view[payload.offset : payload.offset + payload.bytes_used])
        self._counters.bytes_copied += len(data)
        return data

    def save(self, path: Path | str) -> None:
        """Write the frame as a picture, PNG or what else the suffix of `path` says.

        Copies the frame once. Raises ValueError for a pixel format that is not
        one of image.CONVERTIBLE, ImportError without Pillow.
        """
        require_convertible(self.format)
        planes = [self.copy(plane) for plane in range(len(self.buffers))]
        to_image(planes, self.format).save(path)

    def _require_live(self) -> None:
        if not self:
            hint = "keep frames by dup(), or copy them"
            raise ClosedError(f"frame {self.sequence} has gone back to the driver: {hint}")

    def __bool__(self) -> bool:
        return self._live

    def __enter__(self) -> Self:
        self._require_live()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"<Frame {self.sequence} {self.format}{'' if self else ' RETURNED'}>"
