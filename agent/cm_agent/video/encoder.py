# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Stateful encoders, as the kernel's dev-encoder.rst describes them."""

from __future__ import annotations

from contextlib import ExitStack

from cm_agent.core.context import Context
from cm_agent.video.capture_buffers import CaptureBuffers
from cm_agent.video.device import VideoDevice
from cm_agent.video.format import Format
from cm_agent.video.m2m import M2M, require_layout
from cm_agent.video.output_buffers import OutputBuffers
from cm_agent.video.uapi import STOP_ENCODER


class Encoder(M2M):
    """Encode images of the format `source` into chunks of a context.

    coded: four characters, None for what is set. coded_size: bytes that a
    coded image must have room for, 0 for the driver's choice. inputs: how many images the
    driver may have at a time, as many as there are buffers to be shared.
    outputs, extra, deadline: of its own chunks, see CaptureBuffers. VideoError,
    EINVAL, when the driver would rather have the images in another format, or
    their rows at other distances.

    Synchronization: external synchronization is required.
    """

    capture_buffers: CaptureBuffers

    def __init__(
        self,
        device: VideoDevice,
        context: Context,
        source: Format,
        coded: str | None = None,
        *,
        coded_size: int = 0,
        inputs: int = 4,
        outputs: int = 4,
        extra: int = 0,
        deadline: float | None = None,
    ) -> None:
        super().__init__(device)
        # The coded format first: it decides which others there are.
        device.capture.negotiate(pixelformat=coded)
        got = device.output.negotiate(
            source.width, source.height, source.pixelformat, source.colour
        )
        require_layout(device, got, source)
        if coded_size:  # after the images', with which a driver chooses a size anew
            device.capture.negotiate(size=coded_size)
        with ExitStack() as stack:
            self.capture_buffers = CaptureBuffers(
                device.capture,
                context,
                outputs,
                extra=extra,
                deadline=deadline,
                counters=self.counters,
            )
            stack.callback(self.capture_buffers.close)
            self.output_buffers = OutputBuffers(device.output, context, inputs)
            stack.callback(self.output_buffers.close)
            self.output_buffers.start()
            self.capture_buffers.start()
            stack.pop_all()

    @property
    def ended(self) -> bool:
        """drain() is done: all that was put in has come out and was taken."""
        return self.capture_buffers.ended

    def drain(self) -> None:
        """Put nothing more in; take() until `ended` hands out what is still inside."""
        self.device.command_encoder(STOP_ENCODER)
