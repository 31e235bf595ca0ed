# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Stateful encoders, as the kernel's dev-encoder.rst describes them."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cm_agent.core.context import Context
from cm_agent.video.capture_buffers import CaptureBuffers
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import find_encoder
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format
from cm_agent.video.m2m import M2M
from cm_agent.video.packets import Packets
from cm_agent.video.uapi import HEADER_JOINED, STOP_ENCODER


class Encoder(M2M):
    """Encode images into packets, which are in chunks of a context first; a context manager.

    device, context: as Stream has them. size, format: of the images, in pixels and four characters,
    None for what is set; or, as format, another device's Format, whose frames are shared without a
    copy. to: pixel format of the packets, such as "H264", None for what is set. fps: images per
    second, for drivers that want to know, and for images that come without a time. bitrate: bits
    per second. keyframes: every so many images one is a keyframe. controls: others, by name.

    inputs: how many images the device may have at a time. buffers: chunks for packets; coded_size:
    bytes that each must have room for, 0 for the driver's choice. extra: chunks beyond those.
    deadline: seconds that each allocation may take.

    VideoError, also when the driver has no such format, control or value, or cannot share the
    images; AllocationError (by policy, NoRuleError and RefusedError).

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
        fps: float | None = None,
        bitrate: int | None = None,
        keyframes: int | None = None,
        controls: Mapping[str, int | str] | None = None,
        inputs: int = 4,
        buffers: int = 4,
        extra: int = 0,
        coded_size: int = 0,
        deadline: float | None = None,
    ) -> None:
        super().__init__(
            device,
            context,
            find_encoder,
            fps=fps,
            inputs=inputs,
            buffers=buffers,
            extra=extra,
            deadline=deadline,
        )
        with self._closed_on_error():
            # The coded format first: it decides which others there are.
            self.device.capture.negotiate(pixelformat=to)
            self._input = self._negotiate_input(size, format)
            if coded_size:  # after the images', with which a driver chooses a size anew
                self.device.capture.negotiate(size=coded_size)
            self._set_rate(fps)
            self._set_controls(bitrate, keyframes, controls or {})
            self._make_buffers()

    def encode(
        self, images: Iterable[Any] | AsyncIterable[Any], *, timeout: float = 5.0
    ) -> Packets:
        """Return an iterator over the packets of images, which are put in as it goes; see put().

        `for` and `async for`; the latter takes asynchronous iterables, too. When the images end,
        all that is inside comes out; so it does before an error is raised that they end with. A
        loop that is left earlier forgets what is inside. A packet comes at the latest with the
        image after the one that completes it. VideoError, ETIMEDOUT, when the device does nothing
        for `timeout` seconds.
        """
        return Packets(self._process(images, timeout), lambda: self._began_ns)

    def _set_rate(self, fps: float | None) -> None:
        if fps is None:
            return
        try:
            self.device.output.set_rate(fps)
        except VideoError as error:
            if error.errno != errno.ENOTTY:  # it need not know: only times depend on it then
                raise

    def _set_controls(
        self, bitrate: int | None, keyframes: int | None, controls: Mapping[str, int | str]
    ) -> None:
        mine = self.device.controls
        header = "sequence_header_mode"
        if header in mine and HEADER_JOINED in mine.describe(header).menu:
            mine[header] = HEADER_JOINED  # otherwise a packet comes that is of no image
        if bitrate is not None:
            mine["video_bitrate"] = bitrate
            if "frame_level_rate_control_enable" in mine:
                mine["frame_level_rate_control_enable"] = True
        if keyframes is not None:
            mine["video_gop_size"] = keyframes
        self._set(controls)

    def _command_stop(self) -> None:
        self.device.command_encoder(STOP_ENCODER)
