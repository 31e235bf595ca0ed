# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Chunks of a context that a driver fills: the capture side of a camera, codec or converter."""

from __future__ import annotations

from contextlib import ExitStack

from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError
from cm_agent.core.size import format_size
from cm_agent.video.frame import Counters, Frame
from cm_agent.video.index_pool import Slots
from cm_agent.video.queue import Queue

Planes = tuple[Buffer, ...]


class Filling:
    """Allocate chunks for a capture queue's format and lend them as they are filled.

    Announces imported buffers and allocates one chunk for each buffer and
    plane, of the size that the driver names. spares: chunks beyond those that
    the driver can have at a time; with one of them a chunk on loan is mapped by
    nobody, so that it may be moved, because another took its place. deadline:
    seconds that each allocation may take. Errors are VideoError and
    AllocationError, and then nothing stays behind.

    Owns the chunks until close(); queue and context stay the caller's.

    Synchronization: external synchronization is required.
    """

    def __init__(
        self,
        queue: Queue,
        context: Context,
        count: int,
        *,
        spares: int = 0,
        deadline: float | None = None,
        counters: Counters | None = None,
    ) -> None:
        self.queue = queue
        self.format = queue.format
        self.counters = counters or Counters()
        self.ended = False
        """A codec has handed out its last buffer; start() lets it go on."""
        self._context = context
        self._streaming = False
        self._closed = False
        node = queue.path.resolve().name
        with ExitStack() as stack:
            chunks = stack.enter_context(ExitStack())
            granted = queue.request_buffers(count)
            stack.callback(queue.release_buffers)
            wanted, buffers = granted + spares, []
            for index in range(wanted):
                try:
                    buffers.append(self._alloc(f"{node} buffer {index}", deadline, chunks))
                except AllocationError as error:
                    each = format_size(sum(plane.size for plane in self.format.planes))
                    error.add(f"{index} of {wanted} buffers of {each} each were had by then")
                    raise
            self.buffers: tuple[Planes, ...] = tuple(buffers)
            chunks.pop_all()
            stack.pop_all()
        self._slots: Slots[Planes] = Slots(granted)
        self._idle = list(self.buffers)

    @property
    def busy(self) -> bool:
        """The driver has buffers that it will fill."""
        return self._streaming and not self.ended and self._slots.busy > 0

    def start(self) -> None:
        """Queue as many chunks as the driver takes, and start; start anew when it has ended."""
        if self._streaming:
            self.stop()
        self.ended = False
        self._streaming = True
        self._refill()
        self.queue.stream_on()

    def stop(self) -> None:
        """Stop the queue; what the driver had comes back unfilled."""
        if self._streaming:
            self._streaming = False
            self.queue.stream_off()
            self._idle += self._slots.give_all()

    def take(self) -> Frame | None:
        """Take a filled buffer; None when there is none yet, or none any more (ended)."""
        if not self._streaming or self.ended:
            return None
        filled = self.queue.dequeue()
        if filled is None:
            return None
        self.ended = filled.last
        planes = self._slots.give(filled.index)
        if filled.last and not any(payload.bytes_used for payload in filled.payloads):
            self._idle.append(planes)
            return None
        self._refill()
        self.counters.frames += 1
        self.counters.damaged += filled.damaged
        return Frame(planes, filled, self.format, self.counters, give_back=self._take_back)

    def close(self, *, recall: bool = True) -> None:
        """Stop, make the driver let go, and close the chunks; harmless when done again.

        recall: those on loan, too; otherwise these are closed when they come back.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.stop()
            self.queue.release_buffers()
        finally:
            for planes in self.buffers if recall else self._idle:
                _close(planes)

    def _alloc(self, name: str, deadline: float | None, chunks: ExitStack) -> Planes:
        """Allocate one buffer, a chunk for each plane."""
        return tuple(
            chunks.enter_context(
                self._context.alloc(plane.size, deadline=deadline, name=f"{name}.{number}")
            )
            for number, plane in enumerate(self.format.planes)
        )

    def _take_back(self, frame: Frame) -> None:
        if self._closed:
            _close(frame.buffers)
            return
        self._idle.append(frame.buffers)
        self._refill()

    def _refill(self) -> None:
        while self._streaming and not self.ended and self._idle and self._slots.free:
            planes = self._idle.pop(0)
            self.queue.queue(self._slots.take(planes), planes, context=self._context)


def _close(planes: Planes) -> None:
    for chunk in planes:
        chunk.close()
