# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Stateful decoders, as the kernel's dev-decoder.rst describes them."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from cm_agent.core.context import Context
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import find_decoder
from cm_agent.video.error import VideoError
from cm_agent.video.event import EventKind
from cm_agent.video.format import Format, check_size
from cm_agent.video.frame import Frame
from cm_agent.video.frames import Frames
from cm_agent.video.m2m import M2M
from cm_agent.video.packets import Packet
from cm_agent.video.pieces import PACKETS, Piece, bytes_of, packet_pieces
from cm_agent.video.uapi import STOP_DECODER


class Decoder(M2M):
    """Decode a stream into images in chunks of a context; a context manager.

    format: pixel format of the packets, four characters such as "H264", or another device's
    Format. size: of the images, a guess in pixels: how large they are the driver says once it has
    read a header, and says again when that changes within the stream. The chunks are allocated
    then; those of the old size that are on loan are closed when they come back. `visible` is how
    many pixels of an image are to be seen, None when the driver does not say; frames show no more.

    to: pixel format of the images, None for what the driver likes best. coded_size: bytes that the
    largest packet has, 0 for the driver's choice. fps: for packets that come without a time.
    device, context, controls, inputs, buffers, extra, deadline: as with Encoder.

    Synchronization: external synchronization is required, but frames go back from any thread.
    """

    def __init__(
        self,
        device: VideoDevice | Path | str,
        context: Context | str | None = None,
        *,
        format: str | Format,
        size: tuple[int, int] | None = None,
        to: str | None = None,
        coded_size: int = 0,
        fps: float | None = None,
        controls: Mapping[str, int | str] | None = None,
        inputs: int = 4,
        buffers: int = 4,
        extra: int = 0,
        deadline: float | None = None,
    ) -> None:
        coded = format.pixelformat if isinstance(format, Format) else format
        width, height = check_size(size or (format.size if isinstance(format, Format) else None))
        finds = partial(find_decoder, coded=coded)
        super().__init__(
            device,
            context,
            finds,
            fps=fps,
            inputs=inputs,
            buffers=buffers,
            extra=extra,
            deadline=deadline,
        )
        self.visible: tuple[int, int] | None = None
        self.source_changes = 0
        """How often the size of the images was learnt."""
        self._to = to
        self._changed = self._stopped = False
        self._made = ExitStack()
        with self._closed_on_error():
            self._input = self.device.output.negotiate(width, height, coded, size=coded_size)
            self._reports_changes = self.device.watch(EventKind.SOURCE_CHANGE)
            self._set(controls or {})
            self._opened.callback(self._close_capture)
            self._make_output_buffers()
            if not self._reports_changes:
                self._set_up()

    def decode(
        self, packets: Iterable[Any] | AsyncIterable[Any], *, timeout: float = 5.0
    ) -> Frames:
        """Return an iterator over the images of packets; each is the reader's until the next step.

        A packet is bytes, an encoder's Packet or Frame, or one of PyAV, whose time its image has;
        empty ones are passed over. Else as Encoder.encode().
        """
        return self._process(packets, timeout)

    @property
    def ended(self) -> bool:
        """drain() is done: all that was put in has come out and was taken."""
        return not self._changed and super().ended

    def put_fed(self, image: Any, timestamp_ns: int | None = None) -> None:
        """Put a packet in: bytes, a Packet, or one of PyAV are copied, a Frame is shared."""
        if isinstance(image, Packet):
            timestamp_ns = self._time(image) if timestamp_ns is None else timestamp_ns
            image = image.data
        used = image.bytes_used if isinstance(image, Frame) else bytes_of(image, PACKETS).nbytes
        if used:  # PyAV's demuxer ends with an empty one, which is a whole buffer to V4L2
            super().put_fed(image, timestamp_ns)

    def take(self) -> Frame | None:
        """Take an image, whose reader ends it; None when there is none yet."""
        self._collect()
        self._set_up_if_due()
        if self.capture_buffers is None:
            return None
        frame = self.capture_buffers.take()
        # The event of a change is there before the last image of the old size.
        self._source_changed()
        if frame is None:
            self._set_up_if_due()
        self._stop_if_draining()
        return self._count(frame)

    def _restart_capture(self) -> None:
        self._stopped = False
        if self._source_changed():  # the last image of the old size was just forgotten
            self._set_up()
        else:
            super()._restart_capture()

    def _require_input(self, format: Format) -> None:
        if format.pixelformat != self._input.pixelformat:
            hint = f"it wants {self._input.pixelformat}, not {format}"
            raise VideoError(errno.EINVAL, str(self.device.path), "share buffers", hint)

    def _pieces(self, image: Any) -> list[Piece]:
        return packet_pieces(image, self._input)

    def _used(self, pieces: Sequence[Piece]) -> list[int]:
        return [len(piece.data) for piece in pieces]

    def _source_changed(self) -> bool:
        """Take the events, of which there are none unless the driver reports them."""
        if self._reports_changes and any(event.resolution for event in self.device.events()):
            self._changed = True
        return self._changed

    def _set_up_if_due(self) -> None:
        """Allocate anew after a change, when all images from before it have come."""
        if self._source_changed() and (self.capture_buffers is None or self.capture_buffers.ended):
            self._set_up()

    def _set_up(self) -> None:
        """Allocate for the format that the driver has now, in place of what there was."""
        self._stopped = False
        if self.capture_buffers:
            self.capture_buffers.close(recall=False)
            self.capture_buffers = None
            self._made.close()
        queue = self.device.capture
        queue.negotiate(pixelformat=self._to)
        self.visible = queue.visible()
        least = self.device.least_capture_buffers()
        buffers = self._allocate_capture(max(self._buffers, least), self._made)
        if self.visible and self.visible != buffers.format.size:
            buffers.format = buffers.format.cropped(*self.visible)
        self.capture_buffers = buffers
        buffers.start()
        self._changed = False
        self.source_changes += 1

    def _close_capture(self) -> None:
        if self.capture_buffers:
            self.capture_buffers.close()
        self._made.close()

    def _command_stop(self) -> None:
        self._stop_if_draining()

    def _stop_if_draining(self) -> None:
        """Have the driver drain, which it does only while both of its queues stream."""
        if not self._draining or self._stopped or self._counted or self.capture_buffers is None:
            return
        try:
            self.device.command_decoder(STOP_DECODER)
        except VideoError as error:
            if error.errno == errno.ENOTTY:
                self._counted = True
            elif error.errno != errno.EBUSY:  # it drains already
                raise
        self._stopped = True
