# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Chunks of a context that a driver fills: the capture side of a camera, codec or converter."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError
from cm_agent.core.size import format_size
from cm_agent.video.error import VideoError
from cm_agent.video.frame import Counters, Frame, Planes
from cm_agent.video.index_pool import IndexPool
from cm_agent.video.queue import Queue


class CaptureBuffers:
    """Allocate chunks for a capture queue's format and lend them as they are filled.

    Announces imported buffers and allocates one chunk for each buffer and
    plane, of the size that the driver names. extra: chunks beyond those that
    the driver can have at a time; with one of them a chunk on loan is mapped by
    nobody, so that it may be moved, because another took its place. deadline:
    seconds that each allocation may take. Errors are VideoError and
    AllocationError, and then nothing stays behind.

    Owns the chunks until close(); queue and context stay the caller's.

    Synchronization: external synchronization is required, but frames go back from any thread.
    """

    def __init__(
        self,
        queue: Queue,
        context: Context,
        count: int,
        *,
        extra: int = 0,
        deadline: float | None = None,
        counters: Counters | None = None,
    ) -> None:
        self.queue = queue
        self.format = queue.format
        self.counters = counters or Counters()
        self.ended = False
        """A codec has handed out its last buffer; start() lets it go on."""
        self._lock = threading.RLock()
        self._given_back = threading.Condition(self._lock)
        self._context = context
        self._streaming = False
        self._closed = False
        node = queue.path.resolve().name
        with ExitStack() as stack:
            chunks = stack.enter_context(ExitStack())
            granted = queue.request_buffers(count)
            stack.callback(queue.release_buffers)
            wanted, buffers = granted + extra, []
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
        self._indices: IndexPool[Planes] = IndexPool(granted)
        self._idle = list(self.buffers)

    @property
    def busy(self) -> bool:
        """The driver has buffers that it will fill."""
        return self._streaming and not self.ended and self._indices.busy > 0

    @property
    def awaits_frames(self) -> bool:
        """The driver has one buffer at most, which many do not finish before they have another."""
        return self._streaming and not self.ended and self._indices.busy <= 1

    def wait_until_busy(self, timeout: float) -> bool:
        """Wait up to so many seconds until the driver has buffers again; return whether it has."""
        with self._given_back:
            return self._given_back.wait_for(lambda: self.busy, timeout)

    def start(self) -> None:
        """Queue as many chunks as the driver takes, and start; start anew when it has ended."""
        with self._lock:
            if self._streaming:
                self.stop()
            self.ended = False
            self._streaming = True
            self._refill()
            self.queue.stream_on()

    def stop(self) -> None:
        """Stop the queue; what the driver had comes back unfilled."""
        with self._lock:
            if self._streaming:
                try:
                    self.queue.stream_off()
                except VideoError:  # the device is gone: it fills nothing any longer
                    self._end()
                    raise
                self._end()

    def take(self) -> Frame | None:
        """Take a filled buffer; None when there is none yet, or none any more (ended)."""
        with self._lock:
            if not self._streaming or self.ended:
                return None
            filled = self.queue.dequeue()
            if filled is None:
                return None
            self.ended = filled.last
            planes = self._indices.give(filled.index)
            if filled.last and not any(payload.bytes_used for payload in filled.payloads):
                self._idle.append(planes)
                return None
            self._refill()
        self.counters.frames += 1
        self.counters.errors += filled.error
        return Frame(planes, filled, self.format, self.counters, self)

    def close(self, *, recall: bool = True) -> None:
        """Stop, make the driver let go, and close the chunks; harmless when done again.

        recall: those on loan, too; otherwise these are closed when they come back.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self.stop()
                self.queue.release_buffers()
            finally:
                for planes in self.buffers if recall else self._idle:
                    _close(planes)

    def _end(self) -> None:
        self._streaming = False
        self._idle += self._indices.give_all()

    def _alloc(self, name: str, deadline: float | None, chunks: ExitStack) -> Planes:
        """Allocate one buffer, a chunk for each plane."""
        return tuple(
            chunks.enter_context(
                self._context.alloc(plane.size, deadline=deadline, name=f"{name}.{number}")
            )
            for number, plane in enumerate(self.format.planes)
        )

    def take_back(self, planes: Planes) -> None:
        """Take chunks whose frame was given back, and have the driver fill them again."""
        with self._lock:
            if self._closed:
                _close(planes)
                return
            self._idle.append(planes)
            self._refill()
            self._given_back.notify_all()

    def _refill(self) -> None:
        while self._streaming and not self.ended and self._idle and self._indices.free:
            planes = self._idle.pop(0)
            number = self._indices.take(planes)
            try:
                self.queue.queue(number, planes, context=self._context)
            except BaseException:
                self._indices.give(number)
                self._idle.insert(0, planes)
                raise


def _close(planes: Planes) -> None:
    for chunk in planes:
        chunk.close()
