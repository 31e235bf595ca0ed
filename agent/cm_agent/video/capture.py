# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames from a video device straight into chunks of a context."""

from __future__ import annotations

import errno
from types import TracebackType
from typing import Self

from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.core.errors import ClosedError
from cm_agent.video.capture_buffers import CaptureBuffers, Planes
from cm_agent.video.device import VideoDevice
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format
from cm_agent.video.frame import Counters, Frame
from cm_agent.video.frames import Frames


class Capture:
    """Stream a device's images into chunks of a context, without a copy.

    Agrees on a format, announces imported buffers, and allocates one chunk for
    each buffer and plane, of the size that the driver names. Leaving it, on
    whatever way, stops the stream, makes the driver let go of the chunks and
    closes them; device and context stay the caller's and must outlive it.

    width and height are in pixels, pixelformat is four characters; None keeps
    what is set. fps: frames per second to ask for; `rate` is what the driver
    chose, None when that is not known. extra: chunks beyond those that the
    driver can have at a time (see CaptureBuffers). deadline: seconds that each
    allocation may take. Errors are VideoError and AllocationError, and then
    nothing stays behind.

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
        extra: int = 0,
        deadline: float | None = None,
    ) -> None:
        self.device = device
        self.streaming = False
        self._expected: int | None = None
        self._ioctls_before = device.ioctls
        self._closed = False
        _require_capture(device)
        device.capture.negotiate(width, height, pixelformat)
        self.rate = None if fps is None else device.capture.set_rate(fps)
        self._capture_buffers = CaptureBuffers(
            device.capture, context, count, extra=extra, deadline=deadline
        )

    @property
    def format(self) -> Format:
        """The shape of the images."""
        return self._capture_buffers.format

    @property
    def counters(self) -> Counters:
        """What it has done so far."""
        return self._capture_buffers.counters

    @property
    def buffers(self) -> tuple[Planes, ...]:
        """The chunks, buffer by buffer and plane by plane."""
        return self._capture_buffers.buffers

    @property
    def chunks(self) -> tuple[Buffer, ...]:
        """All chunks in one row."""
        return tuple(chunk for planes in self.buffers for chunk in planes)

    @property
    def ioctls(self) -> int:
        """Count the ioctls made on the device for this capture."""
        return self.device.ioctls - self._ioctls_before

    def start(self) -> None:
        """Queue every buffer and start the stream; harmless when done again."""
        if not self:
            raise ClosedError(f"the capture from {self.device.path} is closed")
        if not self.streaming:
            self._capture_buffers.start()
            self.streaming = True

    def take(self) -> Frame | None:
        """Take a frame, whose reader releases it; None when there is none yet."""
        frame = self._capture_buffers.take()
        if frame is not None:
            self.counters.dropped += missed(self._expected, frame.sequence)
            self._expected = (frame.sequence + 1) % (1 << 32)
        return frame

    def wait_until_busy(self, timeout: float) -> bool:
        """Wait until the driver has buffers to fill again, since readers gave frames back."""
        return self._capture_buffers.wait_until_busy(timeout)

    def frames(self, limit: int | None = None, *, timeout: float = 2.0) -> Frames:
        """Return an iterator over frames as they come, `limit` of them or without end.

        `for` waits; `async for` lets asyncio's loop go on. Each frame is the reader's until the
        next step, which gives its buffer back to the driver. Raises VideoError, ETIMEDOUT, when
        none comes for `timeout` seconds.
        """
        return Frames(self, limit, timeout)

    def frame(self, *, timeout: float = 2.0) -> Frame:
        """Return the next frame, which is the caller's: `with` gives it back. Else as frames()."""
        self.start()
        return Frames(self, None, timeout).wait()

    def close(self) -> None:
        """Stop, make the driver let go and close the chunks; harmless when done again."""
        self._closed = True
        self.streaming = False
        self._capture_buffers.close()

    def __bool__(self) -> bool:
        return not self._closed

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
