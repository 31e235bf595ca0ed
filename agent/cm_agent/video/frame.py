# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""One image or piece of a stream: where its bytes lie, who reads it, and when it goes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cm_agent.core.buffer import Buffer
from cm_agent.core.errors import ClosedError
from cm_agent.video.format import Filled, Format
from cm_agent.video.image import require_convertible, to_image


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
    """Lend one filled image to its readers; true until the last of them gives it back.

    The chunks hold the image itself, not a copy, and go back to the driver that
    filled them with the last release(). Reading it afterwards raises
    ClosedError, because the driver is filling it again.

    Synchronization: external synchronization is required.
    """

    __slots__ = ("_counters", "_give_back", "_readers", "buffers", "filled", "format")

    def __init__(
        self,
        buffers: tuple[Buffer, ...],
        filled: Filled,
        format: Format,
        counters: Counters,
        give_back: Callable[[Frame], None] = lambda frame: None,
    ) -> None:
        self.buffers = buffers
        self.filled = filled
        self.format = format
        self._counters = counters
        self._give_back = give_back
        self._readers = 1

    def retain(self) -> None:
        """Count one more reader, who will release() it; ClosedError when it went back already."""
        self._require_live()
        self._readers += 1

    def release(self) -> None:
        """Count one reader less; with the last one the chunks go back to their driver."""
        self._require_live()
        self._readers -= 1
        if not self._readers:
            self._give_back(self)

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
        self._require_live()
        payload = self.filled.payloads[plane]
        with self.buffers[plane].cpu_access("r") as view:
            data = bytes(view[payload.offset : payload.offset + payload.bytes_used])
        self._counters.bytes_copied += len(data)
        return data

    def save(self, path: Path | str) -> None:
        """Write the frame as a picture, PNG or what else the suffix of `path` says.

        Copies the frame once. Raises ValueError for a pixel format that is not
        one of picture.CONVERTIBLE, ImportError without Pillow.
        """
        require_convertible(self.format)
        to_image(self.copy(), self.format).save(path)

    def _require_live(self) -> None:
        if not self:
            raise ClosedError(f"frame {self.sequence} has gone back to the driver")

    def __bool__(self) -> bool:
        return self._readers > 0

    def __repr__(self) -> str:
        return f"<Frame {self.sequence} {self.format}{'' if self else ' RETURNED'}>"
