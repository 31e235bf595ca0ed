# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames from a video device straight into chunks of a context."""

from __future__ import annotations

import errno
import time
import warnings
import weakref
from collections.abc import Callable, Generator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from cm_agent.buffer import Buffer
from cm_agent.context import Context
from cm_agent.errors import ClosedError
from cm_agent.v4l2.device import VideoDevice
from cm_agent.v4l2.error import VideoError
from cm_agent.v4l2.frame import Counters, Frame


class Capture:
    """Stream a device's images into chunks of a context, without a copy.

    Agrees on a format, announces imported buffers, and allocates one chunk for
    each buffer and plane, of the size that the driver names. Leaving it, on
    whatever way, stops the stream, makes the driver let go of the chunks and
    closes them; device and context stay the caller's and must outlive it.

    width and height are in pixels, pixelformat is four characters; None keeps
    what is set. fps: frames per second to ask for; `rate` is what the driver
    chose, None when that is not known. deadline: seconds that each allocation may take. Errors are
    VideoError and AllocationError, and then nothing stays behind.

    Synchronization: external synchronization is required.
    """

    def __init__(
        self,
        device: VideoDevice,
        context: Context,
        count: int = 4,
        *,
        width: int | None = None,
        height: int | None = None,
        pixelformat: str | None = None,
        fps: float | None = None,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = device
        self.counters = Counters()
        self.streaming = False
        self._clock = clock
        self._expected: int | None = None
        self._ioctls_before = device.ioctls
        _require_capture(device)
        self.format = device.negotiate(width, height, pixelformat)
        self.rate = None if fps is None else device.set_rate(fps)
        with ExitStack() as stack:
            chunks = stack.enter_context(ExitStack())
            granted = device.request_buffers(count)
            stack.callback(device.release_buffers)
            self.buffers = tuple(
                tuple(
                    chunks.enter_context(
                        context.alloc(
                            plane.size,
                            deadline=deadline,
                            name=f"{device.path.resolve().name} buffer {index}.{number}",
                        )
                    )
                    for number, plane in enumerate(self.format.planes)
                )
                for index in range(granted)
            )
            self._undo = stack.pop_all()
        self._finalize = weakref.finalize(self, _abandon, self._undo, str(device.path))

    @property
    def chunks(self) -> tuple[Buffer, ...]:
        """All chunks, buffer by buffer and plane by plane."""
        return tuple(chunk for planes in self.buffers for chunk in planes)

    @property
    def ioctls(self) -> int:
        """Count the ioctls made on the device for this capture."""
        return self.device.ioctls - self._ioctls_before

    def start(self) -> None:
        """Queue every buffer and start the stream; harmless when done again."""
        if not self:
            raise ClosedError(f"the capture from {self.device.path} is closed")
        if self.streaming:
            return
        for index, planes in enumerate(self.buffers):
            self.device.queue(index, planes)
        self.device.stream_on()
        self._undo.callback(self.device.stream_off)
        self.streaming = True

    def frames(
        self, limit: int | None = None, *, timeout: float = 2.0
    ) -> Generator[Frame, None, None]:
        """Yield frames as they come, `limit` of them or without end.

        Each is the reader's until the next step, which gives its buffer back to
        the driver. Raises VideoError, ETIMEDOUT, when none comes for `timeout`
        seconds.
        """
        self.start()
        taken = 0
        while limit is None or taken < limit:
            frame = self._next(timeout)
            taken += 1
            try:
                yield frame
            finally:
                frame.retire()
                if self.streaming:
                    self.device.queue(frame.index, frame.buffers)

    def _next(self, timeout: float) -> Frame:
        deadline = self._clock() + timeout
        while (left := deadline - self._clock()) > 0:
            if self.device.wait(left) and (filled := self.device.dequeue()):
                counters = self.counters
                counters.frames += 1
                counters.damaged += filled.damaged
                counters.dropped += missed(self._expected, filled.sequence)
                self._expected = (filled.sequence + 1) % (1 << 32)
                return Frame(self.buffers[filled.index], filled, self.format, counters)
        hint = f"none of the {len(self.buffers)} queued buffers was filled; is there a signal?"
        what = f"no frame within {timeout:g} s"
        raise VideoError(errno.ETIMEDOUT, str(self.device.path), what, hint)

    def close(self) -> None:
        """Stop, make the driver let go and close the chunks; harmless when done again."""
        self.streaming = False
        if self._finalize.detach():
            self._undo.close()

    def __bool__(self) -> bool:
        return self._finalize.alive

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self else " CLOSED"
        return f"<Capture {self.device.path} {self.format} {len(self.buffers)} buffers{state}>"


def missed(expected: int | None, sequence: int) -> int:
    """Count the frames between the one expected and the one that came, modulo 2**32.

    Nothing is missed before the first frame, and a driver that counts backwards
    has started anew.
    """
    if expected is None:
        return 0
    gap = (sequence - expected) % (1 << 32)
    return gap if gap < 1 << 31 else 0


def _require_capture(device: VideoDevice) -> None:
    able = device.capabilities
    if able.memory_to_memory:
        hint = "it is a codec or converter, which delivers only what it is fed"
    elif not able.capture:
        hint = "it delivers no images"
    elif not able.streaming:
        hint = "it can only be read(), which copies"
    else:
        return
    raise VideoError(errno.EOPNOTSUPP, str(device.path), "capture", hint)


def _abandon(undo: ExitStack, path: str) -> None:
    warnings.warn(f"capture from {path} was never closed", ResourceWarning, stacklevel=2)
    undo.close()
