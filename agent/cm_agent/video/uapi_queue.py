# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The ioctls of one queue of a device, single- or multi-planar: formats and buffers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from typing import Any

from cm_agent.video.format import (
    Colour,
    Filled,
    Format,
    FormatDescription,
    Payload,
    PlaneFormat,
    fourcc,
    fourcc_text,
)
from cm_agent.video.uapi import MAX_PLANES, DeviceIoctls, constant, ffi, text

CAPTURE = constant("BUF_TYPE_VIDEO_CAPTURE")
CAPTURE_MPLANE = constant("BUF_TYPE_VIDEO_CAPTURE_MPLANE")
OUTPUT = constant("BUF_TYPE_VIDEO_OUTPUT")
OUTPUT_MPLANE = constant("BUF_TYPE_VIDEO_OUTPUT_MPLANE")
MMAP = constant("MEMORY_MMAP")
DMABUF = constant("MEMORY_DMABUF")
PROGRESSIVE = constant("FIELD_NONE")
COMPRESSED = constant("FMT_FLAG_COMPRESSED")
EMULATED = constant("FMT_FLAG_EMULATED")
ERROR = constant("BUF_FLAG_ERROR")
LAST = constant("BUF_FLAG_LAST")
KEYFRAME = constant("BUF_FLAG_KEYFRAME")
SETS_RATE = constant("CAP_TIMEPERFRAME")
VISIBLE = constant("SEL_TGT_COMPOSE")
CROP = constant("SEL_TGT_CROP")
JPEG = constant("COLORSPACE_JPEG")
DEFAULT_RANGE = constant("QUANTIZATION_DEFAULT")
FULL_RANGE = constant("QUANTIZATION_FULL_RANGE")


