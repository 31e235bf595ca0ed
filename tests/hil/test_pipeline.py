# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""From a camera through codecs on shared chunks: no copy, one address, and moves in between.

The functions that `module.call()` ships run on the board, by themselves: what they need they
import.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards.remote import RemoteBoard

pytestmark = [pytest.mark.lg_feature("vivid"), pytest.mark.lg_feature("vicodec")]

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
FRAME = 640 * 480 * 3 // 2
HEADER = bytes.fromhex("4f4f4f4fffffffff")
"""What every frame of a FWHT stream begins with."""


def load() -> None:
    import subprocess

    for words in (
        ["vivid", "n_devs=1", "node_types=0x1", "allocators=1", "multiplanar=1"],
        ["vicodec"],
        ["vim2m"],
    ):
        subprocess.run(["modprobe", *words], check=True)
    subprocess.run(["udevadm", "settle"], check=True)


def unload() -> None:
    import subprocess

    subprocess.run(["modprobe", "-r", "vivid", "vicodec", "vim2m"], check=True)


@pytest.fixture(scope="module", autouse=True)
def drivers(board: RemoteBoard) -> Iterator[None]:
    """A camera, a codec and a converter, loaded once for the file."""
    board.need("module").call(load)
    yield
    board.call(unload)


def stream(context: str, arguments: list[str]) -> dict[str, Any]:
    """Run the command and return its report."""
    import contextlib
    import io
    import json

    from cm_agent.cli import main

    common = ["--size", "640x480", "--json"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["stream", "vivid", context, *common, *arguments])
    return {"code": code, "report": json.loads(out.getvalue())["result"]}


CODED = ["--format", "YU12", "--fps", "25", "--encode", "vicodec", "--decode", "vicodec"]


@CONTEXTS
def test_a_camera_is_coded_and_decoded_without_a_copy(module: RemoteBoard, context: str) -> None:
    arguments = [*CODED, "--frames", "60"]
    got = module.call(stream, context=context, arguments=arguments)
    report = got["report"]
    assert got["code"] == 0, report
    assert (report["frames"], report["errors"]) == (60, 0)
    assert report["bytes_copied_by_cpu"] == 0
    assert report["formats"] == ["640x480 YU12", "640x480 FWHT", "640x480 YU12"]
    assert report["psnr"]["compared"] == 6 and report["psnr"]["worst"] > 30
    for link, reads in ((0, True), (1, True), (2, False)):
        chunks = [it for it in report["chunks"] if it["link"] == link]
        assert len(chunks) == 4
        for chunk in chunks:
            assert (chunk["verdict"], chunk["agree"]) == ("CONTIGUOUS", True)
            assert chunk["samples"] == chunk["changes"] == 2
            assert chunk["reads"] == (2 if reads else 0)
            assert chunk["maps"] > 0 and chunk["proven"]
            assert chunk["same_place"] is True


def run_unmapped(context: str, frames: int) -> dict[str, Any]:
    """Run a pipeline and look whether this process has any of its buffers mapped meanwhile."""
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.camera import Camera
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find, find_decoder, find_encoder
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.pipeline import Pipeline

    def mapped() -> int:
        with open("/proc/self/maps") as maps:
            return sum("dmabuf" in line for line in maps)

    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        camera, coder, decoding = (
            stack.enter_context(VideoDevice(path))
            for path in (find("vivid"), find_encoder("vicodec"), find_decoder("vicodec", "FWHT"))
        )
        source = stack.enter_context(Camera(camera, pool, size=(640, 480), format="YU12", fps=25))
        encoder = stack.enter_context(Encoder(coder, pool, format=source.format))
        decoder = stack.enter_context(Decoder(decoding, pool, format=encoder.output))
        seen = [mapped() for _ in Pipeline(source, [encoder, decoder]).run(frames)]
        with source.buffers[0][0].cpu_access("r"):
            control = mapped()
        return {"mapped": seen, "control": control}


