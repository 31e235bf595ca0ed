# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Stateful decoders, as the kernel's dev-decoder.rst describes them."""

from __future__ import annotations

import errno
from contextlib import ExitStack

from cm_agent.core.context import Context
from cm_agent.video.capture_buffers import CaptureBuffers
from cm_agent.video.device import VideoDevice
from cm_agent.video.error import VideoError
from cm_agent.video.event import EventKind
from cm_agent.video.format import Format
from cm_agent.video.frame import Frame
from cm_agent.video.m2m import M2M
from cm_agent.video.output_buffers import OutputBuffers
from cm_agent.video.uapi import STOP_DECODER


class Decoder(M2M):
    """Decode a stream of the format `coded` into chunks of a context.

    Of `coded` the pixel format counts, and its size as a guess: how large the
    images are the driver says once it has read a header, and says again when
    that changes within the stream. The chunks are allocated then; those of the
    old size that are on loan are closed when they come back. `visible` is how
    many pixels of an image are to be seen, None when the driver does not say.

    raw: pixel format of the images, None for what the driver likes best.
    inputs, outputs, extra, deadline: as with Encoder.

    Synchronization: external synchronization is required.
    """

    def __init__(
        self,
        device: VideoDevice,
        context: Context,
        coded: Format,
        raw: str | None = None,
        *,
        inputs: int = 4,
        outputs: int = 4,
        extra: int = 0,
        deadline: float | None = None,
    ) -> None:
        super().__init__(device)
        self.visible: tuple[int, int] | None = None
        self.source_changes = 0
        """How often the size of the images was learnt."""
        self._context, self._raw = context, raw
        self._outputs, self._extra, self._deadline = outputs, extra, deadline
        self._changed = self._stopped = False
        device.output.negotiate(coded.width, coded.height, coded.pixelformat)
        self._told = device.watch(EventKind.SOURCE_CHANGE)
        with ExitStack() as stack:
            self.output_buffers = OutputBuffers(device.output, context, inputs)
            stack.callback(self.output_buffers.close)
            self.output_buffers.start()
            if not self._told:
                self._set_up()
            stack.pop_all()

    @property
    def ended(self) -> bool:
        """drain() is done: all that was put in has come out and was taken."""
        if self.capture_buffers is None:
            return self._draining and not self.output_buffers.busy
        return self.capture_buffers.ended

    def take(self) -> Frame | None:
        """Take an image, whose reader releases it; None when there is none yet."""
        self.output_buffers.collect()
        if self._source_changed() and self.capture_buffers is None:
            self._set_up()
        if self.capture_buffers is None:
            return None
        frame = self.capture_buffers.take()
        # The last image before a change: the event that says so was there before it.
        if self.capture_buffers.ended and self._source_changed():
            self._set_up()
        self._stop_if_draining()
        return frame

    def drain(self) -> None:
        """Put nothing more in; take() until `ended` hands out what is still inside."""
        self._draining = True
        self._stop_if_draining()

    def flush(self) -> None:
        """Forget what is inside: all that was put in is done with, nothing of it comes out."""
        self._stopped = False
        super().flush()

    def _source_changed(self) -> bool:
        """Take the events, of which there are none unless the driver reports them."""
        if self._told and any(event.resolution for event in self.device.events()):
            self._changed = True
        return self._changed

    def _set_up(self) -> None:
        """Allocate for the format that the driver has now, in place of what there was."""
        self._changed = self._stopped = False
        if self.capture_buffers:
            self.capture_buffers.close(recall=False)
        self.device.capture.negotiate(pixelformat=self._raw)
        self.visible = self.device.capture.visible()
        self.capture_buffers = CaptureBuffers(
            self.device.capture,
            self._context,
            max(self._outputs, self.device.least_capture_buffers()),
            extra=self._extra,
            deadline=self._deadline,
            counters=self.counters,
        )
        self.capture_buffers.start()
        self.source_changes += 1

    def _stop_if_draining(self) -> None:
        """Have the driver drain, which it does only while both of its queues stream."""
        if not self._draining or self._stopped or self.capture_buffers is None:
            return
        try:
            self.device.command_decoder(STOP_DECODER)
        except VideoError as error:
            if error.errno != errno.EBUSY:  # it drains already
                raise
        self._stopped = True
