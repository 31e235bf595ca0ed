# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The V4L2 ABI in use: its numbers, and the ioctls that concern a device as a whole."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from cm_agent.core.text import printable
from cm_agent.core.uapi import ioctl
from cm_agent.video import _abi
from cm_agent.video.control import MENUS, Control, ControlType, control_name
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
HEADER_JOINED = constant("MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME")
CONTROL_TYPES = {constant(f"CTRL_TYPE_{kind.name}"): kind for kind in ControlType}
_BITS = 0xFFFFFFFF
NEXT_CONTROL = constant("CTRL_FLAG_NEXT_CTRL")
DISABLED, READ_ONLY = constant("CTRL_FLAG_DISABLED"), constant("CTRL_FLAG_READ_ONLY")


class DeviceIoctls:
    """Speak to an open device.

    The descriptor stays the caller's. Every call may raise OSError with the
    driver's errno and nothing added. `count` counts the calls made.

    Synchronization: external synchronization is required.
    """

    def __init__(self, fileno: Callable[[], int]) -> None:
        """fileno: returns the descriptor, or raises when the device is closed."""
        self._fileno = fileno
        self.count = 0

    def call(self, name: str, argument: Any) -> None:
        """Make one ioctl; the argument is filled in."""
        self.count += 1
        ioctl(self._fileno(), NUMBERS[name], argument)

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
        value = int(ffi.cast("int32_t", value))  # a mask may have bit 31
        self.call("VIDIOC_S_CTRL", ffi.new("struct v4l2_control *", [number, value]))

    def enumerate_controls(self) -> Iterator[tuple[str, int]]:
        """Yield name and id of the controls that have a number for a value, by their ids."""
        number = 0
        while True:
            try:
                answer = self._query_control(number | NEXT_CONTROL)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOTTY):
                    return
                raise
            number = answer.id
            if answer.type in CONTROL_TYPES and not answer.flags & DISABLED:
                yield control_name(text(answer.name)), number

    def query_control(self, number: int) -> Control:
        """Ask what values a control takes now."""
        return self._control(self._query_control(number))

    def _query_control(self, number: int) -> Any:
        answer = ffi.new("struct v4l2_queryctrl *", [number])
        self.call("VIDIOC_QUERYCTRL", answer)
        return answer

    def _control(self, answer: Any) -> Control:
        kind = CONTROL_TYPES[answer.type]
        return Control(
            id=answer.id,
            name=control_name(text(answer.name)),
            type=kind,
            minimum=answer.minimum,
            maximum=answer.maximum & _BITS if kind is ControlType.BITMASK else answer.maximum,
            step=answer.step,
            default=answer.default_value,
            read_only=bool(answer.flags & READ_ONLY),
            menu=self._menu(answer) if kind in MENUS else {},
        )

    def _menu(self, control: Any) -> dict[int, str | int]:
        """Ask for the items of a menu, which may have gaps."""
        items: dict[int, str | int] = {}
        numbers = CONTROL_TYPES[control.type] is ControlType.INTEGER_MENU
        for index in range(control.minimum, control.maximum + 1):
            item = ffi.new("struct v4l2_querymenu *", [control.id, index])
            with suppress(OSError):
                self.call("VIDIOC_QUERYMENU", item)
                number = int.from_bytes(bytes(item.name[0:8]), sys.byteorder, signed=True)
                items[index] = number if numbers else text(item.name)
        return items


def text(characters: Any) -> str:
    """Return a NUL-terminated character array as text; what does not print is escaped."""
    raw = bytes(ffi.buffer(characters)).split(b"\0", 1)[0]
    return printable(raw.decode(errors="backslashreplace"))