def test_the_agent_cannot_copy_what_it_has_not_mapped(module: RemoteBoard) -> None:
    got = module.call(run_unmapped, context="shared", frames=20)
    assert got["mapped"] == [0] * 20
    assert got["control"] == 1, "a mapping would have been seen"


def keep_stream(context: str, path: str) -> dict[str, Any]:
    """Have a stream and two pictures kept, and read them."""
    import contextlib
    import io
    import json
    import os

    from cm_agent.cli import main
    from PIL import Image, ImageChops, ImageStat

    names = [f"{path}.fwht", f"{path}-source.png", f"{path}-decoded.png"]
    words = ["--size", "640x480", "--format", "YU12", "--fps", "25"]
    words += ["--frames", "12", "--encode", "vicodec", "--decode", "vicodec", "--json"]
    words += ["--write", names[0], "--save-source", names[1], "--save", names[2]]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["stream", "vivid", context, *words])
    with open(names[0], "rb") as file:
        data = file.read()
    with Image.open(names[1]) as source, Image.open(names[2]) as decoded:
        apart = ImageStat.Stat(ImageChops.difference(source, decoded)).mean
        size = [source.size, decoded.size]
        bars = [source.getpixel((x, 400)) for x in range(40, 640, 80)]
    for name in names:
        os.unlink(name)
    return {
        "code": code,
        "report": json.loads(out.getvalue())["result"],
        "bytes": len(data),
        "headers": data.count(bytes.fromhex("4f4f4f4fffffffff")),
        "begin": data[:8].hex(),
        "apart": apart,
        "size": size,
        "bars": bars,
    }


def test_stream_and_pictures_are_kept(module: RemoteBoard) -> None:
    got = module.call(keep_stream, context="shared", path="/tmp/kept")
    assert got["code"] == 0, got["report"]
    assert got["report"]["written"]["bytes"] == got["bytes"]
    assert (got["begin"], got["headers"]) == (HEADER.hex(), 12)
    assert got["size"] == [(640, 480)] * 2
    assert max(got["apart"]) < 5, "the decoded picture shows what the camera's does"
    full = 191
    drawn = [(r, g, b) for g in (full, 0) for r in (full, 0) for b in (full, 0)]
    for seen, bar in zip(got["bars"], drawn, strict=True):
        assert all(abs(a - b) <= 8 for a, b in zip(seen, bar, strict=True)), got["bars"]
    assert got["report"]["bytes_copied_by_cpu"] == 2 * FRAME, "what saving two pictures costs"


