# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Images from anywhere into a real codec and packets out, by loops that wait and by asyncio's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards.remote import RemoteBoard

pytestmark = [
    pytest.mark.two_kernels,
    pytest.mark.lg_feature("vivid"),
    pytest.mark.lg_feature("vicodec"),
]


@pytest.fixture(scope="module", autouse=True)
def drivers(board: RemoteBoard) -> Iterator[None]:
    """A camera and a codec."""
    board.need("module")
    board.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1 multiplanar=1")
    board.check("modprobe vicodec && udevadm settle")
    yield
    board.check("modprobe -r vivid vicodec")


def encode_a_camera(context: str, count: int, buffers: int, asynchronous: bool) -> dict[str, Any]:
    """Encode a camera's frames where they are, with as few buffers as can be, and decode them."""
    import asyncio

    from cm_agent import Context, video

    size = {"size": (640, 360), "format": "GREY", "fps": 30}

    async def collected(packets: Any) -> list[Any]:
        return [packet async for packet in packets]

    with Context(context) as pool:
        before = pool.query()
        with (
            video.Camera("vivid", pool, **size, buffers=buffers) as camera,
            video.Encoder("vicodec", pool, format=camera.format) as encoder,
            video.Decoder("vicodec", pool, format=encoder.output, to="GREY") as decoder,
        ):
            coded = encoder.encode(camera.frames(count))
            packets = asyncio.run(collected(coded)) if asynchronous else list(coded)
            images = [(frame.timestamp_ns, frame.bytes_used) for frame in decoder.decode(packets)]
            copied = [camera.counters.bytes_copied, encoder.counters.bytes_copied]
        same = pool.query() == before
    return {
        "times": [packet.pts * 1000 for packet in packets],
        "images": images,
        "bytes": sum(len(packet.data) for packet in packets),
        "copied": copied,
        "same": same,
    }


@pytest.mark.parametrize("asynchronous", [False, True], ids=["for", "async for"])
@pytest.mark.parametrize("buffers", [1, 4])
def test_a_cameras_frames_are_encoded_where_they_are(
    module: RemoteBoard, buffers: int, asynchronous: bool
) -> None:
    """A camera that has one buffer has it back in time."""
    words = {"count": 12, "buffers": buffers, "asynchronous": asynchronous}
    got = module.call(encode_a_camera, context="shared", **words)
    assert len(got["times"]) == 12 and got["times"][0] == 0 and sorted(got["times"]) == got["times"]
    assert got["copied"] == [0, got["bytes"]], "only packets are copied, out of their chunks"
    assert got["same"], "nothing stays allocated"
    assert got["images"] == [(time, 640 * 360) for time in got["times"]]


