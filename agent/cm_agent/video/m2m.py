# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Memory-to-memory devices: what is put in comes out changed, in chunks of a context."""

from __future__ import annotations

import errno
from abc import abstractmethod
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.video.capture_buffers import CaptureBuffers
from cm_agent.video.device import VideoDevice
from cm_agent.video.error import VideoError
from cm_agent.video.feed import Feed
from cm_agent.video.format import (
    MOST_BUFFERS,
    Filled,
    Format,
    Payload,
    check_count,
    check_fps,
    check_size,
)
from cm_agent.video.frame import Frame
from cm_agent.video.frames import Frames
from cm_agent.video.input_chunks import InputChunks
from cm_agent.video.output_buffers import OutputBuffers
from cm_agent.video.pieces import Piece, image_pieces
from cm_agent.video.stream import Stream

FPS = 30
"""Images that come without a time are taken for so many a second."""


class M2M(Stream):
    """Put images in and take what the device makes of them.

    `output_buffers` is V4L2's output queue, which the device reads; `capture_buffers` its capture
    queue with the chunks of its own, None while a decoder does not know yet what to fill them
    with. What comes out carries the timestamp of what went in.

    Synchronization: external synchronization is required, but frames go back from any thread.
    """

    output_buffers: OutputBuffers

    def __init__(
        self,
        device: VideoDevice | Path | str,
        context: Context | str | None,
        find: Callable[[str], Path],
        *,
        fps: float | None,
        inputs: int,
        buffers: int,
        extra: int,
        deadline: float | None,
    ) -> None:
        check_fps(fps)
        self._inputs = check_count("inputs", inputs, most=MOST_BUFFERS)
        self._buffers = check_count("buffers", buffers, most=MOST_BUFFERS)
        self._extra = check_count("extra", extra, least=0)
        super().__init__(device, context, find)
        self._deadline = deadline
        self._interval_ns = round(10**9 / (fps or FPS))
        self._chunks: InputChunks | None = None
        self._feed: object = None
        self._draining = False
        self._counted = False
        self._inside = self._put = self._began_ns = 0
        with self._closed_on_error():
            _require_m2m(self.device)

    @property
    def input(self) -> Format:
        """The format of what is put in."""
        return self._input

    @property
    def output(self) -> Format:
        """The format of what comes out; VideoError while a decoder does not know it yet."""
        if self.capture_buffers is None:
            what = "the format of what comes out is not known yet"
            raise VideoError(errno.ENODATA, str(self.device.path), what, "put a header in first")
        return self.capture_buffers.format

    @property
    def busy(self) -> bool:
        """The driver has chunks, so that waiting for it makes sense."""
        return self.output_buffers.busy or bool(self.capture_buffers and self.capture_buffers.busy)

    @property
    def ended(self) -> bool:
        """drain() is done: all that was put in has come out and was taken."""
        if self.capture_buffers is None:
            return self._draining and not self.output_buffers.busy
        if self._counted:
            return self._draining and self._inside <= 0
        return self.capture_buffers.ended

    def start(self) -> None:
        """Raise ClosedError when it is closed; it starts when it is made."""
        self._require_open()

    def put(self, image: Any, timestamp_ns: int | None = None) -> None:
        """Put an image in, which ends a loop that puts others in.

        A Frame is read where it is, and held by a dup() until the device has read it. So is a
        Buffer, or a list of one a plane, whose content may not change until its result has come. An
        array, bytes, or a list of them, one for each part of the format, is copied. timestamp_ns:
        when it was taken, in whole microseconds; None for the frame's, or the number of images
        before it at the rate of `fps`.

        IndexError when `output_buffers.free` is 0; TypeError or ValueError for what is no image of
        the format; VideoError for a frame whose rows or planes are others, and, EBUSY, after
        drain(), which flush() ends.
        """
        self._feed = None
        self.put_fed(image, timestamp_ns)

    def put_fed(self, image: Any, timestamp_ns: int | None = None) -> None:
        """Put an image of a loop in."""
        self._require_open()
        if self._draining:
            hint = "it drains: flush() it, to begin anew"
            raise VideoError(errno.EBUSY, str(self.device.path), "put an image in", hint)
        if isinstance(image, Frame):
            self._put_frame(image, image.timestamp_ns if timestamp_ns is None else timestamp_ns)
            return
        self.output_buffers.require_free()
        with self._hold(image, timestamp_ns) as frame:
            self._put_frame(frame, frame.timestamp_ns)

    def _put_frame(self, frame: Frame, timestamp_ns: int) -> None:
        self._require_input(frame.format)
        self.output_buffers.put(frame, timestamp_ns)
        if not self._put:
            self._began_ns = timestamp_ns
        self._put += 1
        self._inside += 1

    def take(self) -> Frame | None:
        """Take what has come out, whose reader ends it; None when there is nothing yet."""
        self._collect()
        return self._count(self.capture_buffers.take() if self.capture_buffers else None)

    def drain(self) -> None:
        """Put nothing more in; take() until `ended` hands out what is still inside."""
        self._require_open()
        self._draining = True
        try:
            self._command_stop()
        except VideoError as error:
            if error.errno != errno.ENOTTY:
                raise
            self._counted = True  # no such command: as many come out as were put in

    def flush(self) -> None:
        """Forget what is inside: all that was put in is done with, nothing of it comes out."""
        self._require_open()
        self.output_buffers.stop()
        if self.capture_buffers:
            self.capture_buffers.stop()
        self.output_buffers.start()
        self._restart_capture()
        self._draining = False
        self._inside = self._put = 0

    def _restart_capture(self) -> None:
        if self.capture_buffers:
            self.capture_buffers.start()

    def begin(self, feed: object) -> None:
        """Be fed by a loop from now on; what an earlier one left inside is forgotten."""
        self._feed = feed
        if self._put or self._draining:
            self.flush()

    def require_fed_by(self, feed: object) -> None:
        """Raise VideoError, EBUSY, when another loop feeds it by now."""
        if self._feed is not feed:
            what, hint = "take what came out", "another loop has begun to put images in since"
            raise VideoError(errno.EBUSY, str(self.device.path), what, hint)

    def abandon(self, feed: object) -> None:
        """Forget what a loop put in that is left before its end, if it is open still."""
        if self._feed is feed and self:
            self._feed = None
            self.flush()

    def _process(self, images: Iterable[Any] | AsyncIterable[Any], timeout: float) -> Frames:
        self._require_open()
        return Frames(self, timeout, feed=Feed(self, images))

    @abstractmethod
    def _command_stop(self) -> None:
        """Have the driver drain; VideoError, ENOTTY, when it has no such command."""

    def _negotiate_input(self, size: tuple[int, int] | None, format: str | Format | None) -> Format:
        """Agree on what is put in: another device's format, whose images are shared, or ours."""
        queue = self.device.output
        if not isinstance(format, Format):
            width, height = check_size(size)
            return queue.negotiate(width, height, format, crop=True)
        if size is not None and tuple(size) != format.size:
            raise ValueError(f"size is {size}, but the format is {format}")
        got = queue.negotiate(*format.size, format.pixelformat, format.colour)
        self._input = got
        self._require_input(format)
        return got

    def _require_input(self, format: Format) -> None:
        """Raise VideoError, EINVAL, unless the device can read images of this format."""
        mine = self._input
        if (format.size, format.pixelformat) != (mine.size, mine.pixelformat):
            hint = f"it wants {mine}, not {format}"
        elif (format.strides, format.rows) != (mine.strides, mine.rows):
            hint = (
                f"it wants rows of {mine} {_listed(mine.strides)} bytes apart, "
                f"those it is fed are {_listed(format.strides)} bytes apart; put arrays in, "
                "which are copied"
            )
        else:
            return
        raise VideoError(errno.EINVAL, str(self.device.path), "share buffers", hint)

    def _make_buffers(self) -> None:
        """Announce buffers for both queues, allocate those to be filled, and start."""
        self.capture_buffers = self._allocate_capture(self._buffers)
        self._opened.callback(self.capture_buffers.close)
        self._make_output_buffers()
        self.capture_buffers.start()

    def _make_output_buffers(self) -> None:
        self.output_buffers = OutputBuffers(self.device.output, self._inputs, self._context)
        self._opened.callback(self.output_buffers.close)
        self.output_buffers.start()

    def _allocate_capture(self, count: int, stack: ExitStack | None = None) -> CaptureBuffers:
        return self._allocate(
            lambda context, seconds: CaptureBuffers(
                self.device.capture,
                context,
                count,
                extra=self._extra,
                deadline=seconds,
                counters=self.counters,
            ),
            self._deadline,
            stack,
        )

    def _hold(self, image: Any, timestamp_ns: int | None) -> Frame:
        """Make a frame of an image that is none."""
        if timestamp_ns is None:
            timestamp_ns = self._time(image)
        timestamp_ns -= timestamp_ns % 1000  # all that a driver hands on
        chunks = image if isinstance(image, tuple | list) else (image,)
        if chunks and all(isinstance(chunk, Buffer) for chunk in chunks):
            return self._wrap(tuple(chunks), timestamp_ns)
        try:
            pieces = self._pieces(image)
        except (TypeError, ValueError) as error:
            raise type(error)(f"input {self._put}: {error}") from None
        if self._chunks is None:
            self._chunks = self._allocate(self._make_chunks, self._deadline)
            self._opened.callback(self._chunks.close)
        return self._chunks.hold(pieces, self._used(pieces), timestamp_ns)

    def _make_chunks(self, context: Context, deadline: float | None) -> InputChunks:
        count, name = self.output_buffers.count, f"{self.device.path.resolve().name} input"
        return InputChunks(self._input, context, count, self.counters, name=name, deadline=deadline)

    def _wrap(self, chunks: tuple[Buffer, ...], timestamp_ns: int) -> Frame:
        planes = self._input.planes
        if len(chunks) != len(planes):
            what = f"{len(chunks)} buffers are no image of {self._input}"
            raise ValueError(f"{what}, which has {len(planes)} planes")
        payloads = tuple(Payload(plane.size, 0) for plane in planes)
        filled = Filled(0, payloads, self._put, timestamp_ns, error=False)
        return Frame(chunks, filled, self._input, self.counters)

    def _pieces(self, image: Any) -> list[Piece]:
        return image_pieces(image, self._input)

    def _used(self, pieces: Sequence[Piece]) -> list[int]:
        """Return the bytes of data in each plane."""
        return [plane.size for plane in self._input.planes]

    def _time(self, image: Any) -> int:
        """Return when it is to be shown, in ns: by what PyAV's packets have, or its number."""
        pts, base = getattr(image, "pts", None), getattr(image, "time_base", None)
        if pts is None or base is None:
            return self._put * self._interval_ns
        seconds: Fraction = pts * base
        return round(seconds * 10**9)

    def _collect(self) -> None:
        self.counters.errors += self.output_buffers.collect()

    def _count(self, frame: Frame | None) -> Frame | None:
        self._inside -= frame is not None
        return frame

    def _why_nothing_came(self) -> str:
        if self.capture_buffers and not self.capture_buffers.busy:
            return self._all_are_read()
        if any(frame.awaited for frame in self.output_buffers.frames):
            return "it keeps what it was given: give the camera more buffers"
        return "was enough put in, and is every frame given back?"

    def __repr__(self) -> str:
        made = str(self.capture_buffers.format) if self.capture_buffers else "what it will find"
        state = "" if self else " CLOSED"
        return f"<{type(self).__name__} {self.device.path} {self.input} to {made}{state}>"


def _listed(numbers: Sequence[int]) -> str:
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