class QueueIoctls:
    """Speak to the capture queue or the output queue of an open device.

    Every call may raise OSError with the driver's errno and nothing added.

    Synchronization: external synchronization is required.
    """

    def __init__(self, device: DeviceIoctls, *, output: bool, multiplanar: bool) -> None:
        self._device = device
        self._output = output
        self._multiplanar = multiplanar
        kinds = (OUTPUT, OUTPUT_MPLANE) if output else (CAPTURE, CAPTURE_MPLANE)
        self._type = kinds[multiplanar]

    def _call(self, name: str, argument: Any) -> None:
        self._device.call(name, argument)

    def enumerate_formats(self) -> Iterator[FormatDescription]:
        """Yield the pixel formats that the driver offers, in its order."""
        index = 0
        while True:
            entry = ffi.new("struct v4l2_fmtdesc *", {"index": index, "type": self._type})
            try:
                self._call("VIDIOC_ENUM_FMT", entry)
            except OSError as error:
                if error.errno == errno.EINVAL:
                    return
                raise
            yield FormatDescription(
                pixelformat=fourcc_text(entry.pixelformat),
                description=text(entry.description),
                compressed=bool(entry.flags & COMPRESSED),
                emulated=bool(entry.flags & EMULATED),
            )
            index += 1

    def get_format(self) -> Format:
        """Ask for the format that is set."""
        return self._format(self._get_format())

    def set_format(
        self,
        width: int | None,
        height: int | None,
        pixelformat: str | None,
        colour: Colour | None = None,
        size: int = 0,
    ) -> Format:
        """Ask the driver for a format, None for what is set; return what it made of it.

        size: bytes that a plane's buffer shall have, of which the driver thinks as it likes.
        """
        wanted = self._wanted(width, height, pixelformat, size)
        if colour is not None:
            image = wanted.fmt.pix_mp if self._multiplanar else wanted.fmt.pix
            image.colorspace, image.ycbcr_enc = colour.space, colour.encoding
            image.quantization, image.xfer_func = colour.quantization, colour.transfer
        self._call("VIDIOC_S_FMT", wanted)
        return self._format(wanted)

    def try_format(self, width: int | None, height: int | None, pixelformat: str | None) -> Format:
        """Ask what set_format() would return; nothing is set."""
        wanted = self._wanted(width, height, pixelformat, 0)
        self._call("VIDIOC_TRY_FMT", wanted)
        return self._format(wanted)

    def _wanted(
        self, width: int | None, height: int | None, pixelformat: str | None, size: int
    ) -> Any:
        wanted = self._get_format()
        image = wanted.fmt.pix_mp if self._multiplanar else wanted.fmt.pix
        image.width = image.width if width is None else width
        image.height = image.height if height is None else height
        image.pixelformat = image.pixelformat if pixelformat is None else fourcc(pixelformat)
        for plane in image.plane_fmt if self._multiplanar else [image]:
            plane.bytesperline, plane.sizeimage = 0, size
        return wanted

    def set_rate(self, fps: float) -> float | None:
        """Ask for frames per second; return what the driver chose, None when it has no say."""
        wanted = ffi.new("struct v4l2_streamparm *", {"type": self._type})
        interval = wanted.parm.capture.timeperframe
        interval.numerator, interval.denominator = 1000, round(fps * 1000)
        self._call("VIDIOC_S_PARM", wanted)
        if not wanted.parm.capture.capability & SETS_RATE or not interval.numerator:
            return None
        return float(interval.denominator / interval.numerator)

    def get_visible(self) -> tuple[int, int]:
        """Ask which part of the image is to be seen: width and height in pixels."""
        plain = OUTPUT if self._output else CAPTURE
        selection = ffi.new("struct v4l2_selection *", {"type": plain, "target": VISIBLE})
        self._call("VIDIOC_G_SELECTION", selection)
        return int(selection.r.width), int(selection.r.height)

    def set_crop(self, width: int, height: int) -> tuple[int, int]:
        """Say which part of the images is to be read, from the upper left; return what is."""
        plain = OUTPUT if self._output else CAPTURE
        selection = ffi.new("struct v4l2_selection *", {"type": plain, "target": CROP})
        selection.r.width, selection.r.height = width, height
        self._call("VIDIOC_S_SELECTION", selection)
        return int(selection.r.width), int(selection.r.height)

    def _get_format(self) -> Any:
        answer = ffi.new("struct v4l2_format *", {"type": self._type})
        self._call("VIDIOC_G_FMT", answer)
        return answer

    def _format(self, answer: Any) -> Format:
        image = answer.fmt.pix_mp if self._multiplanar else answer.fmt.pix
        if self._multiplanar:
            planes = [image.plane_fmt[number] for number in range(image.num_planes)]
        else:
            planes = [image]
        pixelformat = fourcc_text(image.pixelformat)
        full = image.quantization == FULL_RANGE
        if image.quantization == DEFAULT_RANGE:
            full = image.colorspace == JPEG or pixelformat in ("RGB3", "BGR3")
        return Format(
            width=image.width,
            height=image.height,
            pixelformat=pixelformat,
            planes=tuple(PlaneFormat(plane.sizeimage, plane.bytesperline) for plane in planes),
            full_range=bool(full),
            colour=Colour(image.colorspace, image.ycbcr_enc, image.quantization, image.xfer_func),
        )

    def request_buffers(self, count: int, *, exported: bool = False) -> int:
        """Announce buffers, imported ones unless exported; return how many the driver will use.

        A count of 0 makes the driver let go of every buffer.
        """
        memory = MMAP if exported else DMABUF
        request = ffi.new(
            "struct v4l2_requestbuffers *", {"count": count, "type": self._type, "memory": memory}
        )
        self._call("VIDIOC_REQBUFS", request)
        return int(request.count)

    def queue(
        self,
        index: int,
        planes: Sequence[tuple[int, int]],
        payloads: Sequence[Payload] = (),
        timestamp_ns: int = 0,
    ) -> None:
        """Give the driver a buffer: for every plane its dma-buf's descriptor and bytes.

        payloads says where the data lies that the driver shall read, and
        timestamp_ns comes back on what it makes of them; the output queue only.
        """
        buffer, parts = self._buffer(index, DMABUF, len(planes))
        for part, (fd, length) in zip(parts, planes, strict=True):
            part.m.fd = fd
            part.length = length
        if payloads:
            for part, payload in zip(parts, payloads, strict=True):
                part.bytesused = payload.offset + payload.bytes_used
                if self._multiplanar:
                    part.data_offset = payload.offset
            buffer.field = PROGRESSIVE
            seconds, rest = divmod(timestamp_ns, 10**9)
            buffer.timestamp.tv_sec, buffer.timestamp.tv_usec = seconds, rest // 1000
        self._call("VIDIOC_QBUF", buffer)

    def dequeue(self) -> Filled:
        """Take back a buffer that the driver is done with; BlockingIOError when there is none."""
        buffer, parts = self._buffer(0, DMABUF, MAX_PLANES)
        self._call("VIDIOC_DQBUF", buffer)
        if self._multiplanar:
            payloads = tuple(
                Payload(part.bytesused - part.data_offset, part.data_offset)
                for part in parts[0 : buffer.length]
            )
        else:
            payloads = (Payload(buffer.bytesused, 0),)
        return Filled(
            index=buffer.index,
            payloads=payloads,
            sequence=buffer.sequence,
            timestamp_ns=buffer.timestamp.tv_sec * 10**9 + buffer.timestamp.tv_usec * 1000,
            error=bool(buffer.flags & ERROR),
            last=bool(buffer.flags & LAST),
            keyframe=bool(buffer.flags & KEYFRAME),
        )

    def export_buffer(self, index: int) -> list[int]:
        """Export the planes of a driver's own buffer; the caller owns the descriptors."""
        buffer, _ = self._buffer(index, MMAP, MAX_PLANES)
        self._call("VIDIOC_QUERYBUF", buffer)
        descriptors: list[int] = []
        try:
            for plane in range(buffer.length if self._multiplanar else 1):
                export = ffi.new(
                    "struct v4l2_exportbuffer *",
                    {
                        "type": self._type,
                        "index": index,
                        "plane": plane,
                        "flags": os.O_CLOEXEC | os.O_RDWR,
                    },
                )
                self._call("VIDIOC_EXPBUF", export)
                descriptors.append(export.fd)
        except BaseException:
            for fd in descriptors:
                os.close(fd)
            raise
        return descriptors

    def stream_on(self) -> None:
        """Start the queue."""
        self._call("VIDIOC_STREAMON", ffi.new("int *", self._type))

    def stream_off(self) -> None:
        """Stop the queue and take every buffer back."""
        self._call("VIDIOC_STREAMOFF", ffi.new("int *", self._type))

    def _buffer(self, index: int, memory: int, planes: int) -> tuple[Any, Any]:
        """Make a v4l2_buffer and the records of its planes, which must outlive it."""
        buffer = ffi.new(
            "struct v4l2_buffer *", {"index": index, "type": self._type, "memory": memory}
        )
        if not self._multiplanar:
            return buffer, [buffer]
        parts = ffi.new("struct v4l2_plane[]", planes)
        buffer.m.planes = parts
        buffer.length = planes
        return buffer, parts