def crop(width: int, height: int) -> dict[str, Any]:
    """Encode images of a size that the codec has no format of, and see what comes out."""
    from cm_agent import video

    rows = [bytes((x * 3 + y) % 200 + 20 for x in range(width)) for y in range(height)]
    image = b"".join(rows) + bytes([128]) * (width // 2 * (height // 2) * 2)
    with video.Encoder("vicodec", "shared", size=(width, height), format="YU12") as encoder:
        packets = list(encoder.encode([image]))
        wanted = encoder.input
    with video.Decoder("vicodec", "shared", format="FWHT", to="YU12") as decoder:
        for frame in decoder.decode(packets):
            luma = frame.copy()
            stride, shown = frame.format.strides[0], frame.format
            corners = [luma[0], luma[width - 1], luma[(height - 1) * stride + width - 1]]
    return {
        "input": [str(wanted), wanted.rows, wanted.strides[0]],
        "shown": [str(shown), shown.rows],
        "corners": corners,
        "expected": [rows[0][0], rows[0][-1], rows[-1][-1]],
    }


def test_images_of_a_size_that_the_codec_rounds_up_are_cropped(module: RemoteBoard) -> None:
    got = module.call(crop, width=642, height=474)
    name, rows, stride = got["input"]
    assert name == "642x474 YU12" and stride > 642 and (rows or 474) >= 474, got
    assert got["shown"][0] == "642x474 YU12", got
    for pixel, expected in zip(got["corners"], got["expected"], strict=True):
        assert abs(pixel - expected) <= 8, got


def keyframes_of(distance: int) -> list[bool]:
    """Encode with so many images from keyframe to keyframe, and return which ones are.

    Of an image that does not change the difference is coded, since that is less.
    """
    import random

    from cm_agent import video

    images = [random.Random(1).randbytes(640 * 480)] * 12
    shape = {"size": (640, 480), "format": "GREY"}
    with video.Encoder("vicodec", "shared", **shape, keyframes=distance) as encoder:
        packets = list(encoder.encode(images))
    with video.Decoder("vicodec", "shared", format="FWHT", to="GREY") as decoder:
        return [frame.keyframe for frame in decoder.decode(packets)]


@pytest.mark.parametrize("distance", [1, 4])
def test_keyframes_come_as_often_as_asked_for(module: RemoteBoard, distance: int) -> None:
    found = module.call(keyframes_of, distance=distance)
    assert found == [not number % distance for number in range(12)]


def ask_for_what_it_has_not() -> dict[str, Any]:
    """Collect the errors of arguments that vicodec, or no encoder, takes; and what is left."""
    from cm_agent import Context, Error, video

    shape = {"size": (640, 480), "format": "GREY"}
    asked = {
        "bitrate": {**shape, "bitrate": 1_000_000},
        "keyframes": {**shape, "keyframes": 1000},
        "control": {**shape, "controls": {"sharpness": 1}},
        "size": {**shape, "size": "640x480"},
        "negative": {**shape, "size": (-1, 480)},
        "fps": {**shape, "fps": 0},
    }
    said = {}
    with Context("shared") as pool:
        before = pool.query()
        for name, arguments in asked.items():
            try:
                video.Encoder("vicodec", pool, **arguments).close()
            except (Error, TypeError, ValueError) as error:
                said[name] = f"{type(error).__name__}: {error}"
        try:
            video.Encoder("nosuch", pool, **shape)
        except Error as error:
            said["device"] = f"{type(error).__name__}: {error}"
        said["same"] = pool.query() == before
    return said


def test_what_it_has_not_is_refused_with_what_it_has(module: RemoteBoard) -> None:
    said = module.call(ask_for_what_it_has_not)
    assert (
        "no control 'video_bitrate'" in said["bitrate"] and "its controls are " in said["bitrate"]
    )
    assert "1000 is no value of video_gop_size (1 to " in said["keyframes"]
    assert "no control 'sharpness'" in said["control"]
    assert said["size"].startswith("TypeError: size is (width, height) in pixels"), said
    assert said["negative"] == "ValueError: no image is -1 pixels wide and 480 high"
    assert said["fps"].startswith("ValueError: fps is from 0.001")
    assert "DeviceLookupError: nosuch: no encoder of that name or driver" in said["device"]
    assert said["same"]


def leave(context: str) -> dict[str, Any]:
    """Leave loops half-way, by a break, by an error of the source, and go on."""
    from cm_agent import Context, video

    def images(count: int) -> Any:
        for shade in range(count):
            yield bytes([10 * shade]) * (640 * 360)
        raise LookupError("unplugged")

    got: dict[str, Any] = {}
    with Context(context) as pool:
        before = pool.query()
        shape = {"size": (640, 360), "format": "GREY"}
        with (
            video.Encoder("vicodec", pool, **shape) as encoder,
            video.Decoder("vicodec", pool, format=encoder.output, to="GREY") as decoder,
        ):
            for packet in encoder.encode(images(9)):
                got["first"] = len(packet.data)
                break
            got["inside"] = len(encoder.output_buffers.frames)
            packets = []
            try:
                for packet in encoder.encode(images(5)):
                    packets.append(packet)
            except LookupError as error:
                got["error"] = str(error)
            got["packets"] = len(packets)
            for frame in decoder.decode(packets):
                got["half"] = frame.copy()[0]
                break
            got["returned"] = not frame
            got["shades"] = [frame.copy()[0] for frame in decoder.decode(packets)]
        got["same"] = pool.query() == before
    return got


@pytest.mark.parametrize("context", ["shared", "private"])
def test_a_loop_may_be_left_and_another_begun(module: RemoteBoard, context: str) -> None:
    got = module.call(leave, context=context)
    assert got["first"] > 0 and got["inside"] == 0 and got["returned"], got
    assert (got["packets"], got["error"]) == (5, "unplugged"), got
    assert len(got["shades"]) == 5 and abs(got["half"]) <= 4, got
    assert all(abs(shade - 10 * at) <= 4 for at, shade in enumerate(got["shades"])), got
    assert got["same"], got
