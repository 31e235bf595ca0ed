# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames of a capture, one after the other, in a loop that waits or in one of asyncio's."""

from __future__ import annotations

import errno
import select
import time
from collections.abc import Sequence
from typing import Protocol, Self

from cm_agent.video.device import VideoDevice
from cm_agent.video.error import VideoError
from cm_agent.video.frame import Frame

_GIVEN_BACK_SECONDS = 0.002


class Stream(Protocol):
    """What delivers frames: a Capture."""

    device: VideoDevice

    @property
    def buffers(self) -> Sequence[object]:
        """The buffers there are."""

    def start(self) -> None:
        """Begin; harmless when done again."""

    def take(self) -> Frame | None:
        """Take a frame; None when there is none yet."""

    def wait_until_busy(self, timeout: float) -> bool:
        """Wait until the device has buffers to fill."""


class Frames:
    """An iterator, for `for` and for `async for`, over frames as they come.

    Each frame is the reader's until the next step, or until the loop is left, unless somebody
    retains it. VideoError, ETIMEDOUT, when none comes in time.

    Synchronization: external synchronization is required.
    """

    def __init__(self, capture: Stream, limit: int | None, timeout: float) -> None:
        self._capture = capture
        self._left = limit
        self._timeout = timeout
        self._frame: Frame | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        if not self._begin():
            raise StopIteration
        return self._lend(self.wait())

    def wait(self) -> Frame:
        """Return the next frame, which is the caller's to end."""
        deadline = time.monotonic() + self._timeout
        while (left := deadline - time.monotonic()) > 0:
            if not self._capture.wait_until_busy(left):
                break
            if self._capture.device.wait(left) and (frame := self._capture.take()):
                return frame
        raise self._none()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        import asyncio

        if not self._begin():
            raise StopAsyncIteration
        deadline = time.monotonic() + self._timeout
        while (left := deadline - time.monotonic()) > 0:
            if frame := self._capture.take():
                return self._lend(frame)
            if self._capture.wait_until_busy(0):
                await _ready(self._capture.device.fileno(), left)
            else:
                await asyncio.sleep(min(left, _GIVEN_BACK_SECONDS))
        raise self._none()

    def close(self) -> None:
        """Give back the frame that the reader has; harmless when done again."""
        frame, self._frame = self._frame, None
        if frame is not None:
            frame.end()

    def __del__(self) -> None:
        self.close()

    def _begin(self) -> bool:
        """Give back the last frame; return whether there is to be another."""
        self.close()
        if self._left == 0:
            return False
        self._capture.start()
        return True

    def _lend(self, frame: Frame) -> Frame:
        if self._left is not None:
            self._left -= 1
        self._frame = frame
        return frame

    def _none(self) -> VideoError:
        count = len(self._capture.buffers)
        hint = f"none of the {count} buffers was filled; is there a signal?"
        if not self._capture.wait_until_busy(0):
            hint = f"all {count} are with their readers: give frames back, or copy them"
        what = f"no frame within {self._timeout:g} s"
        return VideoError(errno.ETIMEDOUT, str(self._capture.device.path), what, hint)


async def _ready(fd: int, timeout: float) -> None:
    """Wait until a device has something to say, without a thread.

    Linux before 5.12 does not wake who registered with a queue that had a buffer, or did not stream
    ("media: videobuf2: always call poll_wait() on queues"): so each wait registers anew.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    with select.epoll() as poll:
        poll.register(fd, select.EPOLLIN | select.EPOLLPRI)
        loop.add_reader(poll.fileno(), ready.cancel)
        try:
            await asyncio.wait([ready], timeout=timeout)
        finally:
            loop.remove_reader(poll.fileno())
