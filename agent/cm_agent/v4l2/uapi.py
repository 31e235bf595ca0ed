# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The V4L2 ioctls in use: the only place that knows their structures and numbers."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from typing import Any

from cm_agent import _v4l2_abi
from cm_agent.v4l2.format import (
    Capabilities,
    Filled,
    Format,
    FormatDescription,
    Payload,
    PlaneFormat,
    fourcc,
    fourcc_text,
)

ffi: Any = _v4l2_abi.ffi
_IOCTLS: dict[str, tuple[int, int, int, str]] = _v4l2_abi.IOCTLS


def _constant(name: str) -> int:
    return int(ffi.integer_const(f"V4L2_{name}"))


def _number(name: str) -> int:
    """Compute an ioctl's number from the size its argument has on this machine."""
    direction, kind, number, argument = _IOCTLS[name]
    return int(direction << 30 | ffi.sizeof(argument) << 16 | kind << 8 | number)


NUMBERS = {name: _number(name) for name in _IOCTLS}
MAX_PLANES = int(ffi.integer_const("VIDEO_MAX_PLANES"))
CAPTURE = _constant("BUF_TYPE_VIDEO_CAPTURE")
CAPTURE_MPLANE = _constant("BUF_TYPE_VIDEO_CAPTURE_MPLANE")
MMAP = _constant("MEMORY_MMAP")
DMABUF = _constant("MEMORY_DMABUF")
CAN_CAPTURE = _constant("CAP_VIDEO_CAPTURE")
CAN_CAPTURE_MPLANE = _constant("CAP_VIDEO_CAPTURE_MPLANE")
CAN_CONVERT = _constant("CAP_VIDEO_M2M")
CAN_CONVERT_MPLANE = _constant("CAP_VIDEO_M2M_MPLANE")
CAN_STREAM = _constant("CAP_STREAMING")
TELLS_NODE = _constant("CAP_DEVICE_CAPS")
COMPRESSED = _constant("FMT_FLAG_COMPRESSED")
EMULATED = _constant("FMT_FLAG_EMULATED")
DAMAGED = _constant("BUF_FLAG_ERROR")
SETS_RATE = _constant("CAP_TIMEPERFRAME")
JPEG = _constant("COLORSPACE_JPEG")
DEFAULT_RANGE = _constant("QUANTIZATION_DEFAULT")
FULL_RANGE = _constant("QUANTIZATION_FULL_RANGE")


class CaptureQueue:
    """Speak to the capture queue of an open device; single- and multi-planar alike.

    The descriptor stays the caller's. Every call may raise OSError with the
    driver's errno and nothing added. `ioctls` counts the calls made.

    Synchronization: external synchronization is required.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._type = CAPTURE
        self.ioctls = 0

    @property
    def _multiplanar(self) -> bool:
        return self._type == CAPTURE_MPLANE

    def _call(self, name: str, argument: Any) -> None:
        while True:
            self.ioctls += 1
            try:
                fcntl.ioctl(self._fd, NUMBERS[name], ffi.buffer(argument))
            except InterruptedError:
                continue
            return

    def query_capabilities(self) -> Capabilities:
        """Ask who the device is, and take up the kind of queue that it has."""
        answer = ffi.new("struct v4l2_capability *")
        self._call("VIDIOC_QUERYCAP", answer)
        able = answer.capabilities
        if able & TELLS_NODE:
            able = answer.device_caps
        to_memory = able & (CAN_CONVERT | CAN_CONVERT_MPLANE)
        several = able & (CAN_CAPTURE_MPLANE | CAN_CONVERT_MPLANE)
        if several:
            self._type = CAPTURE_MPLANE
        return Capabilities(
            driver=_text(answer.driver),
            card=_text(answer.card),
            bus=_text(answer.bus_info),
            capture=bool(able & CAN_CAPTURE or several or to_memory),
            multiplanar=bool(several),
            memory_to_memory=bool(to_memory),
            streaming=bool(able & CAN_STREAM),
        )

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
                description=_text(entry.description),
                compressed=bool(entry.flags & COMPRESSED),
                emulated=bool(entry.flags & EMULATED),
            )
            index += 1

    def get_format(self) -> Format:
        """Ask for the format that is set."""
        return self._format(self._get_format())

    def set_format(self, width: int | None, height: int | None, pixelformat: str | None) -> Format:
        """Ask the driver for a format, None for what is set; return what it made of it."""
        wanted = self._get_format()
        image = wanted.fmt.pix_mp if self._multiplanar else wanted.fmt.pix
        image.width = image.width if width is None else width
        image.height = image.height if height is None else height
        image.pixelformat = image.pixelformat if pixelformat is None else fourcc(pixelformat)
        for plane in image.plane_fmt if self._multiplanar else [image]:
            plane.bytesperline = plane.sizeimage = 0
        self._call("VIDIOC_S_FMT", wanted)
        return self._format(wanted)

    def set_rate(self, fps: float) -> float | None:
        """Ask for frames per second; return what the driver chose, None when it has no say."""
        wanted = ffi.new("struct v4l2_streamparm *", {"type": self._type})
        interval = wanted.parm.capture.timeperframe
        interval.numerator, interval.denominator = 1000, round(fps * 1000)
        self._call("VIDIOC_S_PARM", wanted)
        if not wanted.parm.capture.capability & SETS_RATE or not interval.numerator:
            return None
        return float(interval.denominator / interval.numerator)

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
        text = fourcc_text(image.pixelformat)
        full = image.quantization == FULL_RANGE
        if image.quantization == DEFAULT_RANGE:
            full = image.colorspace == JPEG or text in ("RGB3", "BGR3")
        return Format(
            width=image.width,
            height=image.height,
            pixelformat=text,
            planes=tuple(PlaneFormat(plane.sizeimage, plane.bytesperline) for plane in planes),
            full_range=bool(full),
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

    def queue(self, index: int, planes: Sequence[tuple[int, int]]) -> None:
        """Give the driver a buffer: for every plane its dma-buf's descriptor and bytes."""
        buffer, parts = self._buffer(index, DMABUF, len(planes))
        for part, (fd, length) in zip(parts, planes, strict=True):
            part.m.fd = fd
            part.length = length
        self._call("VIDIOC_QBUF", buffer)

    def dequeue(self) -> Filled:
        """Take back a filled buffer; BlockingIOError when there is none yet."""
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
            damaged=bool(buffer.flags & DAMAGED),
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
        except OSError:
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


def _text(characters: Any) -> str:
    return bytes(ffi.buffer(characters)).split(b"\0", 1)[0].decode("utf-8", "replace")
