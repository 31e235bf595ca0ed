# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How much memory a camera, codec or converter takes, found out without any.

Drivers are asked by the calls that Camera, Encoder, Decoder and Converter make. A codec's formats
belong to who opened it, so they are set and forgotten when it is closed. Those of a camera are
everybody's: it is asked what it would set.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from mmap import PAGESIZE
from pathlib import Path

from cm_agent.video import converter, encoder
from cm_agent.video.camera import require_camera
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import coded_formats, role_of, video_nodes
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format, PlaneFormat
from cm_agent.video.layout import tight
from cm_agent.video.m2m import require_m2m


@dataclass(frozen=True, slots=True)
class Request:
    """What Camera, Encoder, Decoder or Converter would be asked for, by their arguments' names.

    `inputs` 0: what is put in lies in chunks of another device or program. None keeps what is set.
    """

    size: tuple[int, int] | None = None
    format: str | None = None
    to: str | None = None
    to_size: tuple[int, int] | None = None
    coded_size: int = 0
    inputs: int = 4
    buffers: int = 4


@dataclass(frozen=True, slots=True)
class Demand:
    """What a device takes from contexts: `inputs` times the planes of one format, `buffers` times
    those of the other. `device` and `driver` are None for one that is not there.
    """

    role: str
    device: Path | None
    driver: str | None
    input: Format | None
    output: Format
    inputs: int
    buffers: int

    @property
    def chunks(self) -> list[int]:
        """Bytes of each chunk, in the order of allocation."""
        filled = [plane.size for plane in self.output.planes] * self.buffers
        read = [plane.size for plane in self.input.planes] * self.inputs if self.input else []
        return [whole_pages(size) for size in filled + read]

    @property
    def bytes(self) -> int:
        """Bytes of all chunks."""
        return sum(self.chunks)


def whole_pages(size: int) -> int:
    """Return what a chunk of this size takes."""
    return -(-size // PAGESIZE) * PAGESIZE


def ask(role: str, device: VideoDevice, request: Request) -> Demand:
    """Ask a device what it takes as such a thing. VideoError: it is none, or has no such format."""
    return {
        "camera": _camera,
        "encoder": _encoder,
        "decoder": _decoder,
        "converter": _converter,
    }[role](device, request)


def ask_all() -> Iterator[Demand | VideoError]:
    """Ask every video device what it takes as it is set, or find out why that cannot be."""
    for node in video_nodes():
        try:
            with VideoDevice(node) as device:
                role = role_of(device)
                if not role:
                    why = "it is no camera, codec or converter that could use a context"
                    raise VideoError(errno.EOPNOTSUPP, str(node), "stream", why)
                yield ask(role, device, Request())
        except VideoError as error:
            yield error


def compute(role: str, request: Request) -> Demand:
    """Compute what a device that is not there takes, if its rows have no padding.

    ValueError: the sizes of such images, or of packets, can only be given.
    """
    assert request.size and request.format
    got = _computed(request.size, request.format, request.coded_size)
    if role == "camera":
        return Demand(role, None, None, None, got, 0, request.buffers)
    assert request.to
    made = _computed(request.to_size or request.size, request.to, request.coded_size)
    return Demand(role, None, None, got, made, request.inputs, request.buffers)


def _computed(size: tuple[int, int], pixelformat: str, coded_size: int) -> Format:
    try:
        return tight(*size, pixelformat)
    except ValueError:
        if not coded_size:
            raise
    return Format(*size, pixelformat, (PlaneFormat(coded_size, 0),))


def _camera(device: VideoDevice, request: Request) -> Demand:
    require_camera(device)
    queue = device.capture
    width, height = request.size or (None, None)
    offered = queue.offer(width, height, request.format)
    # How many it wants is asked in the format that is set, and does not depend on it.
    return _demand("camera", device, None, offered, 0, queue.granted(request.buffers))


def _encoder(device: VideoDevice, request: Request) -> Demand:
    require_m2m(device)
    it = request
    images = encoder.negotiate(device, it.size, it.format, it.to, it.coded_size)
    return _fed("encoder", device, images, request)


def _converter(device: VideoDevice, request: Request) -> Demand:
    require_m2m(device)
    it = request
    images = converter.negotiate(device, it.size, it.format, it.to, it.to_size)
    return _fed("converter", device, images, request)


def _fed(role: str, device: VideoDevice, images: Format, request: Request) -> Demand:
    made = device.capture.format
    buffers = device.capture.granted(request.buffers)
    return _demand(role, device, images, made, _granted_inputs(device, request), buffers)


def _decoder(device: VideoDevice, request: Request) -> Demand:
    """Take the header that a stream will have for read: images are as large as was asked for."""
    require_m2m(device)
    width, height = request.size or (None, None)
    coded = request.format or device.output.format.pixelformat
    if request.format is None and coded not in coded_formats(device):
        coded = next(iter(coded_formats(device)), coded)
    packets = device.output.negotiate(width, height, coded, size=request.coded_size)
    images = device.capture.offer(packets.width, packets.height, request.to, larger=True)
    buffers = max(request.buffers, device.least_capture_buffers())
    with suppress(VideoError):  # many are not to be asked before they have read a header
        buffers = device.capture.granted(buffers)
    return _demand("decoder", device, packets, images, _granted_inputs(device, request), buffers)


def _granted_inputs(device: VideoDevice, request: Request) -> int:
    granted = device.output.granted(request.inputs or 1)
    return granted if request.inputs else 0


def _demand(
    role: str, device: VideoDevice, input: Format | None, output: Format, inputs: int, buffers: int
) -> Demand:
    driver = device.capabilities.driver
    return Demand(role, device.path, driver, input, output, inputs, buffers)
