# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Debian's GStreamer reads our chunks where a camera put them: agent/examples on the board."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from boards import board as descriptions
from boards import bundle
from boards.board import PROJECT
from boards.remote import RemoteBoard
from boards.tracing import trace_buffer

pytestmark = [
    pytest.mark.lg_feature("gstreamer"),
    pytest.mark.lg_feature("vivid"),
    pytest.mark.lg_feature("vim2m"),
]

EXAMPLE = PROJECT / "agent/examples/gstreamer_appsrc.py"
CONVERT = "v4l2convert output-io-mode=dmabuf-import ! video/x-raw,format=BGR ! fakesink"


@pytest.fixture(scope="module", autouse=True)
def drivers(board: RemoteBoard) -> Iterator[None]:
    """A camera, a converter, and GStreamer, which an emulated board comes without."""
    board.need("module")
    if board.strategy.power:
        archive = bundle.gstreamer(descriptions.read(board.name))
        board.put(archive, "/tmp/gstreamer.tar.gz")
        board.check("tar -C / --keep-directory-symlink -xzf /tmp/gstreamer.tar.gz")
        board.check("rm /tmp/gstreamer.tar.gz")
    board.put(EXAMPLE, "/tmp/gstreamer_appsrc.py")
    board.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1 multiplanar=1")
    board.check("modprobe vim2m && udevadm settle")
    yield
    board.check("modprobe -r vivid vim2m")


@pytest.fixture
def mapped(module: RemoteBoard) -> Iterator[Callable[[], int]]:
    """A function that tells how often vim2m mapped a dma-buf: vivid has another way to do it."""
    with trace_buffer(module) as path:
        module.check(f"echo vb2_vmalloc_map_dmabuf >{path}/set_ftrace_filter")
        module.check(f"echo function >{path}/current_tracer")
        yield lambda: int(module.check(f"grep -c vb2_vmalloc_map_dmabuf {path}/trace || true"))


def run(module: RemoteBoard, context: str, pipeline: str, frames: int) -> dict[str, int]:
    """Stream through a pipeline; return what the example says of it."""
    command = f"python3 /tmp/gstreamer_appsrc.py vivid {context} '{pipeline}' --frames {frames}"
    seen: dict[str, int] = json.loads(module.check(command, timeout=180).splitlines()[-1])
    return seen


@pytest.mark.parametrize("context", ["shared", "private"])
def test_images_go_through_an_element_that_imports_them(
    module: RemoteBoard, context: str, mapped: Callable[[], int]
) -> None:
    seen = run(module, context, CONVERT, 30)
    assert seen == {"frames": 30, "not_given_back": 0, "bytes_copied_by_cpu": 0}
    assert mapped() == 30, "each image was read where the camera had put it"


def test_an_element_that_does_not_import_is_found_out(
    module: RemoteBoard, mapped: Callable[[], int]
) -> None:
    run(module, "shared", CONVERT.replace("dmabuf-import", "mmap"), 5)
    assert mapped() == 0


def test_a_pipeline_that_cannot_be_says_why_and_keeps_nothing(module: RemoteBoard) -> None:
    wrong = CONVERT.replace("BGR ", "NV12_64Z32 ")
    got = module.run(f"python3 /tmp/gstreamer_appsrc.py vivid shared '{wrong}' --frames 5")
    assert got.code != 0 and "v4l2convert0 can't handle caps" in got.stderr
