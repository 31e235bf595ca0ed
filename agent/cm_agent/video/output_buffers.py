# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames that a codec or converter reads: its output side, whatever filled them."""

from __future__ import annotations

from contextlib import ExitStack

from cm_agent.core.context import Context
from cm_agent.video.error import VideoError
from cm_agent.video.frame import Frame, Planes
from cm_agent.video.index_pool import IndexPool
from cm_agent.video.queue import Queue


class OutputBuffers:
    """Hand frames to an output queue and learn when the driver has read them.

    Announces `count` imported buffers for the format that is set: as many as
    can be with the driver at a time. Each frame is held by a dup() until it was read. Errors are
    VideoError; `context`, any one, is asked about chunks that the driver refused.

    Synchronization: external synchronization is required.
    """

    def __init__(self, queue: Queue, count: int, context: Context | None = None) -> None:
        self.queue = queue
        self.context = context
        self.format = queue.format
        self._streaming = False
        self.count = queue.request_buffers(count)
        self._indices: IndexPool[Planes] = IndexPool(self.count)
        self._frames: dict[int, Frame] = {}

    @property
    def free(self) -> int:
        """Count the buffers that can be handed in now."""
        return self._indices.free

    @property
    def busy(self) -> bool:
        """The driver has buffers to read."""
        return self._streaming and self._indices.busy > 0

    @property
    def frames(self) -> list[Frame]:
        """The frames that the driver has not read yet."""
        return list(self._frames.values())

    def start(self) -> None:
        """Start the queue; harmless when done again."""
        if not self._streaming:
            self.queue.stream_on()
            self._streaming = True

    def put(self, frame: Frame, timestamp_ns: int) -> None:
        """Hand in a frame, of which a dup() is kept until the driver has read it.

        IndexError when none is `free`.
        """
        self.require_free()
        held = frame.dup()
        try:
            number = self._indices.take(held.buffers)
            try:
                payloads = held.filled.payloads
                self.queue.queue(number, held.buffers, payloads, timestamp_ns, context=self.context)
            except BaseException:
                self._indices.give(number)
                raise
        except BaseException:
            held.end()
            raise
        self._frames[number] = held

    def require_free(self) -> None:
        """Raise IndexError when none is `free`."""
        if not self.free:
            what = f"all {self.count} buffers of the output queue are with the device"
            raise IndexError(f"{what}: take what has come out first")

    def collect(self) -> int:
        """End what the driver has read; return how many of them it could not read."""
        errors = 0
        with ExitStack() as stack:  # all of them end, even if a camera is gone
            while self.busy and (read := self.queue.dequeue()) is not None:
                self._indices.give(read.index)
                stack.callback(self._frames.pop(read.index).end)
                errors += read.error
        return errors

    def stop(self) -> None:
        """Stop the queue and end what the driver had not read yet."""
        if not self._streaming:
            return
        try:
            self.queue.stream_off()
        except VideoError:  # the device is gone: it reads nothing any longer
            self._end_all()
            raise
        self._end_all()

    def _end_all(self) -> None:
        self._streaming = False
        self._indices.give_all()
        with ExitStack() as stack:
            while self._frames:
                stack.callback(self._frames.popitem()[1].end)

    def close(self) -> None:
        """Stop and make the driver let go of all chunks; harmless when done again."""
        try:
            self.stop()
        finally:
            self.queue.release_buffers()