def run_twice(context: str, frames: int) -> dict[str, Any]:
    """Record a moving picture, then code and decode it with its chunks in place and moving."""
    import hashlib
    from collections import deque
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.selftest.compaction_stress import CompactionStress
    from cm_agent.video.camera import Camera
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.format import Filled, Payload
    from cm_agent.video.frame import Counters, Frame
    from cm_agent.video.pipeline import Pipeline, Watcher

    class Digests(Watcher):
        def __init__(self) -> None:
            self.digests = [hashlib.sha256() for _ in range(3)]
            self.maps: list[list[int]] = [[], [], []]
            self.places: list[set[int]] = [set(), set(), set()]

        def filled(self, link: int, frame: Any) -> None:
            self.maps[link].append(pool.info(frame.buffer).maps)
            self.places[link].add(pool.attest(frame.buffer).runs[0].address)
            with frame.buffer.cpu_access("r") as view:
                self.digests[link].update(view[: frame.bytes_used])

    class Recording:
        """The images, each in chunks of its own, as a pipeline's source."""

        device, awaits_frames = None, False

        def __init__(self, idle: list[Any], shape: Any) -> None:
            self.idle, self.shape, self.left = idle, shape, deque(range(frames))

        def start(self) -> None:
            pass

        def take(self) -> Any:
            if not self.idle:
                return None
            planes, number = self.idle.pop(0), self.left.popleft()
            with planes[0].cpu_access("w") as view:
                view[:460_800] = images[number * 460_800 :][:460_800]
            filled = Filled(0, (Payload(460_800, 0),), number, (number + 1) * 40_000_000, False)
            return Frame(planes, filled, self.shape, Counters(), self)

        def take_back(self, planes: Any) -> None:
            self.idle.append(planes)

    def record() -> bytes:
        with VideoDevice(find("vivid")) as camera:
            camera.controls["horizontal_movement"] = "Move Right Fast"
            with Camera(camera, pool, size=(640, 480), format="YU12", fps=25) as capture:
                images = b"".join(frame.copy() for frame in capture.frames(frames))
            camera.controls["horizontal_movement"] = "No Movement"
        return images

    def run(moving: bool) -> dict[str, Any]:
        count, extra = (1, 1) if moving else (4, 0)
        with ExitStack() as stack:
            chunks = {"inputs": count, "buffers": count, "extra": extra}
            shape = {"size": (640, 480), "format": "YU12"}
            encoder = stack.enter_context(Encoder("vicodec", pool, **shape, **chunks))
            # A driver may have taken more numbers than it was asked to: 7.2 takes two.
            feeds = encoder.output_buffers.free + extra
            own = [(stack.enter_context(pool.alloc(460_800)),) for _ in range(feeds)]
            source = Recording(own, encoder.input)
            coded = {"format": encoder.output, "to": "YU12"}
            decoder = stack.enter_context(Decoder("vicodec", pool, **coded, **chunks))
            mover, digests = CompactionStress(pool), Digests()
            watchers = [mover, digests] if moving else [digests]
            line = Pipeline(
                source, [encoder, decoder], window=1 if moving else None, watchers=watchers
            )
            results = sum(1 for _ in line.run(frames))
            return {
                "results": results,
                "digests": [it.hexdigest() for it in digests.digests],
                "maps": digests.maps,
                "places": [len(it) for it in digests.places],
                "moves": mover.moves,
                "moved_frames": mover.moved_frames,
            }

    with Context(context) as pool:
        images = record()
        before = pool.stats().moves
        still = run(moving=False)
        between = pool.stats().moves
        moved = run(moving=True)
        counted = [between - before, pool.stats().moves - between]
    return {
        "different": len({images[at : at + 460_800] for at in range(0, len(images), 460_800)}),
        "still": still,
        "moved": moved,
        "counted": counted,
    }


@CONTEXTS
def test_chunks_that_move_between_drivers_change_nothing(
    module: RemoteBoard, context: str, request: pytest.FixtureRequest
) -> None:
    # Chunks of 300 frames come to the end of a context of 64 MiB, and stay there.
    frames, moved_at_least = (300, 50) if request.config.getoption("--thorough") else (40, 20)
    got = module.call(run_twice, timeout=900, context=context, frames=frames)
    still, moved = got["still"], got["moved"]
    assert got["different"] == frames, "no two images are the same"
    assert still["results"] == moved["results"] == frames
    assert still["digests"] == moved["digests"], "source, stream and images, bit by bit"
    assert len(set(still["digests"])) == 3
    assert got["counted"] == [0, moved["moves"]], "the module counts them, too"
    assert moved["moved_frames"] >= moved_at_least, "many with an image in them"
    assert still["places"] == [4, 4, 4]
    assert all(places > 2 for places in moved["places"]), "chunks of every kind went places"
    handed_over = [maps for of_link in moved["maps"] for maps in of_link]
    assert set(handed_over) == {0}, "no driver has the chunk that is handed over"


def test_the_command_moves_chunks_on_their_way(module: RemoteBoard) -> None:
    arguments = [*CODED, "--frames", "20", "--compact", "--compare", "1"]
    got = module.call(stream, context="private", arguments=arguments)
    report = got["report"]
    assert got["code"] == 0, report
    assert report["moves"] >= report["moved_frames"] >= 10
    assert report["psnr"]["compared"] == 20 and report["psnr"]["worst"] > 30
    assert report["zero_copy"] and report["bytes_copied_by_cpu"] == 0


