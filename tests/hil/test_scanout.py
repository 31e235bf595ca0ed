# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A display reads our chunk: QEMU's ramfb scans a picture out of memory, at a physical address.

The CPU's part ends with the address. QEMU's `screendump` writes what the display shows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hil.scene import PIXEL, Ask, picture, screen, serve, show

WIDTH, HEIGHT = 640, 360
SIZE = WIDTH * HEIGHT * PIXEL
pytestmark = [pytest.mark.two_kernels, pytest.mark.lg_feature("ramfb")]


@pytest.fixture(params=["shared", "private"])
def ask(module: Any, request: pytest.FixtureRequest) -> Iterator[Ask]:
    """What does as told in a context of the board."""
    with module.talk(serve, context=request.param) as asked:
        asked("alloc", "configuration", 4096)
        yield asked


def paint(ask: Ask, name: str) -> tuple[bytes, int]:
    """Allocate a picture like none before, paint it by the CPU, and pin it; tell where it is."""
    pixels = os.urandom(SIZE)
    ask("alloc", name, SIZE)
    ask("write", name, 0, pixels)
    return pixels, ask("pin", name)


def test_the_picture_on_the_display_is_the_chunks(module: Any, ask: Ask, tmp_path: Path) -> None:
    pixels, address = paint(ask, "picture")
    show(ask, "configuration", address, WIDTH, HEIGHT)
    assert screen(module, tmp_path / "screen") == picture(pixels, WIDTH, HEIGHT)


@pytest.mark.lg_feature("vivid")
def test_a_cameras_frame_is_shown_from_where_the_camera_left_it(
    vivid: Any, ask: Ask, tmp_path: Path
) -> None:
    ask("alloc", "frame", SIZE)
    ask("film", "frame", WIDTH, HEIGHT)
    show(ask, "configuration", ask("pin", "frame"), WIDTH, HEIGHT)
    shown, frame = screen(vivid, tmp_path / "screen"), ask("read", "frame", 0, SIZE)
    assert len(set(frame)) > 1
    assert shown == picture(frame, WIDTH, HEIGHT)


@pytest.mark.lg_feature("vivid")
@pytest.mark.lg_feature("vicodec")
def test_a_frame_is_shown_from_where_the_last_of_three_drivers_left_it(
    vivid: Any, ask: Ask, tmp_path: Path
) -> None:
    """Camera, encoder, decoder, display."""
    vivid.check("modprobe vicodec && udevadm settle")
    try:
        assert ask("code", "frame", WIDTH, HEIGHT) == 0, "no byte is copied by the CPU"
        show(ask, "configuration", ask("pin", "frame"), WIDTH, HEIGHT)
        shown, frame = screen(vivid, tmp_path / "screen"), ask("read", "frame", 0, SIZE)
    finally:
        ask("end")
        vivid.check("modprobe -r vicodec")
    assert len(set(frame)) > 1
    assert shown == picture(frame, WIDTH, HEIGHT)


def test_a_pinned_picture_stays_on_the_display_when_others_are_moved(
    module: Any, ask: Ask, tmp_path: Path
) -> None:
    ask("alloc", "below", 1 << 20)
    pixels, address = paint(ask, "picture")
    show(ask, "configuration", address, WIDTH, HEIGHT)
    ask("alloc", "moved", 512 << 10)
    ask("close", "below")
    assert ask("compact") > 0
    assert screen(module, tmp_path / "screen") == picture(pixels, WIDTH, HEIGHT)


def test_a_picture_that_is_not_pinned_moves_away_under_the_display(
    module: Any, ask: Ask, tmp_path: Path
) -> None:
    """The display goes on to show the old place: what somebody else has painted there by then."""
    ask("alloc", "below", 1 << 20)
    pixels, address = paint(ask, "picture")
    show(ask, "configuration", address, WIDTH, HEIGHT)
    ask("unpin", "picture")
    ask("close", "below")
    assert ask("compact") > 0
    assert ask("pin", "picture") < address
    size = ask("alloc", "above", ask("largest"))
    offset = address - ask("pin", "above")
    assert 0 <= offset <= size - SIZE
    others = os.urandom(SIZE)
    ask("write", "above", offset, others)
    assert screen(module, tmp_path / "screen") == picture(others, WIDTH, HEIGHT)
    assert ask("read", "picture", 0, SIZE) == pixels


@pytest.fixture
def scattering_vivid(module: Any) -> Iterator[Any]:
    """The board with a camera driver that allocates its buffers page by page."""
    module.check("modprobe vivid n_devs=1 node_types=0x1 allocators=0 multiplanar=1")
    yield module
    module.check("modprobe -r vivid")


@pytest.mark.lg_feature("vivid")
@pytest.mark.parametrize("ask", ["shared"], indirect=True)
def test_a_buffer_in_fragments_is_no_picture(
    scattering_vivid: Any, ask: Ask, tmp_path: Path
) -> None:
    """By this, a display tells one from a chunk: what follows the first fragment is another's."""
    runs = ask("scatter", "buffer", WIDTH, HEIGHT)
    assert len(runs) > 1
    pixels = os.urandom(SIZE)
    ask("write", "buffer", 0, pixels)
    address, length = runs[0]
    show(ask, "configuration", address, WIDTH, HEIGHT)
    shown, painted = screen(scattering_vivid, tmp_path / "screen"), picture(pixels, WIDTH, HEIGHT)
    first = (0, 0, min(WIDTH, length // PIXEL), 1)
    assert shown.crop(first) == painted.crop(first)
    assert shown != painted
