# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Real codec and converter drivers (vicodec, vim2m) import our chunks on both queues.

The functions that `module.call()` ships run on the board, by themselves: what they need they
import.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards.remote import RemoteBoard

pytestmark = pytest.mark.lg_feature("vicodec")

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
FRAME = 640 * 480 * 3 // 2
CODED = (640 * 480 * 3 + 44, 640 * 480 * 4 + 44)
"""What vicodec asks for: its header, and three bytes a pixel in 6.1, four in 6.12."""


def load(multiplanar: int) -> None:
    import subprocess

    subprocess.run(["modprobe", "vicodec", f"multiplanar={multiplanar}"], check=True)
    subprocess.run(["udevadm", "settle"], check=True)


def unload() -> None:
    import subprocess

    subprocess.run(["modprobe", "-r", "vicodec"], check=True)


@pytest.fixture(scope="module", params=["single-planar", "multi-planar"], autouse=True)
def planes(request: pytest.FixtureRequest, board: RemoteBoard) -> Iterator[str]:
    """vicodec, loaded once for each kind of queue that it can have."""
    board.need("module").call(load, multiplanar=int(request.param == "multi-planar"))
    yield request.param
    board.call(unload)


def there_and_back(context: str, count: int) -> dict[str, Any]:
    """Encode images and decode them again, one after another."""
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.selftest.psnr import psnr
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.encoder import Encoder

    wave = bytes([*range(256), *range(255, -1, -1)]) * 1000
    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        encoder = stack.enter_context(Encoder("vicodec", pool, size=(640, 480), format="YU12"))
        decoder = stack.enter_context(Decoder("vicodec", pool, format=encoder.output, to="YU12"))
        seen = []
        for number in range(count):
            encoder.put(wave[3 * number :][: 640 * 480 * 3 // 2])
            (image,) = (frame.dup() for frame in encoder.output_buffers.frames)
            piece = encoder.get()
            decoder.put(piece)
            result = decoder.get()
            held = [pool.info(it.buffer).maps for it in (image, piece, result)]
            times = {image.timestamp_ns, piece.timestamp_ns, result.timestamp_ns}
            seen.append([psnr(image, result), len(times), min(held), piece.bytes_used])
            for stage in (encoder, decoder):
                stage.output_buffers.collect()
            for it in (image, piece, result):
                it.end()
        formats = encoder.input, encoder.output, decoder.output
        return {
            "multiplanar": encoder.device.capabilities.multiplanar,
            "formats": [str(it) for it in formats],
            "sizes": [it.planes[0].size for it in formats],
            "visible": decoder.visible,
            "seen": seen,
        }


@CONTEXTS
def test_images_come_back_alike(module: RemoteBoard, planes: str, context: str) -> None:
    got = module.call(there_and_back, context=context, count=12)
    assert got["multiplanar"] == (planes == "multi-planar")
    assert got["formats"] == ["640x480 YU12", "640x480 FWHT", "640x480 YU12"]
    raw, coded, decoded = got["sizes"]
    assert raw == decoded == FRAME and coded in CODED
    assert got["visible"] == (640, 480)
    for ratio, times, held, size in got["seen"]:
        assert 25 < ratio < 60, "alike, and not the same: it was coded"
        assert times == 1, "the timestamp goes all the way"
        assert held > 0, "a driver has the chunk mapped"
        assert 44 < size < FRAME


def drain_and_flush(context: str) -> dict[str, Any]:
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.event import EventKind

    def drained() -> list[int]:
        times = []
        while (piece := encoder.get()) is not None:
            times.append(piece.timestamp_ns)
            piece.end()
        return times

    def put(*times: int) -> None:
        for time in times:
            encoder.put(bytes(460_800), time * 1000)

    with Encoder("vicodec", context, size=(640, 480), format="YU12") as encoder:
        watched = [encoder.device.watch(kind) for kind in EventKind]
        put(1, 2, 3)
        before = encoder.device.events()
        encoder.drain()
        first_out = drained()
        after = [event.kind.name for event in encoder.device.events()]
        encoder.flush()
        put(4, 5)
        encoder.flush()
        flushed = encoder.take()
        back = encoder.output_buffers.free
        put(6, 7)
        encoder.drain()
        return {
            "watched": watched,
            "events": [len(before), after],
            "first": first_out,
            "flushed": flushed,
            "back": back,
            "second": drained(),
        }


@CONTEXTS
def test_draining_hands_out_all_and_flushing_nothing(module: RemoteBoard, context: str) -> None:
    got = module.call(drain_and_flush, context=context)
    assert got["first"] == [1000, 2000, 3000]
    assert got["watched"] == [True, False], "an encoder's source is its user's affair"
    assert got["events"] == [0, ["END_OF_STREAM"]]
    assert got["flushed"] is None
    assert got["back"] == 4, "flushing gives back what was put in"
    assert got["second"] == [6000, 7000]


def change_resolution(context: str) -> dict[str, Any]:
    """Code images of two sizes and decode them as one stream, several images to a chunk."""
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.encoder import Encoder

    def coded(width: int, height: int, grey: int) -> list[bytes]:
        images = [bytes([grey]) * (width * height)] * 3
        with Encoder("vicodec", pool, size=(width, height), format="GREY") as encoder:
            return [packet.data for packet in encoder.encode(images)]

    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        small, large = coded(640, 480, 50), coded(800, 600, 90)
        stream = [small[0] + small[1], small[2] + large[0], large[1] + large[2]]
        decoder = stack.enter_context(
            Decoder("vicodec", pool, format="FWHT", size=(800, 600), inputs=3, buffers=2)
        )
        before = pool.query().chunks
        for data in stream:
            decoder.put(data)
        decoder.drain()
        seen, loan = [], None
        while (image := decoder.get()) is not None:
            with image.buffer.cpu_access("r") as view:
                pixels = set(view[: image.bytes_used].tobytes())
            seen.append([image.format.width, image.format.height, sorted(pixels)])
            if loan is None:
                loan = image
            else:
                image.end()
        chunk = loan.buffer
        lent = [bool(chunk), chunk.size]
        loan.end()
        return {
            "seen": seen,
            "changes": decoder.source_changes,
            "lent": lent,
            "after": bool(chunk),
            "chunks": pool.query().chunks - before - len(stream),
        }


@CONTEXTS
def test_a_stream_may_change_its_resolution(
    module: RemoteBoard, page_size: int, context: str
) -> None:
    got = module.call(change_resolution, context=context)
    assert [it[:2] for it in got["seen"]] == [[640, 480]] * 3 + [[800, 600]] * 3
    for (_, _, pixels), grey in zip(got["seen"], [50] * 3 + [90] * 3, strict=True):
        assert all(abs(pixel - grey) <= 4 for pixel in pixels)
    assert got["changes"] == 2
    whole_pages = -(-640 * 480 // page_size) * page_size
    assert got["lent"] == [True, whole_pages], "an image on loan outlives the change"
    assert got["after"] is False, "and its chunk is closed when it comes back"
    assert got["chunks"] == 2, "only chunks of the new size are left"


def garbage(context: str) -> dict[str, Any]:
    from cm_agent.video.decoder import Decoder

    with Decoder("vicodec", context, format="FWHT", size=(640, 480)) as decoder:
        decoder.put(bytes(range(250)) * 20)
        decoder.drain()
        image = decoder.get()
        return {"image": image, "ended": decoder.ended, "left": decoder.output_buffers.busy}


def test_a_stream_that_is_none_ends_without_an_image(module: RemoteBoard) -> None:
    got = module.call(garbage, context="shared")
    assert got == {"image": None, "ended": True, "left": False}


def feed_too_little(context: str, side: str) -> dict[str, Any]:
    """Offer a chunk that is a page too small to one side of the encoder."""
    import mmap
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_encoder
    from cm_agent.video.error import VideoError
    from cm_agent.video.format import Payload

    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        device = stack.enter_context(VideoDevice(find_encoder("vicodec")))
        device.output.negotiate(640, 480, "YU12")
        queue = device.output if side == "output" else device.capture
        queue.request_buffers(1)
        wanted = queue.format.planes[0].size
        size = (wanted // mmap.PAGESIZE - 1) * mmap.PAGESIZE
        chunk = stack.enter_context(pool.alloc(size))
        try:
            queue.queue(0, [chunk], [Payload(1000, 0)] if side == "output" else ())
        except VideoError as error:
            text, number = str(error), error.errno
        else:
            text, number = "", 0
        queue.release_buffers()
        maps = pool.info(chunk).maps
        return {"text": text, "errno": number, "size": size, "wanted": wanted, "maps": maps}


@pytest.mark.parametrize(("side", "sizes"), [("output", (FRAME,)), ("capture", CODED)])
def test_a_chunk_that_is_too_small_is_refused_with_both_numbers(
    module: RemoteBoard, side: str, sizes: tuple[int, ...]
) -> None:
    got = module.call(feed_too_little, context="shared", side=side)
    wanted = got["wanted"]
    assert wanted in sizes
    assert got["errno"] == 22
    assert f"queue {side} buffer 0: Invalid argument" in got["text"]
    assert f"the driver wants {wanted:,} bytes, the chunk has {got['size']:,}" in got["text"]
    assert got["maps"] == 0


def ask_for_what_it_has_not() -> dict[str, str]:
    import glob

    from cm_agent.core.context import Context
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_encoder
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.error import VideoError
    from cm_agent.video.format import Format, PlaneFormat

    said = {}
    size = {"size": (640, 480)}
    asked = {
        "format": lambda device, pool: Encoder(device, pool, **size, format="XXXX"),
        "size": lambda device, pool: Encoder(
            device, pool, format=Format(642, 480, "YU12", (PlaneFormat(0, 656),))
        ),
        "rows": lambda device, pool: Encoder(
            device, pool, format=Format(640, 480, "YU12", (PlaneFormat(0, 704),))
        ),
        "coded": lambda device, pool: Encoder(device, pool, **size, format="YU12", to="H264"),
        "decoder": lambda device, pool: Decoder(device, pool, **size, format="FWHT"),
    }
    with Context("shared") as pool:
        for name, ask in asked.items():
            with VideoDevice(find_encoder("vicodec")) as device:
                try:
                    ask(device, pool)
                except VideoError as error:
                    said[name] = str(error)
        for node in glob.glob("/sys/class/video4linux/*/name"):
            with open(node) as name:
                if name.read() != "stateless-decoder\n":
                    continue
            with VideoDevice(f"/dev/{node.split('/')[4]}") as device:
                try:
                    Decoder(device, pool, **size, format="FWHT")
                except VideoError as error:
                    said["stateless"] = str(error)
    return said


def test_nothing_is_replaced_in_silence(module: RemoteBoard) -> None:
    said = module.call(ask_for_what_it_has_not)
    assert "asked for 640x480 XXXX, the nearest it offers is 640x480 YU12" in said["format"]
    assert "NV12" in said["format"], "the choices are listed"
    assert "asked for 642x480 YU12, the nearest it offers is 656x480" in said["size"]
    assert "rows of 640x480 YU12 640 bytes apart, those it is fed are 704" in said["rows"]
    assert "H264, the nearest it offers is" in said["coded"]
    assert "its pixel formats are FWHT" in said["coded"]
    assert "FWHT, the nearest it offers is" in said["decoder"], "it is an encoder"
    assert "its pixel formats are SFWH" in said["stateless"]


def stop_midway(context: str, how: str) -> dict[str, Any]:
    import os
    import signal
    import time
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.encoder import Encoder

    def begin(stack: ExitStack) -> None:
        shape = {"size": (640, 480), "format": "YU12"}
        encoder = stack.enter_context(Encoder("vicodec", context, **shape))
        encoder.put(bytes(460_800))
        encoder.get()

    with Context(context) as pool:
        before = pool.query().chunks
        if how == "close":
            with ExitStack() as stack:
                begin(stack)
                during = pool.query()
        else:
            ready, tell = os.pipe()
            child = os.fork()
            if not child:
                try:
                    held = ExitStack()
                    begin(held)
                    os.write(tell, b"1")
                    signal.pause()
                finally:
                    os._exit(1)
            os.close(tell)
            os.read(ready, 1)
            os.close(ready)
            during = pool.query()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        limit = time.monotonic() + 5
        while pool.query().chunks != before and time.monotonic() < limit:
            time.sleep(0.05)
        after = pool.query()
        return {
            "during": during.chunks - before,
            "pinned": during.pinned,
            "after": after.chunks - before,
            "pinned_after": after.pinned,
        }


@CONTEXTS
@pytest.mark.parametrize("how", ["close", "kill"])
def test_stopping_midway_leaves_no_mapping_and_no_chunk(
    module: RemoteBoard, context: str, how: str
) -> None:
    got = module.call(stop_midway, context=context, how=how)
    assert got["during"] == 8 and got["pinned"] > 0
    assert (got["after"], got["pinned_after"]) == (0, 0)


def convert(context: str, pixelformat: str) -> dict[str, Any]:
    import subprocess

    from cm_agent.video.converter import Converter

    subprocess.run(["modprobe", "vim2m"], check=True)
    subprocess.run(["udevadm", "settle"], check=True)
    images = [bytes([10, 20, 30]) * (320 * 240), bytes([40, 50, 60]) * (320 * 240)]
    shape = {"size": (320, 240), "format": "RGB3", "to": pixelformat}
    try:
        with Converter("vim2m", context, **shape) as converter:
            pixels = []
            for image in converter.convert(images):
                data = image.copy()
                pixels.append([list(data[:3]), list(data[-3:]), len(data)])
            return {"format": str(converter.output), "pixels": pixels}
    finally:
        subprocess.run(["modprobe", "-r", "vim2m"], check=True)


@pytest.mark.lg_feature("vim2m")
@pytest.mark.parametrize(("pixelformat", "step"), [("RGB3", 1), ("BGR3", -1)])
def test_a_converter_makes_one_image_of_one(
    module: RemoteBoard, pixelformat: str, step: int
) -> None:
    got = module.call(convert, context="shared", pixelformat=pixelformat)
    assert got["format"] == f"320x240 {pixelformat}"
    whole = 320 * 240 * 3
    assert got["pixels"] == [
        [[10, 20, 30][::step]] * 2 + [whole],
        [[40, 50, 60][::step]] * 2 + [whole],
    ]
