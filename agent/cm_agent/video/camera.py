# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A camera, whose images come straight into chunks of a context."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from cm_agent.core.context import Context
from cm_agent.video.capture_buffers import CaptureBuffers
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import find_camera
from cm_agent.video.error import VideoError
from cm_agent.video.format import MOST_BUFFERS, check_count, check_fps, check_size
from cm_agent.video.frame import Frame
from cm_agent.video.frames import Frames
from cm_agent.video.stream import Stream


class Camera(Stream):
    """A camera whose images are in chunks of a context, without a copy; a context manager.

    device, context: as Stream has them. size: width and height in pixels; format: four
    characters, as V4L2 names it; None keeps what is set. fps: frames per second to ask for;
    `rate` is what the driver chose, None when that is not known. buffers: how many the driver has
    at a time; extra: chunks beyond those (see CaptureBuffers). controls: by name, set before the
    first frame. deadline: seconds that each allocation may take.

    VideoError, also for a format that the driver does not have; AllocationError (by policy,
    NoRuleError and RefusedError); ValueError and TypeError for values that no camera has.

    Synchronization: external synchronization is required, but frames go back from any thread.
    """

    capture_buffers: CaptureBuffers

    def __init__(
        self,
        device: VideoDevice | Path | str,
        context: Context | str | None = None,
        *,
        size: tuple[int, int] | None = None,
        format: str | None = None,
        fps: float | None = None,
        buffers: int = 4,
        extra: int = 0,
        controls: Mapping[str, int | str] | None = None,
        deadline: float | None = None,
    ) -> None:
        width, height = check_size(size)
        check_fps(fps)
        check_count("buffers", buffers, most=MOST_BUFFERS)
        check_count("extra", extra, least=0)
        super().__init__(device, context, find_camera)
        self.streaming = False
        self._expected: int | None = None
        with self._closed_on_error():
            _require_camera(self.device)
            self.device.capture.negotiate(width, height, format)
            self.rate = None if fps is None else self.device.capture.set_rate(fps)
            self._set(controls or {})
            self.capture_buffers = self._allocate(
                lambda pool, seconds: CaptureBuffers(
                    self.device.capture,
                    pool,
                    buffers,
                    extra=extra,
                    deadline=seconds,
                    counters=self.counters,
                ),
                deadline,
            )
            self._opened.callback(self.capture_buffers.close)

    @property
    def busy(self) -> bool:
        """The driver has buffers to fill."""
        return self.capture_buffers.busy

    @property
    def ended(self) -> bool:
        """A camera does not end."""
        return False

    def start(self) -> None:
        """Queue every buffer and start the stream; harmless when done again."""
        self._require_open()
        if not self.streaming:
            self.capture_buffers.start()
            self.streaming = True

    def take(self) -> Frame | None:
        """Take a frame, whose reader ends it; None when there is none yet."""
        frame = self.capture_buffers.take()
        if frame is not None:
            self.counters.dropped += missed(self._expected, frame.sequence)
            self._expected = (frame.sequence + 1) % (1 << 32)
        return frame

    def frames(self, limit: int | None = None, *, timeout: float = 2.0) -> Frames:
        """Return an iterator over frames as they come, `limit` of them or without end.

        `for` waits; `async for` lets asyncio's loop go on. Each frame is the reader's until the
        next step, which gives its buffer back to the driver. Raises VideoError, ETIMEDOUT, when
        none comes for `timeout` seconds.
        """
        return Frames(self, timeout, limit=limit)

    def frame(self, *, timeout: float = 2.0) -> Frame:
        """Return the next frame, which is the caller's: `with` gives it back. Else as frames()."""
        frame = self.get(timeout)
        assert frame is not None, "a camera does not end"
        return frame

    def close(self) -> None:
        """Stop, close the chunks, and what was opened by name; again does nothing."""
        self.streaming = False
        super().close()

    def _why_nothing_came(self) -> str:
        if not self.busy:
            return self._all_are_read()
        return f"none of the {len(self.buffers)} buffers was filled; is there a signal?"

    def __repr__(self) -> str:
        state = "" if self else " CLOSED"
        return f"<Camera {self.device.path} {self.format} {len(self.buffers)} buffers{state}>"


def missed(expected: int | None, sequence: int) -> int:
    """Count the frames between the one expected and the one that came, modulo 2**32.

    Nothing is missed before the first frame, and a driver that counts backwards
    has started anew.
    """
    if expected is None:
        return 0
    gap = (sequence - expected) % (1 << 32)
    return gap if gap < 1 << 31 else 0


def _require_camera(device: VideoDevice) -> None:
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
