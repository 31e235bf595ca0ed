# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Images from a file in place of a camera's, for what must be the same every time."""

from __future__ import annotations

from contextlib import ExitStack
from io import BufferedIOBase
from types import TracebackType
from typing import Self

from cm_agent.core.context import Context
from cm_agent.video.capture_buffers import Planes
from cm_agent.video.format import Filled, Format, Payload
from cm_agent.video.frame import Counters, Frame

INTERVAL_NS = 40_000_000


class Playback:
    """Read raw images, one after another, into chunks of a context.

    format: as the driver that they are fed to has set it, sizes and all. The
    file, from which every plane is read as a whole, and the context stay the
    caller's. What is read counts as copied.

    Synchronization: external synchronization is required.
    """

    device = None

    def __init__(
        self, file: BufferedIOBase, context: Context, format: Format, count: int = 4
    ) -> None:
        self.format = format
        self.counters = Counters()
        self._file = file
        with ExitStack() as stack:
            self.buffers: tuple[Planes, ...] = tuple(
                tuple(
                    stack.enter_context(
                        context.alloc(plane.size, name=f"playback buffer {index}.{number}")
                    )
                    for number, plane in enumerate(format.planes)
                )
                for index in range(count)
            )
            self._chunks = stack.pop_all()
        self._idle = list(self.buffers)

    def start(self) -> None:
        """Begin, which takes nothing."""

    def take(self) -> Frame | None:
        """Read the next image; None while all chunks are on loan. EOFError when there is none."""
        if not self._idle:
            return None
        planes = self._idle.pop(0)
        number = self.counters.frames
        for chunk, plane in zip(planes, self.format.planes, strict=True):
            with chunk.cpu_access("w") as view:
                read = self._file.readinto(view[: plane.size])
            if read < plane.size:
                self._idle.append(planes)
                raise EOFError(f"image {number} has {read:,} bytes of {plane.size:,}")
            self.counters.bytes_copied += read
        self.counters.frames += 1
        payloads = tuple(Payload(plane.size, 0) for plane in self.format.planes)
        filled = Filled(0, payloads, number, (number + 1) * INTERVAL_NS, error=False)
        return Frame(planes, filled, self.format, self.counters, give_back=self._take_back)

    def _take_back(self, planes: Planes) -> None:
        self._idle.append(planes)

    def close(self) -> None:
        """Close the chunks; harmless when done again."""
        self._chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
