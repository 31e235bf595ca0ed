# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A Samsung Exynos' display shows our chunk: imported by DRM, scanned out by FIMD.

The driver is Linux' exynosdrm with the parallel output added that Debian leaves out
(tests/boards/kerneldriver.py), the controller QEMU's model of FIMD. QEMU updates it, and raises its
interrupt, only when somebody looks: so a thread here does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from boards import toolchain
from boards.board import PROJECT
from hil.scene import PIXEL, Ask, picture, screen, serve

pytestmark = [
    pytest.mark.lg_feature("exynos-drm"),
    # The driver waits 100 ms for an interrupt that comes when this machine has time to look.
    pytest.mark.kernel_log("drm_atomic_helper", "vblank wait timed out"),
]
CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
WIDTH, HEIGHT = 320, 180
SIZE = WIDTH * HEIGHT * PIXEL
SOURCE = PROJECT / "tests/hil/display.c"
PROGRAM = "/var/tmp/cm-display"
REFRESH_SECONDS = 0.005


@pytest.fixture
def card(module: Any) -> Iterator[str]:
    """The display's node, and on the board the program that shows a dma-buf."""
    built = PROJECT / "build/display/armhf"
    built.parent.mkdir(parents=True, exist_ok=True)
    words = ["-static", "-Os", "-Wall", "-Wextra", "-Werror"]
    toolchain.compile("trixie", "armhf", [*words, "-o", str(built), str(SOURCE)])
    module.put(built, PROGRAM)
    module.check(f"chmod 755 {PROGRAM} && modprobe exynosdrm_dpi && udevadm settle")
    yield "/dev/dri/card0"
    module.check(f"modprobe -r exynosdrm_dpi && rm {PROGRAM}")


@contextmanager
def scene(board: Any, context: str, scratch: Path) -> Iterator[Ask]:
    """What does as told in a context of the board, while somebody looks at its display."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(REFRESH_SECONDS):
            board.strategy.power.emulator.screen(scratch / "look")

    with ThreadPoolExecutor(1) as executor:
        looking = executor.submit(look)
        try:
            with board.talk(serve, context=context) as ask:
                yield ask
        finally:
            ended.set()
        looking.result()


@CONTEXTS
def test_the_picture_on_the_display_is_the_chunks(
    module: Any, card: str, context: str, tmp_path: Path
) -> None:
    with scene(module, context, tmp_path) as ask:
        ask("alloc", "picture", SIZE)
        pixels = os.urandom(SIZE)
        ask("write", "picture", 0, pixels)
        assert ask("show", card, "picture", WIDTH, HEIGHT, PROGRAM) == "shown"
        assert screen(module, tmp_path / "screen") == picture(pixels, WIDTH, HEIGHT)


@CONTEXTS
def test_a_shown_chunk_stays_when_others_are_moved(
    module: Any, card: str, context: str, tmp_path: Path
) -> None:
    with scene(module, context, tmp_path) as ask:
        ask("alloc", "below", 1 << 20)
        ask("alloc", "picture", SIZE)
        ask("alloc", "moved", 512 << 10)
        pixels = os.urandom(SIZE)
        ask("write", "picture", 0, pixels)
        assert ask("show", card, "picture", WIDTH, HEIGHT, PROGRAM) == "shown"
        ask("close", "below")
        assert ask("compact") > 0
        assert screen(module, tmp_path / "screen") == picture(pixels, WIDTH, HEIGHT)


@CONTEXTS
@pytest.mark.lg_feature("vivid")
def test_a_cameras_frame_is_shown_without_a_copy(
    vivid: Any, card: str, context: str, tmp_path: Path
) -> None:
    """Camera, chunk, display."""
    with scene(vivid, context, tmp_path) as ask:
        ask("alloc", "frame", SIZE)
        ask("film", "frame", WIDTH, HEIGHT)
        assert ask("show", card, "frame", WIDTH, HEIGHT, PROGRAM) == "shown"
        shown, frame = screen(vivid, tmp_path / "screen"), ask("read", "frame", 0, SIZE)
    assert len(set(frame)) > 1
    assert shown == picture(frame, WIDTH, HEIGHT)
