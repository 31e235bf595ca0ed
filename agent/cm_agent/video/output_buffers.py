# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Chunks that a codec or converter reads: its output side, whatever filled them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.video.format import Payload
from cm_agent.video.frame import Frame
from cm_agent.video.index_pool import IndexPool
from cm_agent.video.queue import Queue


class OutputBuffers:
    """Hand chunks to an output queue and learn when the driver has read them.

    Announces `count` imported buffers for the format that is set: as many as
    can be with the driver at a time. The chunks stay the caller's. Errors are
    VideoError; `context`, any one, is asked about chunks that the driver refused.

    Synchronization: external synchronization is required.
    """

    def __init__(self, queue: Queue, context: Context, count: int) -> None:
        self.queue = queue
        self._context = context
        self.format = queue.format
        self._streaming = False
        self._indices: IndexPool[Sequence[Buffer]] = IndexPool(queue.request_buffers(count))
        self._done: dict[int, Callable[[], None]] = {}

    @property
    def free(self) -> int:
        """Count the buffers that can be handed in now."""
        return self._indices.free

    @property
    def busy(self) -> bool:
        """The driver has buffers to read."""
        return self._streaming and self._indices.busy > 0

    def start(self) -> None:
        """Start the queue; harmless when done again."""
        if not self._streaming:
            self.queue.stream_on()
            self._streaming = True

    def put(
        self,
        planes: Sequence[Buffer],
        payloads: Sequence[Payload],
        timestamp_ns: int,
        done: Callable[[], None],
    ) -> None:
        """Hand in chunks, one a plane; done() is called when the driver has read them.

        IndexError when none is `free`. When the driver refuses, done() is not called.
        """
        number = self._indices.take(planes)
        try:
            self.queue.queue(number, planes, payloads, timestamp_ns, context=self._context)
        except BaseException:
            self._indices.give(number)
            raise
        self._done[number] = done

    def put_frame(self, frame: Frame) -> None:
        """Hand in a frame that another driver filled, which stays on loan until it is read."""
        frame.retain()
        try:
            payloads, time = frame.filled.payloads, frame.timestamp_ns
            self.put(frame.buffers, payloads, time, frame.release)
        except BaseException:
            frame.release()
            raise

    def collect(self) -> None:
        """Take back what the driver has read."""
        while self._streaming and self._indices.busy and (read := self.queue.dequeue()) is not None:
            self._indices.give(read.index)
            self._done.pop(read.index)()

    def stop(self) -> None:
        """Stop the queue; what the driver had not read yet is done with, too."""
        if self._streaming:
            self._streaming = False
            self.queue.stream_off()
            self._indices.give_all()
            while self._done:
                self._done.popitem()[1]()

    def close(self) -> None:
        """Stop and make the driver let go of all chunks; harmless when done again."""
        self.stop()
        self.queue.release_buffers()
