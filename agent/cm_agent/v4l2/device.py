# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A video device: opened by path, asked for its formats, fed with buffers."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cm_agent.buffer import Buffer
from cm_agent.descriptor import Descriptor
from cm_agent.v4l2.error import VideoError, buffer_refused, format_differs
from cm_agent.v4l2.format import (
    Capabilities,
    Filled,
    Format,
    FormatDescription,
    fourcc,
    fourcc_text,
)
from cm_agent.v4l2.uapi import CaptureQueue


class VideoDevice(Descriptor):
    """Hold a video device open; single- and multi-planar ones look alike.

    Owns its file descriptor. Closing it stops the stream and makes the driver
    let go of every buffer, as the end of the process does. Errors are
    VideoError with the driver's errno.

    Synchronization: external synchronization is required.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise VideoError(error.errno or 0, str(path), "open") from error
        super().__init__(fd, f"video device {path}")
        self._queue = CaptureQueue(fd)
        try:
            with self._asking("who it is"):
                self.capabilities: Capabilities = self._queue.query_capabilities()
        except VideoError:
            self.close()
            raise

    @property
    def ioctls(self) -> int:
        """Count the ioctls made so far."""
        return self._queue.ioctls

    @property
    def format(self) -> Format:
        """Ask the driver for the format that is set."""
        with self._asking("get the format"):
            return self._queue.get_format()

    def formats(self) -> list[FormatDescription]:
        """List the pixel formats that the driver offers, in its order."""
        with self._asking("list the formats"):
            return list(self._queue.enumerate_formats())

    def negotiate(
        self, width: int | None = None, height: int | None = None, pixelformat: str | None = None
    ) -> Format:
        """Set the format, in pixels and four characters; None keeps what is set.

        Returns what the driver settled on. Raises VideoError, EINVAL, when
        that is not what was asked for: nothing is replaced in silence.
        """
        if pixelformat is not None:
            pixelformat = fourcc_text(fourcc(pixelformat))
        with self._asking("set the format", {errno.EBUSY: "something else is streaming from it"}):
            got = self._queue.set_format(width, height, pixelformat)
        asked = {"width": width, "height": height, "pixelformat": pixelformat}
        if all(value in (None, getattr(got, name)) for name, value in asked.items()):
            return got
        choices = []
        if pixelformat not in (None, got.pixelformat):
            choices = [entry.pixelformat for entry in self.formats()]
        wanted = f"{width or got.width}x{height or got.height} {pixelformat or got.pixelformat}"
        hint = format_differs(wanted, str(got), choices)
        raise VideoError(errno.EINVAL, str(self.path), "set the format", hint)

    def set_rate(self, fps: float) -> float | None:
        """Ask for frames per second; return what the driver chose, None when it has no say."""
        with self._asking(f"set {fps:g} frames per second", {errno.ENOTTY: "its rate is fixed"}):
            return self._queue.set_rate(fps)

    def request_buffers(self, count: int) -> int:
        """Announce imported buffers; return how many the driver will use, which may be more."""
        hints = {
            errno.EBUSY: "something else is streaming from it",
            errno.EINVAL: "its driver does not import dma-bufs",
        }
        with self._asking(f"announce {count} imported buffers", hints):
            return self._queue.request_buffers(count)

    def request_exported(self, count: int) -> int:
        """Have the driver allocate buffers of its own; return how many it did."""
        with self._asking(f"allocate {count} buffers"):
            return self._queue.request_buffers(count, exported=True)

    def release_buffers(self) -> None:
        """Make the driver let go of every buffer, imported or its own."""
        with self._asking("let go of the buffers"):
            self._queue.request_buffers(0)

    def export(self, index: int) -> list[Buffer]:
        """Export the planes of one of the driver's own buffers; the caller owns them."""
        with self._asking(f"export buffer {index}"):
            return [Buffer.from_fd(fd) for fd in self._queue.export_buffer(index)]

    def queue(self, index: int, buffers: Sequence[Buffer]) -> None:
        """Give the driver the chunks of buffer `index`, one a plane, to fill.

        The driver imports them and keeps them until release_buffers(); the
        descriptors stay the caller's. When it refuses, the message says which
        chunk is too small and by how much.
        """
        try:
            self._queue.queue(index, [(buffer.fd, buffer.size) for buffer in buffers])
        except OSError as error:
            number, hint = error.errno or 0, ""
            with suppress(OSError):
                wanted = [plane.size for plane in self._queue.get_format().planes]
                hint = buffer_refused(number, wanted, [buffer.size for buffer in buffers])
            raise VideoError(number, str(self.path), f"queue buffer {index}", hint) from error

    def dequeue(self) -> Filled | None:
        """Take back a filled buffer; None when there is none yet."""
        with self._asking("take back a buffer"):
            try:
                return self._queue.dequeue()
            except BlockingIOError:
                return None

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a filled buffer; tell whether there is one."""
        poll = select.poll()
        poll.register(self, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def stream_on(self) -> None:
        """Start the queue."""
        with self._asking("start streaming"):
            self._queue.stream_on()

    def stream_off(self) -> None:
        """Stop the queue and take every buffer back unfilled."""
        with self._asking("stop streaming"):
            self._queue.stream_off()

    @contextmanager
    def _asking(self, what: str, hints: dict[int, str] | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            number = error.errno or 0
            hint = (hints or {}).get(number, "")
            if number == errno.ENOTTY:
                hint = "is it a V4L2 device?"
            raise VideoError(number, str(self.path), what, hint) from error
