# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A camera in a few lines, in a loop that waits and in one of asyncio's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards.remote import RemoteBoard

pytestmark = [pytest.mark.two_kernels, pytest.mark.lg_feature("vivid")]


@pytest.fixture(scope="module", autouse=True)
def vivid(board: RemoteBoard) -> Iterator[None]:
    """A camera, and no service whose own probes count as chunks."""
    board.need("module")
    board.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1 multiplanar=1")
    board.check("udevadm settle")
    yield
    board.check("modprobe -r vivid")


def film(context: str, count: int) -> dict[str, Any]:
    """Take frames in a loop, leave another one half-way, and report what is left."""
    from itertools import pairwise

    from cm_agent import Context, video

    with Context(context) as pool:
        before = pool.query()
        with video.Camera("vivid", context, size=(320, 180), format="RGB3", fps=50) as camera:
            sequences = [frame.sequence for frame in camera.frames(count)]
            for frame in camera.frames():
                left = frame
                break
            given_back = not left
            with camera.frame() as frame:
                used = frame.bytes_used
            shape, rate = str(camera.format), camera.rate
        same = pool.query() == before
    steps = {later - one for one, later in pairwise(sequences)}
    told = {"frames": len(sequences), "steps": sorted(steps), "given_back": given_back}
    return told | {"used": used, "format": shape, "rate": rate, "same": same}


@pytest.mark.parametrize("context", ["shared", "private"])
def test_a_camera_is_opened_read_and_closed(module: RemoteBoard, context: str) -> None:
    got = module.call(film, context=context, count=20)
    assert (got["frames"], got["format"], got["rate"]) == (20, "320x180 RGB3", 50), got
    assert got["used"] == 320 * 180 * 3 and got["given_back"] and got["same"], got


def film_by_policy(config: str) -> list[str]:
    """Take a frame of the context that the policy says, and one without a rule."""
    from pathlib import Path

    from cm_agent import NoRuleError, video
    from cm_agent.config import settings

    found = []
    for text in ("[policy]\nmap = 'vivid=private'\n", "[policy]\nmap = 'other=shared'\n"):
        Path(config).write_text(text)
        settings.DEFAULT_PATH = Path(config)
        try:
            with video.Camera("vivid", size=(320, 180), format="RGB3") as camera:
                next(camera.frames())
                found.append(str(camera.chunks[0].context))
        except NoRuleError as error:
            found.append(str(error.strerror))
    return found


def test_without_a_context_the_policy_has_one(module: RemoteBoard) -> None:
    context, error = module.call(film_by_policy, config="/run/cm-camera.toml")
    assert context == "private" and "no rule of the policy matches device 'vivid'" in error


def film_asynchronously(context: str, count: int) -> dict[str, Any]:
    """Take frames by `async for` at 60 a second beside tasks that keep the loop busy."""
    import asyncio
    import time

    from cm_agent import video

    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            until = time.monotonic() + 0.003
            while time.monotonic() < until:
                pass
            turns += 1
            await asyncio.sleep(0)

    async def main() -> dict[str, Any]:
        tasks = [asyncio.create_task(work()) for _ in range(2)]
        settings = {"size": (320, 180), "format": "GREY", "fps": 60, "buffers": 8}
        with video.Camera("vivid", context, **settings) as camera:
            sequences = [frame.sequence async for frame in camera.frames(count)]
            dropped = camera.counters.dropped
            async for frame in camera.frames(1):
                last = frame
            kept = []
            try:
                async for frame in camera.frames(timeout=1):
                    kept.append(frame.dup())
            except video.VideoError as error:
                text = str(error)
            for frame in kept:
                frame.end()
            again = [frame.sequence async for frame in camera.frames(2)]
            buffers = len(camera.buffers)
        for task in tasks:
            task.cancel()
        lost = sequences[-1] - sequences[0] + 1 - count
        told = {"lost": lost, "dropped": dropped, "kept": len(kept), "buffers": buffers}
        return told | {"text": text, "given_back": not last, "again": len(again)}

    return asyncio.run(main()) | {"turns": turns}


def test_async_for_loses_no_frame_that_the_driver_did_not_drop(module: RemoteBoard) -> None:
    got = module.call(film_asynchronously, context="shared", count=120)
    assert got["lost"] <= got["dropped"] and got["turns"] > 100, got
    assert got["kept"] == got["buffers"] and "are with their readers" in got["text"], got
    assert got["given_back"] and got["again"] == 2, got
