# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The V4L2 ABI in use: its numbers, and the ioctls that concern a device as a whole."""

from __future__ import annotations

import errno
from typing import Any

from cm_agent.core.text import printable
from cm_agent.core.uapi import ioctl
from cm_agent.video import _abi
from cm_agent.video.event import Event, EventKind
from cm_agent.video.format import Capabilities

ffi: Any = _abi.ffi
_IOCTLS: dict[str, tuple[int, int, int, str]] = _abi.IOCTLS


def constant(name: str) -> int:
    """Return the value of a #define of videodev2.h, without its prefix V4L2_."""
    return int(ffi.integer_const(f"V4L2_{name}"))


def _number(name: str) -> int:
    """Compute an ioctl's number from the size its argument has on this machine."""
    direction, kind, number, argument = _IOCTLS[name]
    return int(direction << 30 | ffi.sizeof(argument) << 16 | kind << 8 | number)


NUMBERS = {name: _number(name) for name in _IOCTLS}
MAX_PLANES = int(ffi.integer_const("VIDEO_MAX_PLANES"))
CAN_CAPTURE = constant("CAP_VIDEO_CAPTURE")
CAN_CAPTURE_MPLANE = constant("CAP_VIDEO_CAPTURE_MPLANE")
CAN_CONVERT = constant("CAP_VIDEO_M2M")
CAN_CONVERT_MPLANE = constant("CAP_VIDEO_M2M_MPLANE")
CAN_STREAM = constant("CAP_STREAMING")
TELLS_NODE = constant("CAP_DEVICE_CAPS")
EVENTS = {kind: constant(kind.value) for kind in EventKind}
RESOLUTION = constant("EVENT_SRC_CH_RESOLUTION")
START_ENCODER, STOP_ENCODER = constant("ENC_CMD_START"), constant("ENC_CMD_STOP")
START_DECODER, STOP_DECODER = constant("DEC_CMD_START"), constant("DEC_CMD_STOP")
MIN_CAPTURE_BUFFERS = constant("CID_MIN_BUFFERS_FOR_CAPTURE")


class DeviceIoctls:
    """Speak to an open device.

    The descriptor stays the caller's. Every call may raise OSError with the
    driver's errno and nothing added. `count` counts the calls made.

    Synchronization: external synchronization is required.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.count = 0

    def call(self, name: str, argument: Any) -> None:
        """Make one ioctl; the argument is filled in."""
        self.count += 1
        ioctl(self._fd, NUMBERS[name], argument)

    def query_capabilities(self) -> Capabilities:
        """Ask who the device is."""
        answer = ffi.new("struct v4l2_capability *")
        self.call("VIDIOC_QUERYCAP", answer)
        able = answer.capabilities
        if able & TELLS_NODE:
            able = answer.device_caps
        to_memory = able & (CAN_CONVERT | CAN_CONVERT_MPLANE)
        several = able & (CAN_CAPTURE_MPLANE | CAN_CONVERT_MPLANE)
        return Capabilities(
            driver=text(answer.driver),
            card=text(answer.card),
            bus=text(answer.bus_info),
            capture=bool(able & CAN_CAPTURE or several or to_memory),
            multiplanar=bool(several),
            memory_to_memory=bool(to_memory),
            streaming=bool(able & CAN_STREAM),
        )

    def subscribe(self, kind: EventKind) -> None:
        """Subscribe to one kind of event."""
        wanted = ffi.new("struct v4l2_event_subscription *", [EVENTS[kind]])
        self.call("VIDIOC_SUBSCRIBE_EVENT", wanted)

    def next_event(self) -> Event | None:
        """Take the oldest event of those that were subscribed to; None when there is none."""
        event = ffi.new("struct v4l2_event *")
        try:
            self.call("VIDIOC_DQEVENT", event)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        (kind,) = (kind for kind, number in EVENTS.items() if number == event.type)
        changed = kind is EventKind.SOURCE_CHANGE and event.u.src_change.changes & RESOLUTION
        return Event(kind, bool(changed))

    def command_encoder(self, command: int) -> None:
        """Start or stop an encoder; what stopping means is in the kernel's dev-encoder.rst."""
        self.call("VIDIOC_ENCODER_CMD", ffi.new("struct v4l2_encoder_cmd *", [command]))

    def command_decoder(self, command: int) -> None:
        """Start or stop a decoder; what stopping means is in the kernel's dev-decoder.rst."""
        self.call("VIDIOC_DECODER_CMD", ffi.new("struct v4l2_decoder_cmd *", [command]))

    def get_control(self, number: int) -> int:
        """Ask for a control's value."""
        control = ffi.new("struct v4l2_control *", [number])
        self.call("VIDIOC_G_CTRL", control)
        return int(control.value)

    def set_control(self, number: int, value: int) -> None:
        """Set a control."""
        self.call("VIDIOC_S_CTRL", ffi.new("struct v4l2_control *", [number, value]))


def text(characters: Any) -> str:
    """Return a NUL-terminated character array as text; what does not print is escaped."""
    raw = bytes(ffi.buffer(characters)).split(b"\0", 1)[0]
    return printable(raw.decode(errors="backslashreplace"))
