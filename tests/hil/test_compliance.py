# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""v4l2-compliance of Debian's v4l-utils, whose dma-bufs are chunks of ours, on three drivers.

It knows no exporters but V4L2 devices: `--expbuf-device` names one that allocates and exports. That
is a second vivid here, and exporter.c, which is preloaded, puts a chunk in the place of each buffer
that it exports. So every test of VIDIOC_EXPBUF and of streaming by DMABUF runs on chunks.

A stateful decoder is left out: for one, v4l2-compliance wants a recorded stream.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from boards import board as descriptions
from boards import toolchain
from boards.board import PROJECT
from boards.remote import RemoteBoard

pytestmark = [
    pytest.mark.lg_feature("emulated"),
    pytest.mark.lg_feature("v4l2-compliance"),
    pytest.mark.lg_feature("vivid"),
    pytest.mark.lg_feature("vim2m"),
    pytest.mark.lg_feature("vicodec"),
]

SOURCE = PROJECT / "tests/hil/exporter.c"
BUILT = PROJECT / "build/exporter/cm-exporter.so"
PRELOADED = "/tmp/cm-exporter.so"
# An input is a test of its own: the webcam is enough. The second one is the exporter.
VIVID = "n_devs=2 node_types=0x1,0x1 allocators=1,0 multiplanar=1,1 num_inputs=1,1 input_types=0,0"
EXPORTER = "vivid-001-vid-cap"
LARGEST = "width=1280,height=720,pixelformat=RGB3"
FRAMES = 3
DISAGREE = {"vivid-000-vid-cap": {"test VIDIOC_G/S/ENUMINPUT: FAIL"}}
"""Where v4l2-compliance 1.30.1 and a driver of 6.12 do not agree, with buffers of ours or without:
it expects other dimensions of vivid's control "Pixel Array"."""


def build(board: str) -> None:
    """Build the library for a board by the compiler of its suite."""
    description = descriptions.read(board)
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    words = ["-shared", "-fPIC", "-Os", "-Wall", "-Wextra", "-Werror"]
    words += [f"-I{PROJECT}/kmod/include/uapi", "-o", str(BUILT), str(SOURCE)]
    toolchain.compile(description.suite, description.architecture, words)


@pytest.fixture(scope="module")
def node_of(board: RemoteBoard) -> Iterator[Callable[[str], str]]:
    """The drivers, loaded, and a function that finds the node of a device by its name."""
    build(board.name)
    board.need("module").put(BUILT, PRELOADED)
    board.check(f"modprobe vivid {VIVID} && modprobe vim2m && modprobe vicodec && udevadm settle")
    listed = board.check("cd /sys/class/video4linux && grep . */name").splitlines()
    nodes = {
        name: f"/dev/{path.split('/')[0]}" for path, _, name in (it.partition(":") for it in listed)
    }
    board.check(f"v4l2-ctl -d {nodes[EXPORTER]} --set-fmt-video={LARGEST}")
    yield nodes.__getitem__
    board.check("modprobe -r vivid vim2m vicodec")


@pytest.mark.parametrize(
    ("device", "context"),
    [("vivid-000-vid-cap", "shared"), ("vim2m", "private"), ("stateful-encoder", "shared")],
)
def test_a_driver_complies_with_dma_bufs_of_ours(
    module: RemoteBoard,
    node_of: Callable[[str], str],
    record_property: Callable[[str, Any], None],
    device: str,
    context: str,
) -> None:
    before = allocated(module, context)
    said = module.run(
        f"CM_CONTEXT=/dev/cm/{context} LD_PRELOAD={PRELOADED}"
        f" v4l2-compliance -d {node_of(device)} -e {node_of(EXPORTER)} -s{FRAMES} 2>&1",
        timeout=300,
    )
    lines = [line.strip() for line in re.split(r"[\r\n]+", said.stdout)]
    (total,) = [line for line in lines if line.startswith("Total for ")]
    record_property("figure", f"v4l2-compliance, chunks of {context}: {total}")
    failed = {line for line in lines if line.endswith(": FAIL")}
    assert failed <= DISAGREE.get(device, set()), "\n".join(
        it for it in lines if "fail" in it.lower()
    )
    streamed = [line for line in lines if line.startswith("test DMABUF ")]
    assert streamed and all(line.endswith(": OK") for line in streamed), streamed
    assert allocated(module, context) - before >= len(streamed), "chunks were what it streamed"


def allocated(module: RemoteBoard, context: str) -> int:
    """Return how many chunks a context has given so far."""
    return int(module.check(f"cat /sys/class/cm/{context}/successes"))
