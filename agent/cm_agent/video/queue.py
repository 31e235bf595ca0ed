# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""One queue of a video device: its format, and the chunks that go in and come out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.video.addressability import out_of_reach
from cm_agent.video.error import VideoError, asking, buffer_refused, format_differs
from cm_agent.video.format import (
    Colour,
    Filled,
    Format,
    FormatDescription,
    Payload,
    fourcc,
    fourcc_text,
)
from cm_agent.video.uapi_queue import QueueIoctls

_UNMAPPED = (errno.EINVAL, errno.EIO, errno.EFAULT)
"""What a driver says whose device could not have a buffer mapped; videobuf2 says EINVAL."""
_BUSY = {errno.EBUSY: "something else is streaming from it"}


class Queue:
    """Speak to one queue of a device: `capture`, which it fills, or `output`, which it reads.

    Belongs to its VideoDevice. Errors are VideoError with the driver's errno.

    Synchronization: external synchronization is required.
    """

    def __init__(self, ioctls: QueueIoctls, path: Path, name: str) -> None:
        self._ioctls = ioctls
        self.path = path
        self.name = name

    @property
    def format(self) -> Format:
        """Ask the driver for the format that is set."""
        with asking(self.path, f"get the {self.name} format"):
            return self._ioctls.get_format()

    def formats(self) -> list[FormatDescription]:
        """List the pixel formats that the driver offers, in its order."""
        with asking(self.path, f"list the {self.name} formats"):
            return list(self._ioctls.enumerate_formats())

    def negotiate(
        self,
        width: int | None = None,
        height: int | None = None,
        pixelformat: str | None = None,
        colour: Colour | None = None,
        size: int = 0,
        *,
        crop: bool = False,
    ) -> Format:
        """Set the format, in pixels and four characters; None keeps what is set.

        size: bytes that a coded image must have room for, for drivers that
        leave that to their users (s5p-jpeg has one page otherwise); 0 is the
        driver's choice. crop: where the driver wants more rows or columns (1088 for 1080), the
        image is the upper left part of what it has then.

        Returns what the driver settled on. Raises VideoError, EINVAL, when
        that is not what was asked for, and the driver has the format that it
        had then: nothing is replaced in silence, but for the colour, which
        many drivers have no say in.
        """
        if pixelformat is not None:
            pixelformat = fourcc_text(fourcc(pixelformat))
        what = f"set the {self.name} format"
        with asking(self.path, what, _BUSY):
            before = self._ioctls.get_format()
            got = self._ioctls.set_format(width, height, pixelformat, colour, size)
            if crop:
                got = self._cropped(got, width or got.width, height or got.height)
        asked = {"width": width, "height": height, "pixelformat": pixelformat}
        large_enough = all(plane.size >= size for plane in got.planes)
        if large_enough and all(value in (None, getattr(got, it)) for it, value in asked.items()):
            return got
        with suppress(OSError, ValueError):  # a driver's number may be no text
            self._ioctls.set_format(before.width, before.height, before.pixelformat, before.colour)
        raise self._another(what, got, width, height, pixelformat, size)

    def offer(
        self,
        width: int | None = None,
        height: int | None = None,
        pixelformat: str | None = None,
        *,
        larger: bool = False,
    ) -> Format:
        """Ask what negotiate() would return, or raise; nothing is set, also while it streams.

        larger: images of more columns or rows will do, as of a decoder.
        """
        if pixelformat is not None:
            pixelformat = fourcc_text(fourcc(pixelformat))
        what = f"try the {self.name} format"
        with asking(self.path, what):
            got = self._ioctls.try_format(width, height, pixelformat)
        columns, rows = width or got.width, height or got.height
        fits = larger and columns <= got.width and rows <= got.height
        if (fits or (columns, rows) == got.size) and pixelformat in (None, got.pixelformat):
            return got
        raise self._another(what, got, width, height, pixelformat)

    def _another(
        self,
        what: str,
        got: Format,
        width: int | None,
        height: int | None,
        pixelformat: str | None,
        size: int = 0,
    ) -> VideoError:
        """Return the error that says what was asked for and what the driver has instead."""
        choices = []
        if pixelformat not in (None, got.pixelformat):
            choices = [entry.pixelformat for entry in self.formats()]
        wanted = f"{width or got.width}x{height or got.height} {pixelformat or got.pixelformat}"
        offered = str(got)
        if any(plane.size < size for plane in got.planes):
            wanted += f" of {size:,} bytes"
            offered += f" of {min(plane.size for plane in got.planes):,} bytes"
        hint = format_differs(wanted, offered, choices)
        return VideoError(errno.EINVAL, str(self.path), what, hint)

    def _cropped(self, got: Format, width: int, height: int) -> Format:
        """Say which part of larger images is used; return the format as it was if that fails."""
        if (width, height) != got.size and width <= got.width and height <= got.height:
            with suppress(OSError):
                if self._ioctls.set_crop(width, height) == (width, height):
                    return got.cropped(width, height)
        return got

    def set_rate(self, fps: float) -> float | None:
        """Ask for frames per second; return what the driver chose, None when it has no say."""
        with asking(
            self.path, f"set {fps:g} frames per second", {errno.ENOTTY: "its rate is fixed"}
        ):
            return self._ioctls.set_rate(fps)

    def visible(self) -> tuple[int, int] | None:
        """Ask how many pixels of the image are to be seen; None when the driver does not say."""
        with suppress(OSError):
            return self._ioctls.get_visible()
        return None

    def request_buffers(self, count: int) -> int:
        """Announce imported buffers; return how many the driver will use, which may be more."""
        hints = _BUSY | {errno.EINVAL: "its driver does not import dma-bufs"}
        with asking(self.path, f"announce {count} imported {self.name} buffers", hints):
            return self._ioctls.request_buffers(count)

    def granted(self, count: int) -> int:
        """Ask how many buffers request_buffers() would return; none stays announced."""
        number = self.request_buffers(count)
        self.release_buffers()
        return number

    @contextmanager
    def exported(self, count: int) -> Iterator[tuple[tuple[Buffer, ...], ...]]:
        """Have the driver allocate buffers of its own, and lend their planes for a `with` block.

        They are foreign dma-bufs, to be verified or compared with.
        """
        with ExitStack() as stack:
            with asking(self.path, f"allocate {count} {self.name} buffers"):
                granted = self._ioctls.request_buffers(count, exported=True)
            stack.callback(self.release_buffers)
            yield tuple(
                tuple(stack.enter_context(plane) for plane in self._export(index))
                for index in range(granted)
            )

    def release_buffers(self) -> None:
        """Make the driver let go of every buffer, imported or its own."""
        with asking(self.path, f"let go of the {self.name} buffers"):
            self._ioctls.request_buffers(0)

    def _export(self, index: int) -> list[Buffer]:
        with asking(self.path, f"export {self.name} buffer {index}"):
            left = self._ioctls.export_buffer(index)
        buffers: list[Buffer] = []
        try:
            while left:
                buffers.append(Buffer.from_fd(left[0]))
                del left[0]
        except BaseException:
            for fd in left:
                os.close(fd)
            for buffer in buffers:
                buffer.close()
            raise
        return buffers

    def queue(
        self,
        index: int,
        buffers: Sequence[Buffer],
        payloads: Sequence[Payload] = (),
        timestamp_ns: int = 0,
        *,
        context: Context | None = None,
    ) -> None:
        """Give the driver the chunks of buffer `index`, one a plane, to fill or to read.

        The driver imports them and keeps them until another chunk comes at the
        same index, or until release_buffers(); the descriptors stay the
        caller's. When it refuses, the message says which chunk is too small
        and by how much, or, having asked `context`, which one lies where the
        device may not reach it.
        """
        planes = [(buffer.fd, buffer.size) for buffer in buffers]
        try:
            self._ioctls.queue(index, planes, payloads, timestamp_ns)
        except OSError as error:
            number, hint = error.errno or 0, ""
            with suppress(OSError):
                wanted = [plane.size for plane in self._ioctls.get_format().planes]
                hint = buffer_refused(number, wanted, [buffer.size for buffer in buffers])
            if context and not hint and number in _UNMAPPED:
                hint = out_of_reach(context, buffers)
            what = f"queue {self.name} buffer {index}"
            raise VideoError(number, str(self.path), what, hint) from error

    def dequeue(self) -> Filled | None:
        """Take back a buffer that the driver is done with; None when there is none yet.

        EPIPE: a codec has handed out its last one (Filled.last).
        """
        with asking(self.path, f"take back a {self.name} buffer"):
            try:
                return self._ioctls.dequeue()
            except BlockingIOError:
                return None

    def stream_on(self) -> None:
        """Start the queue."""
        with asking(self.path, f"start the {self.name} queue"):
            self._ioctls.stream_on()

    def stream_off(self) -> None:
        """Stop the queue and take every buffer back, unfilled or unread."""
        with asking(self.path, f"stop the {self.name} queue"):
            self._ioctls.stream_off()
