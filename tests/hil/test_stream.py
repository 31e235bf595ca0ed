# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A real V4L2 driver (vivid, on videobuf2-dma-contig) fills our chunks on the board.

The functions that `module.call()` ships run there, by themselves: what they need they import.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from boards.remote import RemoteBoard

pytestmark = [pytest.mark.two_kernels, pytest.mark.lg_feature("vivid")]

CONTEXTS = ("shared", "private")
WIDTH, HEIGHT, PIXELFORMAT = 640, 480, "RGB3"
FRAME = WIDTH * HEIGHT * 3
FULL = 191
COLOUR_BARS = [(red, green, blue) for green in (FULL, 0) for red in (FULL, 0) for blue in (FULL, 0)]
"""What vivid draws, from left to right: 75 % bars, from white to black."""


def load_vivid(multiplanar: int = 1, allocators: int = 1) -> None:
    import subprocess

    options = [f"multiplanar={multiplanar}", f"allocators={allocators}"]
    subprocess.run(["modprobe", "vivid", "n_devs=1", "node_types=0x1", *options], check=True)


def unload_vivid() -> None:
    import subprocess

    subprocess.run(["modprobe", "-r", "vivid"], check=True)


@pytest.fixture(scope="module", autouse=True)
def camera(board: RemoteBoard) -> Iterator[None]:
    """vivid, loaded once for the file, and no service whose own probes count as chunks."""
    board.need("module").call(load_vivid)
    yield
    board.call(unload_vivid)


@contextmanager
def vivid_with(board: RemoteBoard, **options: int) -> Iterator[None]:
    board.call(unload_vivid)
    board.call(load_vivid, **options)
    yield
    board.call(unload_vivid)
    board.call(load_vivid)


@pytest.fixture
def multiplanar_vivid(module: RemoteBoard) -> Iterator[None]:
    with vivid_with(module, multiplanar=2):
        yield


@pytest.fixture
def vmalloc_vivid(module: RemoteBoard) -> Iterator[None]:
    """vivid on videobuf2-vmalloc: no device imports the chunks, the CPU draws into them."""
    with vivid_with(module, allocators=0):
        yield


def stream_by_command(context: str, frames: int, save: str | None) -> dict[str, Any]:
    import contextlib
    import io
    import json
    import os

    from cm_agent.cli import main

    arguments = ["stream", "vivid", context, "--frames", str(frames), "--json"]
    arguments += ["--size", "640x480", "--format", "RGB3", "--fps", "25"]
    arguments += ["--save", save] if save else []
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(arguments)
    picture = None
    if save:
        from PIL import Image

        with Image.open(save) as image:
            rows = image.tobytes()
        middles = range(3 * (400 * 640 + 40), 3 * 401 * 640, 3 * 80)
        picture = [list(rows[at : at + 3]) for at in middles]
        os.unlink(save)
    return {"code": code, "report": json.loads(out.getvalue())["result"], "picture": picture}


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_hundred_frames_arrive_without_a_copy(module: RemoteBoard, context: str) -> None:
    got = module.call(stream_by_command, context=context, frames=100, save=None)
    report = got["report"]
    assert got["code"] == 0, report
    assert (report["driver"], report["frames"], report["errors"]) == ("vivid", 100, 0)
    assert report["planes"] == [{"size": FRAME, "stride": WIDTH * 3}]
    assert report["bytes_copied_by_cpu"] == 0
    assert report["zero_copy"] and report["contiguous"]
    for buffer in report["buffers"]:
        assert (buffer["verdict"], buffer["agree"]) == ("CONTIGUOUS", True)
        assert buffer["imports"] > 0
        assert buffer["changes"] == buffer["samples"] == 2
        assert buffer["address_kept"] is True


def test_a_saved_frame_is_a_picture_and_counted_as_a_copy(module: RemoteBoard) -> None:
    got = module.call(stream_by_command, context="shared", frames=5, save="/tmp/frame.png")
    assert got["code"] == 0, got["report"]
    assert got["report"]["bytes_copied_by_cpu"] == FRAME
    for seen, drawn in zip(got["picture"], COLOUR_BARS, strict=True):
        assert all(abs(a - b) <= 8 for a, b in zip(seen, drawn, strict=True)), got["picture"]


