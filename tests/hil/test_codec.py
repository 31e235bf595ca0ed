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
    import io
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.selftest.psnr import psnr
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_decoder, find_encoder
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.playback import Playback

    wave = bytes([*range(256), *range(255, -1, -1)]) * 1000
    images = b"".join(wave[3 * number :][: 640 * 480 * 3 // 2] for number in range(count))
    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        coder = stack.enter_context(VideoDevice(find_encoder("vicodec")))
        shape = coder.output.negotiate(640, 480, "YU12")
        source = stack.enter_context(Playback(io.BytesIO(images), pool, shape))
        encoder = stack.enter_context(Encoder(coder, pool, shape, "FWHT"))
        coded = encoder.capture_buffers.format
        node = stack.enter_context(VideoDevice(find_decoder("vicodec", "FWHT")))
        decoder = stack.enter_context(Decoder(node, pool, coded, "YU12"))
        seen = []
        for _ in range(count):
            image = source.take()
            encoder.put(image)
            piece = encoder.get()
            decoder.put(piece)
            result = decoder.get()
            held = [pool.info(it.buffer).maps for it in (image, piece, result)]
            times = {image.timestamp_ns, piece.timestamp_ns, result.timestamp_ns}
            seen.append([psnr(image, result), len(times), min(held), piece.bytes_used])
            for stage in (encoder, decoder):
                stage.output_buffers.collect()
            for it in (image, piece, result):
                it.release()
        return {
            "multiplanar": coder.capabilities.multiplanar,
            "formats": [str(shape), str(coded), str(decoder.capture_buffers.format)],
            "sizes": [it.planes[0].size for it in (shape, coded, decoder.capture_buffers.format)],
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
    import io
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_encoder
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.event import EventKind
    from cm_agent.video.playback import Playback

    def drained() -> list[int]:
        times = []
        while (piece := encoder.get()) is not None:
            times.append(piece.timestamp_ns)
            piece.release()
        return times

    def put(count: int) -> list[int]:
        times = []
        for _ in range(count):
            image = source.take()
            times.append(image.timestamp_ns)
            encoder.put(image)
            image.release()
        return times

    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        coder = stack.enter_context(VideoDevice(find_encoder("vicodec")))
        shape = coder.output.negotiate(640, 480, "YU12")
        source = stack.enter_context(Playback(io.BytesIO(bytes(20 * 460_800)), pool, shape))
        encoder = stack.enter_context(Encoder(coder, pool, shape))
        watched = [coder.watch(kind) for kind in EventKind]
        first_in = put(3)
        before = coder.events()
        encoder.drain()
        first_out = drained()
        after = [event.kind.name for event in coder.events()]
        encoder.flush()
        put(2)
        encoder.flush()
        flushed = encoder.take()
        back = len(source._idle)
        second_in = put(2)
        encoder.drain()
        return {
            "watched": watched,
            "events": [len(before), after],
            "first": [first_in, first_out],
            "flushed": flushed,
            "back": back,
            "second": [second_in, drained()],
        }


@CONTEXTS
def test_draining_hands_out_all_and_flushing_nothing(module: RemoteBoard, context: str) -> None:
    got = module.call(drain_and_flush, context=context)
    assert got["first"][0] == got["first"][1] and len(got["first"][0]) == 3
    assert got["watched"] == [True, False], "an encoder's source is its user's affair"
    assert got["events"] == [0, ["END_OF_STREAM"]]
    assert got["flushed"] is None
    assert got["back"] == 4, "flushing gives back what was put in"
    assert got["second"][0] == got["second"][1] and len(got["second"][0]) == 2


def change_resolution(context: str) -> dict[str, Any]:
    """Code images of two sizes and decode them as one stream, several images to a chunk."""
    import io
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_decoder, find_encoder
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.format import Payload
    from cm_agent.video.playback import Playback

    def coded(width: int, height: int, grey: int) -> list[bytes]:
        with ExitStack() as stack:
            coder = stack.enter_context(VideoDevice(find_encoder("vicodec")))
            shape = coder.output.negotiate(width, height, "GREY")
            images = io.BytesIO(bytes([grey]) * (3 * width * height))
            source = stack.enter_context(Playback(images, pool, shape))
            encoder = stack.enter_context(Encoder(coder, pool, shape))
            pieces = []
            for _ in range(3):
                encoder.put(source.take())
                piece = encoder.get()
                pieces.append(piece.copy())
                piece.release()
            return pieces

    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        small, large = coded(640, 480, 50), coded(800, 600, 90)
        stream = [small[0] + small[1], small[2] + large[0], large[1] + large[2]]
        node = stack.enter_context(VideoDevice(find_decoder("vicodec", "FWHT")))
        shape = node.output.negotiate(800, 600, "FWHT")
        decoder = stack.enter_context(Decoder(node, pool, shape, inputs=3, outputs=2))
        before = pool.query().chunks
        for number, data in enumerate(stream):
            chunk = stack.enter_context(pool.alloc(shape.planes[0].size))
            with chunk.cpu_access("w") as view:
                view[: len(data)] = data
            decoder.output_buffers.put([chunk], [Payload(len(data), 0)], number, lambda: None)
        decoder.drain()
        seen, loan = [], None
        while (image := decoder.get()) is not None:
            with image.buffer.cpu_access("r") as view:
                pixels = set(view[: image.bytes_used].tobytes())
            seen.append([image.format.width, image.format.height, sorted(pixels)])
            if loan is None:
                loan = image
            else:
                image.release()
        chunk = loan.buffer
        lent = [bool(chunk), chunk.size]
        loan.release()
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
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_decoder
    from cm_agent.video.format import Payload

    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        node = stack.enter_context(VideoDevice(find_decoder("vicodec", "FWHT")))
        shape = node.output.negotiate(640, 480, "FWHT")
        decoder = stack.enter_context(Decoder(node, pool, shape))
        chunk = stack.enter_context(pool.alloc(shape.planes[0].size))
        with chunk.cpu_access("w") as view:
            view[:5000] = bytes(range(250)) * 20
        read: list[int] = []
        decoder.output_buffers.put([chunk], [Payload(5000, 0)], 1, lambda: read.append(1))
        decoder.drain()
        return {"image": decoder.get(), "ended": decoder.ended, "read": read}


def test_a_stream_that_is_none_ends_without_an_image(module: RemoteBoard) -> None:
    got = module.call(garbage, context="shared")
    assert got == {"image": None, "ended": True, "read": [1]}


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
    raw = Format(640, 480, "YU12", (PlaneFormat(0, 640),))
    asked = {
        "format": lambda device, pool: Encoder(device, pool, Format(640, 480, "XXXX", ())),
        "size": lambda device, pool: Encoder(device, pool, Format(642, 480, "YU12", ())),
        "rows": lambda device, pool: Encoder(
            device, pool, Format(640, 480, "YU12", (PlaneFormat(0, 704),))
        ),
        "coded": lambda device, pool: Encoder(device, pool, raw, "H264"),
        "decoder": lambda device, pool: Decoder(device, pool, Format(640, 480, "FWHT", ())),
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
                    Decoder(device, pool, Format(640, 480, "FWHT", ()))
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
    import io
    import os
    import signal
    import time
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_encoder
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.playback import Playback

    def begin(stack: ExitStack) -> None:
        pool = stack.enter_context(Context(context))
        coder = stack.enter_context(VideoDevice(find_encoder("vicodec")))
        shape = coder.output.negotiate(640, 480, "YU12")
        source = stack.enter_context(Playback(io.BytesIO(bytes(460_800)), pool, shape, 1))
        encoder = stack.enter_context(Encoder(coder, pool, shape))
        encoder.put(source.take())
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
    assert got["during"] == 5 and got["pinned"] > 0
    assert (got["after"], got["pinned_after"]) == (0, 0)


def convert(context: str, pixelformat: str) -> dict[str, Any]:
    import io
    import subprocess
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.converter import Converter
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_converter
    from cm_agent.video.playback import Playback

    subprocess.run(["modprobe", "vim2m"], check=True)
    subprocess.run(["udevadm", "settle"], check=True)
    try:
        with ExitStack() as stack:
            pool = stack.enter_context(Context(context))
            device = stack.enter_context(VideoDevice(find_converter("vim2m")))
            shape = device.output.negotiate(320, 240, "RGB3")
            images = bytes([10, 20, 30]) * (320 * 240) + bytes([40, 50, 60]) * (320 * 240)
            source = stack.enter_context(Playback(io.BytesIO(images), pool, shape, 2))
            stage = Converter(device, pool, shape, pixelformat=pixelformat)
            stack.enter_context(stage)
            for _ in range(2):
                stage.put(source.take())
            stage.drain()
            pixels = []
            while (image := stage.get()) is not None:
                data = image.copy()
                pixels.append([list(data[:3]), list(data[-3:]), len(data)])
                image.release()
            return {"format": str(stage.capture_buffers.format), "pixels": pixels}
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
