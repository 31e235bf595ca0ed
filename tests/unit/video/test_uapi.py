# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What ioctls are given and what is read of their answers; of a driver that is a function."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cm_agent.video.error import VideoError
from cm_agent.video.event import Event, EventKind
from cm_agent.video.format import Colour, Payload
from cm_agent.video.queue import Queue
from cm_agent.video.uapi import EVENTS, DeviceIoctls
from cm_agent.video.uapi_queue import QueueIoctls

Driver = Callable[[str, Any], None]


class DriverIoctls(DeviceIoctls):
    """Ioctls that go to a function instead of a device."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(lambda: -1)
        self.driver = driver

    def call(self, name: str, argument: Any) -> None:
        """Have the function answer."""
        self.driver(name, argument[0])


def queue(driver: Driver, *, output: bool = True, multiplanar: bool = False) -> QueueIoctls:
    return QueueIoctls(DriverIoctls(driver), output=output, multiplanar=multiplanar)


@pytest.mark.parametrize(
    ("output", "multiplanar", "kind"),
    [(False, False, 1), (True, False, 2), (False, True, 9), (True, True, 10)],
)
def test_every_kind_of_queue_has_its_number(output: bool, multiplanar: bool, kind: int) -> None:
    seen = []

    def driver(name: str, request: Any) -> None:
        seen.append((name, request.type, request.memory, request.count))
        request.count = 7

    granted = queue(driver, output=output, multiplanar=multiplanar).request_buffers(3)
    assert (granted, seen) == (7, [("VIDIOC_REQBUFS", kind, 4, 3)])


def test_a_plane_that_is_fed_says_what_it_holds_and_when_it_was_taken() -> None:
    seen: dict[str, Any] = {}

    def driver(name: str, buffer: Any) -> None:
        seen.update(fd=buffer.m.fd, length=buffer.length, used=buffer.bytesused)
        seen.update(time=(buffer.timestamp.tv_sec, buffer.timestamp.tv_usec), field=buffer.field)

    queue(driver).queue(2, [(5, 8192)], [Payload(100, 0)], 3_000_007_000)
    assert seen == {"fd": 5, "length": 8192, "used": 100, "time": (3, 7), "field": 1}


def test_planes_that_are_fed_say_where_their_data_begins() -> None:
    seen = []

    def driver(name: str, buffer: Any) -> None:
        for plane in buffer.m.planes[0 : buffer.length]:
            seen.append((plane.m.fd, plane.length, plane.bytesused, plane.data_offset))

    planes, payloads = [(5, 8192), (6, 4096)], [Payload(100, 32), Payload(50, 0)]
    queue(driver, multiplanar=True).queue(0, planes, payloads)
    assert seen == [(5, 8192, 132, 32), (6, 4096, 50, 0)]


def test_planes_that_were_filled_say_where_their_data_begins() -> None:
    def driver(name: str, buffer: Any) -> None:
        buffer.length, buffer.flags = 2, 0x00100040
        for plane, (used, offset) in zip(buffer.m.planes[0:2], [(132, 32), (50, 0)], strict=True):
            plane.bytesused, plane.data_offset = used, offset
        buffer.timestamp.tv_sec, buffer.timestamp.tv_usec = 3, 7

    filled = queue(driver, output=False, multiplanar=True).dequeue()
    assert filled.payloads == (Payload(100, 32), Payload(50, 0))
    assert filled.timestamp_ns == 3_000_007_000
    assert filled.error and filled.last


@pytest.mark.parametrize("multiplanar", [False, True])
def test_sizes_are_asked_of_the_driver_and_colours_set(multiplanar: bool) -> None:
    def driver(name: str, format: Any) -> None:
        image = format.fmt.pix_mp if multiplanar else format.fmt.pix
        plane = image.plane_fmt[0] if multiplanar else image
        if name == "VIDIOC_G_FMT":
            image.width, image.height, image.pixelformat = 640, 480, 0x32315559
            plane.sizeimage = plane.bytesperline = 1
            return
        assert (plane.sizeimage, plane.bytesperline) == (0, 0), "so that the driver says"
        assert (image.colorspace, image.ycbcr_enc) == (3, 2)
        assert (image.quantization, image.xfer_func) == (1, 4)
        plane.sizeimage, plane.bytesperline = 1_382_400, 1280
        if multiplanar:
            image.num_planes = 1

    colour = Colour(space=3, encoding=2, quantization=1, transfer=4)
    got = queue(driver, multiplanar=multiplanar).set_format(1280, 720, None, colour)
    assert (str(got), got.colour, got.full_range) == ("1280x720 YU12", colour, True)
    assert [(plane.size, plane.stride) for plane in got.planes] == [(1_382_400, 1280)]


def test_the_visible_part_is_asked_for_by_the_plain_kind_of_queue() -> None:
    def driver(name: str, selection: Any) -> None:
        assert (name, selection.type, selection.target) == ("VIDIOC_G_SELECTION", 1, 0x100)
        selection.r.width, selection.r.height = 1920, 1080

    assert queue(driver, output=False, multiplanar=True).get_visible() == (1920, 1080)


def test_events_are_taken_until_there_are_none() -> None:
    source, end = EVENTS[EventKind.SOURCE_CHANGE], EVENTS[EventKind.END_OF_STREAM]
    left = [(source, 1), (source, 2), (end, 1)]

    def driver(name: str, event: Any) -> None:
        if not left:
            raise OSError(errno.ENOENT, "none")
        event.type, event.u.src_change.changes = left.pop(0)

    ioctls = DriverIoctls(driver)
    assert list(iter(ioctls.next_event, None)) == [
        Event(EventKind.SOURCE_CHANGE, resolution=True),
        Event(EventKind.SOURCE_CHANGE),
        Event(EventKind.END_OF_STREAM),
    ]


def test_calls_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cm_agent.video.uapi.ioctl", lambda fd, number, argument: None)
    ioctls = DeviceIoctls(lambda: -1)
    ioctls.set_control(1, 2)
    assert ioctls.get_control(1) == 0 and ioctls.count == 2


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "no"), KeyboardInterrupt()])
def test_planes_that_were_exported_are_closed_when_the_next_one_fails(error: BaseException) -> None:
    exported = os.memfd_create("plane 0")

    def driver(name: str, argument: Any) -> None:
        if name == "VIDIOC_QUERYBUF":
            argument.length = 2
        elif argument.plane:
            raise error
        else:
            argument.fd = exported

    with pytest.raises(type(error)):
        queue(driver, multiplanar=True).export_buffer(0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(exported)


@pytest.mark.parametrize("multiplanar", [False, True])
def test_a_driver_learns_how_large_a_coded_image_may_be(multiplanar: bool) -> None:
    seen = []

    def driver(name: str, format: Any) -> None:
        image = format.fmt.pix_mp if multiplanar else format.fmt.pix
        seen.append((image.plane_fmt[0] if multiplanar else image).sizeimage)

    queue(driver, output=False, multiplanar=multiplanar).set_format(640, 480, "JPEG", size=307_200)
    assert seen == [0, 307_200]


def test_a_driver_that_has_less_room_for_a_coded_image_is_an_error_with_both_numbers() -> None:
    def driver(name: str, format: Any) -> None:
        format.fmt.pix.sizeimage = 4096

    capture = Queue(queue(driver, output=False), Path("/dev/video9"), "capture")
    assert capture.negotiate(size=4096).planes[0].size == 4096
    with pytest.raises(VideoError, match=r"of 307,200 bytes, the nearest it offers .* of 4,096 b"):
        capture.negotiate(size=307_200)