def test_a_converter_passes_images_on_unchanged(module: RemoteBoard) -> None:
    arguments = ["--format", "RGB3", "--fps", "25", "--frames", "20", "--convert", "vim2m"]
    report = module.call(stream, context="shared", arguments=arguments)["report"]
    assert report["ok"] and report["zero_copy"], report
    assert report["psnr"]["compared"] == report["psnr"]["identical"] == 2


def test_four_devices_in_a_row(module: RemoteBoard) -> None:
    arguments = ["--format", "RGB3", "--frames", "6", "--convert", "vim2m", "--to", "BGR3"]
    arguments += ["--encode", "vicodec", "--decode", "vicodec"]
    report = module.call(stream, context="private", arguments=arguments)["report"]
    assert report["ok"], report
    formats = ["640x480 RGB3", "640x480 BGR3", "640x480 FWHT", "640x480 BGR3"]
    assert report["formats"] == formats
    assert "RGB3 and in 640x480 BGR3 cannot be compared" in report["psnr"]["why_not"]
    assert {it["link"] for it in report["chunks"]} == {0, 1, 2, 3}


def refusals(context: str) -> dict[str, list[Any]]:
    """Ask for lines of devices that cannot be, and take what is said."""
    import contextlib
    import io

    from cm_agent.cli import main

    said = {}
    for name, words in {
        "encoder": ["--encode", "vim2m"],
        "decoder": ["--encode", "vicodec", "--decode", "vim2m"],
        "format": ["--format", "NV16", "--convert", "vim2m"],
        "size": ["--size", "320x180", "--encode", "vicodec"],
        "compare": [
            "--format", "RGB3", "--convert", "vim2m", "--to", "BGR3", "--compare", "1",
        ],
    }.items():  # fmt: skip
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            code = main(["stream", "vivid", context, "--frames", "3", *words])
        said[name] = [code, err.getvalue()]
    return said


def test_devices_that_do_not_fit_are_refused_with_the_reason(module: RemoteBoard) -> None:
    said = module.call(refusals, context="shared")
    assert said["encoder"][0] == 2
    assert "--encode: vim2m: no encoder of that name or driver" in said["encoder"][1]
    assert "--decode: vim2m: no decoder of FWHT of that name or driver" in said["decoder"][1]
    assert said["format"][0] == 1 and "its pixel formats are" in said["format"][1]
    assert "asked for 320x180" in said["size"][1] and "nearest it offers is 640x" in said["size"][1]
    assert said["compare"][0] == 2 and "--compare: images in " in said["compare"][1]


def stop_midway(context: str, how: str) -> dict[str, Any]:
    import os
    import signal
    import time
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.camera import Camera
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find, find_decoder, find_encoder
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.pipeline import Pipeline

    def begin(stack: ExitStack) -> Any:
        own = stack.enter_context(Context(context))
        camera, coder, decoding = (
            stack.enter_context(VideoDevice(path))
            for path in (find("vivid"), find_encoder("vicodec"), find_decoder("vicodec", "FWHT"))
        )
        source = stack.enter_context(Camera(camera, own, size=(640, 480), format="YU12", fps=25))
        encoder = stack.enter_context(Encoder(coder, own, format=source.format))
        decoder = stack.enter_context(Decoder(decoding, own, format=encoder.output))
        results = Pipeline(source, [encoder, decoder]).run(1000)
        stack.callback(results.close)
        next(results)
        return next(results)

    with Context(context) as pool:
        before = pool.query().chunks
        if how == "leave":
            with ExitStack() as stack:
                begin(stack)
                during = pool.query()
        else:
            ready, tell = os.pipe()
            child = os.fork()
            if not child:
                try:
                    with ExitStack() as stack:
                        kept = begin(stack)
                        os.write(tell, b"1" if kept else b"0")
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
@pytest.mark.parametrize("how", ["leave", "kill"])
def test_stopping_midway_leaves_no_mapping_and_no_chunk(
    module: RemoteBoard, context: str, how: str
) -> None:
    got = module.call(stop_midway, context=context, how=how)
    assert got["during"] == 12 and got["pinned"] > 0
    assert (got["after"], got["pinned_after"]) == (0, 0)
