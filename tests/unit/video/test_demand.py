# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What devices that are data take, next to what is allocated when they stream."""

from __future__ import annotations

import errno
from contextlib import nullcontext
from dataclasses import replace
from mmap import PAGESIZE
from pathlib import Path
from typing import Any, cast

import pytest
from cm_agent.video import demand as module
from cm_agent.video.camera import Camera
from cm_agent.video.converter import Converter
from cm_agent.video.decoder import Decoder
from cm_agent.video.demand import Demand, Request, ask, ask_all, compute
from cm_agent.video.encoder import Encoder
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format, PlaneFormat
from unit.video.video_data import CODED, RAW, DataContext, DataDevice

TWO_PLANES = Format(640, 480, "NM12", (PlaneFormat(307_200, 640), PlaneFormat(153_601, 640)))


def camera_device(made: Format = RAW) -> DataDevice:
    device = DataDevice(made, made)
    device.capabilities = replace(device.capabilities, memory_to_memory=False)
    return device


def asked(role: str, device: DataDevice, **request: Any) -> Demand:
    return ask(role, cast(Any, device), Request(**request))


def taken(context: DataContext) -> list[int]:
    """Return what the context gave, in whole pages."""
    return [-(-chunk.size // PAGESIZE) * PAGESIZE for chunk in context.chunks]


def test_a_camera_takes_what_is_allocated_for_it() -> None:
    context = DataContext()
    Camera(cast(Any, camera_device(TWO_PLANES)), cast(Any, context), buffers=3)
    assert asked("camera", camera_device(TWO_PLANES), buffers=3).chunks == taken(context)


def test_a_driver_that_wants_more_buffers_is_believed() -> None:
    device, context = camera_device(), DataContext()
    device.capture.granted_count = 5
    Camera(cast(Any, device), cast(Any, context), buffers=1)
    assert asked("camera", device, buffers=1).chunks == taken(context) and len(taken(context)) == 5


def test_a_camera_s_format_is_not_set() -> None:
    device = camera_device()
    asked("camera", device, size=(640, 480), format="YU12")
    assert device.log == ["capture offer"]


@pytest.mark.parametrize("inputs", [0, 2])
def test_an_encoder_takes_what_is_allocated_for_it(inputs: int) -> None:
    """And no chunks for images that lie in another device's."""
    context = DataContext()
    stage = Encoder(
        cast(Any, DataDevice(CODED, RAW)), cast(Any, context), to="FWHT", inputs=2, buffers=3
    )
    if inputs:
        stage._make_chunks(cast(Any, context), None)
    demand = asked("encoder", DataDevice(CODED, RAW), to="FWHT", inputs=inputs, buffers=3)
    assert demand.chunks == taken(context)


def test_a_converter_takes_what_is_allocated_for_it() -> None:
    context = DataContext()
    stage = Converter(cast(Any, DataDevice(TWO_PLANES, RAW)), cast(Any, context))
    stage._make_chunks(cast(Any, context), None)
    assert asked("converter", DataDevice(TWO_PLANES, RAW)).chunks == taken(context)


def test_a_decoder_takes_what_is_allocated_when_it_knows_the_format() -> None:
    """Three buffers are the least that this one says it must have."""
    device, context = DataDevice(RAW, CODED), DataContext()
    stage = Decoder(cast(Any, device), cast(Any, context), format="FWHT", inputs=2, buffers=1)
    device.changed = True
    stage.take()
    stage._make_chunks(cast(Any, context), None)
    demand = asked("decoder", DataDevice(RAW, CODED), format="FWHT", inputs=2, buffers=1)
    assert demand.chunks == taken(context) and demand.buffers == 3


def test_an_encoder_is_asked_in_the_order_in_which_it_is_used() -> None:
    device, other = DataDevice(CODED, RAW), DataDevice(CODED, RAW)
    asked("encoder", device, coded_size=1000)
    Encoder(cast(Any, other), cast(Any, DataContext()), coded_size=1000)
    assert device.log == other.log[: len(device.log)] and len(device.log) == 3


def test_a_device_that_is_no_camera_is_an_error() -> None:
    with pytest.raises(VideoError) as caught:
        asked("camera", DataDevice(RAW, RAW))
    assert caught.value.errno == errno.EOPNOTSUPP


def test_of_all_devices_each_is_asked_for_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stateless = replace(CODED, pixelformat="SFWH")
    devices = {
        "camera": camera_device(),
        "encoder": DataDevice(CODED, RAW),
        "decoder": DataDevice(RAW, CODED),
        "converter": DataDevice(RAW, RAW),
        "of no use": DataDevice(RAW, stateless),
    }
    monkeypatch.setattr(module, "video_nodes", lambda: [Path(name) for name in devices])
    monkeypatch.setattr(module, "VideoDevice", lambda path: nullcontext(devices[path.name]))
    *found, left_out = ask_all()
    roles = [it.role for it in found if isinstance(it, Demand)]
    assert roles == ["camera", "encoder", "decoder", "converter"]
    assert isinstance(left_out, VideoError) and left_out.errno == errno.EOPNOTSUPP


def test_a_device_that_cannot_be_opened_is_an_error_among_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "video_nodes", lambda: [Path("/nowhere/video0")])
    (error,) = ask_all()
    assert isinstance(error, VideoError) and error.errno == errno.ENOENT


def test_what_is_not_there_is_computed() -> None:
    request = Request(size=(640, 480), format="NM12", buffers=2)
    assert compute("camera", request).chunks == [307_200, 155_648] * 2


def test_a_packet_has_the_size_that_is_given() -> None:
    request = Request((640, 480), "GREY", "H264", coded_size=5000, inputs=1, buffers=2)
    assert compute("encoder", request).chunks == [8192, 8192, 307_200]


def test_the_size_of_a_packet_must_be_given() -> None:
    with pytest.raises(ValueError, match="the size of 640x480 H264 cannot be computed"):
        compute("encoder", Request((640, 480), "GREY", "H264"))
