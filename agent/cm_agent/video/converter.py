# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Converters: one image out for every image in, scaled or in another format."""

from __future__ import annotations

from contextlib import ExitStack

from cm_agent.core.context import Context
from cm_agent.video.capture_buffers import CaptureBuffers
from cm_agent.video.device import VideoDevice
from cm_agent.video.format import Format
from cm_agent.video.frame import Frame
from cm_agent.video.m2m import M2M, require_layout
from cm_agent.video.output_buffers import OutputBuffers


class Converter(M2M):
    """Convert images of the format `source` into chunks of a context.

    width and height are in pixels, pixelformat is four characters; None: the
    same as the source's. inputs, outputs, extra, deadline: as with Encoder.

    Synchronization: external synchronization is required.
    """

    capture_buffers: CaptureBuffers

    def __init__(
        self,
        device: VideoDevice,
        context: Context,
        source: Format,
        *,
        width: int | None = None,
        height: int | None = None,
        pixelformat: str | None = None,
        inputs: int = 4,
        outputs: int = 4,
        extra: int = 0,
        deadline: float | None = None,
    ) -> None:
        super().__init__(device)
        self._inside = 0
        got = device.output.negotiate(
            source.width, source.height, source.pixelformat, source.colour
        )
        require_layout(device, got, source)
        device.capture.negotiate(
            width or source.width, height or source.height, pixelformat or source.pixelformat
        )
        with ExitStack() as stack:
            self.output_buffers = OutputBuffers(device.output, context, inputs)
            stack.callback(self.output_buffers.close)
            self.capture_buffers = CaptureBuffers(
                device.capture,
                context,
                outputs,
                extra=extra,
                deadline=deadline,
                counters=self.counters,
            )
            stack.callback(self.capture_buffers.close)
            self.output_buffers.start()
            self.capture_buffers.start()
            stack.pop_all()

    @property
    def ended(self) -> bool:
        """drain() is done: all that was put in has come out and was taken."""
        return self._draining and not self._inside

    def put(self, frame: Frame) -> None:
        """Put a frame in; it stays on loan until the device has read it."""
        super().put(frame)
        self._inside += 1

    def take(self) -> Frame | None:
        """Take what has come out, whose reader releases it; None when there is nothing yet."""
        frame = super().take()
        self._inside -= frame is not None
        return frame

    def drain(self) -> None:
        """Put nothing more in; take() until `ended` hands out what is still inside."""
        self._draining = True

    def flush(self) -> None:
        """Forget what is inside: all that was put in is done with, nothing of it comes out."""
        self._inside = 0
        super().flush()