@pytest.mark.usefixtures("vmalloc_vivid")
def test_a_driver_that_writes_with_the_cpu_is_told_from_a_device(module: RemoteBoard) -> None:
    got = module.run("cm-agent stream vivid shared --frames 8")
    assert got.code == 1
    (missing,) = (line for line in got.stdout.splitlines() if "FAILED" in line)
    assert "imported by no device: vivid writes with the CPU" in missing
    assert "new content" not in missing


def queue_too_small(context: str, wanted: int) -> dict[str, Any]:
    import mmap

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find
    from cm_agent.video.error import VideoError

    size = (wanted // mmap.PAGESIZE - 16) * mmap.PAGESIZE
    with VideoDevice(find("vivid")) as device, Context(context) as pool, pool.alloc(size) as chunk:
        device.capture.negotiate(640, 480, "RGB3")
        device.capture.request_buffers(1)
        try:
            device.capture.queue(0, [chunk])
        except VideoError as error:
            text, number = str(error), error.errno
        else:
            text, number = "", 0
        device.capture.release_buffers()
        return {"text": text, "errno": number, "size": size, "imports": pool.info(chunk).imports}


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_chunk_that_is_too_small_is_refused_with_both_numbers(
    module: RemoteBoard, context: str
) -> None:
    got = module.call(queue_too_small, context=context, wanted=FRAME)
    assert got["errno"] == 22
    sentence = f"the driver wants {FRAME:,} bytes, the chunk has {got['size']:,}"
    assert sentence in got["text"]
    assert got["imports"] == 0


def stop_midway(context: str, how: str) -> dict[str, Any]:
    import os

    from cm_agent.core.buffer import Buffer
    from cm_agent.core.context import Context
    from cm_agent.video.camera import Camera
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    class Midway(Exception):
        pass

    with VideoDevice(find("vivid")) as device, Context(context) as pool:
        before = pool.query()
        capture = Camera(device, pool, size=(640, 480), format="RGB3")
        kept = [Buffer(os.dup(chunk.fd), chunk.size, chunk.id) for chunk in capture.chunks]
        frames = capture.frames()
        next(frames)
        next(frames)
        during = [pool.info(chunk).imports for chunk in kept]
        if how == "close":
            capture.close()
        else:
            try:
                with capture:
                    raise Midway
            except Midway:
                pass
        after = [pool.info(chunk).imports for chunk in kept]
        live = bool(capture)
        capture.close()
        frames.close()
        for chunk in kept:
            chunk.close()
        with Camera(device, pool, size=(640, 480), format="RGB3") as again:
            count = sum(1 for _ in again.frames(2))
        leaked = pool.query().chunks - before.chunks
        return {"during": during, "after": after, "live": live, "again": count, "leaked": leaked}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("how", ["close", "exception"])
def test_stopping_midway_leaves_no_import_and_no_chunk(
    module: RemoteBoard, context: str, how: str
) -> None:
    got = module.call(stop_midway, context=context, how=how)
    assert min(got["during"]) > 0
    assert set(got["after"]) == {0}
    assert (got["live"], got["again"], got["leaked"]) == (False, 2, 0)


def killed_midway(context: str) -> dict[str, Any]:
    import os
    import signal
    import time

    from cm_agent.core.context import Context
    from cm_agent.video.camera import Camera
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    with Context(context) as pool:
        before = pool.query().chunks
        ready, tell = os.pipe()
        child = os.fork()
        if not child:
            try:
                frames = Camera(VideoDevice(find("vivid")), Context(context)).frames()
                next(frames)
                os.write(tell, b"1")
                signal.pause()
            finally:
                os._exit(1)
        os.close(tell)
        streaming = os.read(ready, 1)
        during = pool.query()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        limit = time.monotonic() + 5
        while pool.query().chunks != before and time.monotonic() < limit:
            time.sleep(0.05)
        after = pool.query()
        return {
            "streaming": streaming == b"1",
            "during": during.chunks - before,
            "pinned_during": during.pinned,
            "after": after.chunks - before,
            "pinned_after": after.pinned,
        }


def test_a_killed_reader_leaves_no_import_and_no_chunk(module: RemoteBoard) -> None:
    got = module.call(killed_midway, context="private")
    assert got["streaming"] and got["during"] >= 2 and got["pinned_during"] > 0
    assert (got["after"], got["pinned_after"]) == (0, 0)


def ask_for_what_it_has_not() -> dict[str, str]:
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find
    from cm_agent.video.error import VideoError

    said = {}
    with VideoDevice(find("vivid")) as device:
        before = device.capture.format
        for name, asked in {
            "format": (640, 480, "XXXX"),
            "size": (641, 480, "RGB3"),
            "width": (99_999, 480, "YUYV"),
        }.items():
            try:
                device.capture.negotiate(*asked)
            except VideoError as error:
                said[name] = str(error)
        said["before"], said["after"] = repr(before), repr(device.capture.format)
    return said


def test_a_format_that_the_driver_lacks_is_not_replaced_in_silence(module: RemoteBoard) -> None:
    said = module.call(ask_for_what_it_has_not)
    assert "asked for 640x480 XXXX, the nearest it offers is 640x480" in said["format"]
    assert "RGB3" in said["format"], "the choices are listed"
    assert "asked for 641x480 RGB3" in said["size"] and "99999x480" in said["width"]
    assert said["before"] == said["after"]


def verify_the_drivers_own(context: str) -> list[dict[str, Any]]:
    from cm_agent.contiguity.verification import verify
    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    with VideoDevice(find("vivid")) as device, Context(context) as pool:
        device.capture.negotiate(640, 480, "RGB3")
        with device.capture.exported(2) as buffers:
            found = [verify(plane, pool) for planes in buffers for plane in planes]
            return [{"verdict": str(it.verdict), "agree": it.agree} for it in found]


def test_the_drivers_own_buffers_can_be_verified(module: RemoteBoard) -> None:
    got = module.call(verify_the_drivers_own, context="shared")
    assert len(got) >= 2
    assert all(it["agree"] and it["verdict"] == "CONTIGUOUS" for it in got), got


def stream_two_planes(context: str) -> dict[str, Any]:
    from cm_agent.core.context import Context
    from cm_agent.selftest.samples import Samples
    from cm_agent.video.camera import Camera
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    with VideoDevice(find("vivid")) as device, Context(context) as pool:
        multiplanar = device.capabilities.multiplanar
        with Camera(device, pool, size=(640, 480), format="NM16", buffers=3) as capture:
            evidence = Samples(pool, capture)
            for frame in capture.frames(8):
                evidence.look(frame)
                payloads = frame.filled.payloads
            return {
                "multiplanar": multiplanar,
                "sizes": [plane.size for plane in capture.format.planes],
                "payloads": [[it.offset, it.bytes_used] for it in payloads],
                "chunks": [entry.to_json() for entry in evidence.chunks],
                "zero_copy": evidence.zero_copy,
            }


@pytest.mark.usefixtures("multiplanar_vivid")
def test_every_plane_of_a_frame_has_its_chunk(module: RemoteBoard) -> None:
    got = module.call(stream_two_planes, context="shared")
    assert got["multiplanar"] and got["zero_copy"], got
    used = [offset + length for offset, length in got["payloads"]]
    assert used == got["sizes"], "vivid puts an offset before the first plane's data"
    assert [length for _, length in got["payloads"]] == [640 * 480] * 2
    assert len(got["chunks"]) == 6
    assert all(it["samples"] == 2 and it["imports"] > 0 for it in got["chunks"]), got["chunks"]


def keep_all(context: str, count: int) -> dict[str, Any]:
    """Keep every frame until none comes; then have another thread give one back, and go on."""
    import threading

    from cm_agent import Context, video

    kept, error = [], ""
    with (
        Context(context) as pool,
        video.Camera("vivid", pool, size=(320, 180), format="RGB3", buffers=count) as camera,
    ):
        try:
            for frame in camera.frames(timeout=1):
                kept.append(frame.dup())
        except video.VideoError as caught:
            error = str(caught)
        held = len(kept)
        back = threading.Timer(0.5, kept[0].end)
        back.start()
        with camera.frame(timeout=10) as frame:
            later = frame.sequence - kept[-1].sequence
        back.join()
    return {"held": held, "buffers": len(camera.buffers), "error": error, "later": later}


def test_who_keeps_all_frames_is_told_so_and_any_thread_gives_one_back(module: RemoteBoard) -> None:
    got = module.call(keep_all, context="shared", count=4)
    assert got["held"] == got["buffers"] and got["later"] > 0, got
    assert (
        f"all {got['buffers']} buffers are with their readers: give frames back" in got["error"]
    ), got
