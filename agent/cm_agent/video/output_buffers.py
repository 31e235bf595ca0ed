# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames that a codec or converter reads: its output side, whatever filled them."""

from __future__ import annotations

from contextlib import ExitStack

from cm_agent.core.context import Context
from cm_agent.video.frame import Frame, Planes
from cm_agent.video.index_pool import IndexPool
from cm_agent.video.queue import Queue


class OutputBuffers:
    """Hand frames to an output queue and learn when the driver has read them.

    Announces `count` imported buffers for the format that is set: as many as
    can be with the driver at a time. Frames are retained until they were read. Errors are
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

    def put(self, frame: Frame) -> None:
        """Hand in a frame, which is retained until the driver has read it.

        IndexError when none is `free`.
        """
        frame.retain()
        try:
            number = self._indices.take(frame.buffers)
            try:
                self.queue.queue(
                    number,
                    frame.buffers,
                    frame.filled.payloads,
                    frame.timestamp_ns,
                    context=self.context,
                )
            except BaseException:
                self._indices.give(number)
                raise
        except BaseException:
            frame.release()
            raise
        self._frames[number] = frame

    def collect(self) -> int:
        """Release what the driver has read; return how many of them it could not read."""
        errors = 0
        with ExitStack() as stack:  # all are released, even if a camera is gone
            while self.busy and (read := self.queue.dequeue()) is not None:
                self._indices.give(read.index)
                stack.callback(self._frames.pop(read.index).release)
                errors += read.error
        return errors

    def stop(self) -> None:
        """Stop the queue and release what the driver had not read yet."""
        if self._streaming:
            self._streaming = False
            self.queue.stream_off()
            self._indices.give_all()
            with ExitStack() as stack:
                while self._frames:
                    stack.callback(self._frames.popitem()[1].release)

    def close(self) -> None:
        """Stop and make the driver let go of all chunks; harmless when done again."""
        try:
            self.stop()
        finally:
            self.queue.release_buffers()
