# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Converters: one image out for every image in, scaled or in another format."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cm_agent.core.context import Context
from cm_agent.video.capture_buffers import CaptureBuffers
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import find_converter
from cm_agent.video.format import Format, check_size
from cm_agent.video.frames import Frames
from cm_agent.video.m2m import M2M


class Converter(M2M):
    """Convert images into chunks of a context, scaled or in another format; a context manager.

    device, context, size, format, controls, inputs, buffers, extra, deadline: as with Encoder. to,
    to_size: pixel format and size of what comes out, None for the images' own. fps: as with
    Encoder, for times only.

    Synchronization: external synchronization is required, but frames go back from any thread.
    """

    capture_buffers: CaptureBuffers

    def __init__(
        self,
        device: VideoDevice | Path | str,
        context: Context | str | None = None,
        *,
        size: tuple[int, int] | None = None,
        format: str | Format | None = None,
        to: str | None = None,
        to_size: tuple[int, int] | None = None,
        fps: float | None = None,
        controls: Mapping[str, int | str] | None = None,
        inputs: int = 4,
        buffers: int = 4,
        extra: int = 0,
        deadline: float | None = None,
    ) -> None:
        check_size(to_size)
        super().__init__(
            device,
            context,
            find_converter,
            fps=fps,
            inputs=inputs,
            buffers=buffers,
            extra=extra,
            deadline=deadline,
        )
        self._counted = True
        with self._closed_on_error():
            self._input = self._negotiate_input(size, format)
            width, height = to_size or self._input.size
            self.device.capture.negotiate(width, height, to or self._input.pixelformat)
            self._set(controls or {})
            self._make_buffers()

    def convert(
        self, images: Iterable[Any] | AsyncIterable[Any], *, timeout: float = 5.0
    ) -> Frames:
        """Return an iterator over what is made of images; each is the reader's until the next step.

        Else as Encoder.encode().
        """
        return self._process(images, timeout)

    def _command_stop(self) -> None:
        """A converter has no such command: what comes out is counted."""
