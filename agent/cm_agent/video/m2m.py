# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Memory-to-memory devices: what is put in comes out changed, in chunks of a context."""

from __future__ import annotations

import errno
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from cm_agent.video.capture_buffers import CaptureBuffers, Planes
from cm_agent.video.device import VideoDevice
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format
from cm_agent.video.frame import Counters, Frame
from cm_agent.video.output_buffers import OutputBuffers


class M2M(ABC):
    """Put frames in and take what the device makes of them.

    `output_buffers` is the output queue, whose chunks are somebody else's; `capture_buffers`
    the capture queue with the chunks of its own, None while a decoder does not
    know yet what to fill them with. What comes out carries the timestamp of
    what went in. Leaving it, on whatever way, makes the driver let go of all
    chunks and closes its own; device and context stay the caller's and must
    outlive it. Errors are VideoError and AllocationError.

    Synchronization: external synchronization is required.
    """

    def __init__(self, device: VideoDevice) -> None:
        _require_m2m(device)
        self.device = device
        self.counters = Counters()
        self.output_buffers: OutputBuffers
        self.capture_buffers: CaptureBuffers | None = None
        self._ioctls_before = device.ioctls
        self._draining = False

    @property
    def input(self) -> Format:
        """The format of what is put in."""
        return self.output_buffers.format

    @property
    def buffers(self) -> tuple[Planes, ...]:
        """Its own chunks, buffer by buffer and plane by plane; none without capture_buffers."""
        return self.capture_buffers.buffers if self.capture_buffers else ()

    @property
    def ioctls(self) -> int:
        """Count the ioctls made on the device for this."""
        return self.device.ioctls - self._ioctls_before

    @property
    def busy(self) -> bool:
        """The driver has chunks, so that waiting for it makes sense."""
        return self.output_buffers.busy or bool(self.capture_buffers and self.capture_buffers.busy)

    @property
    @abstractmethod
    def ended(self) -> bool:
        """drain() is done: all that was put in has come out and was taken."""

    def put(self, frame: Frame) -> None:
        """Put a frame in; it stays on loan until the device has read it.

        IndexError when `output_buffers.free` is 0.
        """
        self.output_buffers.put_frame(frame)

    def take(self) -> Frame | None:
        """Take what has come out, whose reader releases it; None when there is nothing yet."""
        self.output_buffers.collect()
        return self.capture_buffers.take() if self.capture_buffers else None

    def get(self, timeout: float = 2.0) -> Frame | None:
        """Wait for what comes out; None when it has ended.

        Raises VideoError, ETIMEDOUT, when nothing comes for `timeout` seconds,
        at once when the driver has no chunks that anything could come of.
        """
        deadline = time.monotonic() + timeout
        while (frame := self.take()) is None and not self.ended:
            left = deadline - time.monotonic()
            if left <= 0 or not (self.busy and self.device.wait(left)):
                hint = "was enough put in, and is every frame given back?"
                raise VideoError(errno.ETIMEDOUT, str(self.device.path), "nothing came out", hint)
        return frame

    @abstractmethod
    def drain(self) -> None:
        """Put nothing more in; take() until `ended` hands out what is still inside."""

    def flush(self) -> None:
        """Forget what is inside: all that was put in is done with, nothing of it comes out."""
        self._draining = False
        self.output_buffers.stop()
        if self.capture_buffers:
            self.capture_buffers.stop()
        self.output_buffers.start()
        if self.capture_buffers:
            self.capture_buffers.start()

    def close(self) -> None:
        """Stop, make the driver let go and close its own chunks; harmless when done again."""
        with ExitStack() as stack:
            if self.capture_buffers:
                stack.callback(self.capture_buffers.close)
            stack.callback(self.output_buffers.close)

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
        made = self.capture_buffers.format if self.capture_buffers else "what it will find"
        return f"<{type(self).__name__} {self.device.path} {self.input} to {made}>"


def require_layout(device: VideoDevice, wanted: Format, given: Format) -> None:
    """Raise VideoError, EINVAL, unless images that one driver fills can be read by another."""
    asked, offered = ([plane.stride for plane in it.planes] for it in (wanted, given))
    if asked != offered:
        hint = (
            f"it wants rows of {given} {_listed(asked)} bytes apart, "
            f"those it is fed are {_listed(offered)} bytes apart"
        )
        raise VideoError(errno.EINVAL, str(device.path), "share buffers", hint)


def _listed(numbers: list[int]) -> str:
    return " and ".join(f"{number:,}" for number in numbers)


def _require_m2m(device: VideoDevice) -> None:
    able = device.capabilities
    if not able.memory_to_memory:
        hint = "it is no codec or converter"
    elif not able.streaming:
        hint = "it can only be read() and written, which copies"
    else:
        return
    raise VideoError(errno.EOPNOTSUPP, str(device.path), "feed", hint)
