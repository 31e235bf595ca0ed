# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Debian's GStreamer reads our chunks where a camera put them: agent/examples on the board.

What a pipeline saves is compared with what the frames of these times were (numbered.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

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

PROGRAMS = (PROJECT / "agent/examples/gstreamer_appsrc.py", PROJECT / "tests/hil/numbered.py")
EXAMPLE, NUMBERED = (f"python3 /tmp/{path.name}" for path in PROGRAMS)
PICTURES = "/tmp/pictures"
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
    for program in PROGRAMS:
        board.put(program, f"/tmp/{program.name}")
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


@pytest.fixture
def pictures(module: RemoteBoard) -> Iterator[None]:
    """Have a folder for what pipelines save."""
    module.check(f"mkdir {PICTURES}")
    yield
    module.check(f"rm -r {PICTURES}")


def run(module: RemoteBoard, context: str, pipeline: str, frames: int) -> str:
    """Stream through a pipeline; return what the example says of it."""
    command = f"{EXAMPLE} vivid {context} '{pipeline}' --frames {frames}"
    return module.check(command, timeout=180)


def save(name: str) -> str:
    """Return a sink that saves what it gets."""
    return f"multifilesink name={name} location={PICTURES}/{name}-%03d.raw"


def numbered(pipeline: str, *options: str) -> str:
    """Return the command for a camera whose images show their number, into a pipeline."""
    words = [NUMBERED, "/tmp/gstreamer_appsrc.py", "vivid shared", f"'{pipeline}'", *options]
    return " ".join([*words, "--size 320 180"])


def film(module: RemoteBoard, pipeline: str, frames: int, *options: str) -> dict[str, Any]:
    """Have a pipeline save pictures; return which it saved, and what it left."""
    command = numbered(pipeline, f"--frames {frames}", *options)
    return read(module.check(command, timeout=180))


def read(output: str) -> dict[str, Any]:
    """Return what was seen, after it is known that nothing stays lent or allocated."""
    seen: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert (seen["lent"], seen["same"]) == (0, True), seen
    return seen


def saved(seen: dict[str, Any], sink: str) -> list[int]:
    """Return the numbers of saved pictures, after it is known that each shows its own."""
    assert seen["error"] is None, seen
    for due, shown in seen["pictures"][sink]:
        assert shown == [due], f"{sink}: the picture of frame {due} shows {shown}; {seen}"
    return [due for due, _ in seen["pictures"][sink]]


@pytest.mark.parametrize("context", ["shared", "private"])
def test_images_go_through_an_element_that_imports_them(
    module: RemoteBoard, context: str, mapped: Callable[[], int]
) -> None:
    assert "bytes_copied=0)" in run(module, context, CONVERT, 30)
    assert mapped() == 30, "each image was read where the camera had put it"


def test_an_element_that_does_not_import_is_found_out(
    module: RemoteBoard, mapped: Callable[[], int]
) -> None:
    run(module, "shared", CONVERT.replace("dmabuf-import", "mmap"), 5)
    assert mapped() == 0


SLOW = f"queue max-size-buffers=50 ! identity sleep-time=150000 ! {save('slow')}"
FAST = f"queue max-size-buffers=50 ! videoconvert ! {save('fast')}"


@pytest.mark.parametrize("branches", [(SLOW, FAST), (FAST, SLOW)], ids=["slow-fast", "fast-slow"])
def test_a_slow_branch_of_a_tee_keeps_its_images(
    module: RemoteBoard, pictures: None, branches: tuple[str, str]
) -> None:
    seen = film(module, "tee name=tee ! {} tee. ! {}".format(*branches), 20)
    assert saved(seen, "slow") == saved(seen, "fast") == list(range(20))


def test_a_branch_that_imports_leaves_the_other_its_images(
    module: RemoteBoard, pictures: None
) -> None:
    imports = CONVERT.replace("fakesink", save("converted"))
    seen = film(module, f"tee name=tee ! queue ! {imports} tee. ! {SLOW}", 20)
    assert saved(seen, "slow") == saved(seen, "converted") == list(range(20))


@pytest.mark.parametrize("leaky", ["upstream", "downstream"])
def test_a_queue_that_drops_images_gives_them_back(
    module: RemoteBoard, pictures: None, leaky: str
) -> None:
    queue = f"queue leaky={leaky} max-size-buffers=2 ! identity sleep-time=150000"
    kept = saved(film(module, f"{queue} ! {save('kept')}", 30), "kept")
    assert 2 < len(kept) < 30, kept


def test_images_that_a_lower_rate_leaves_out_are_given_back(
    module: RemoteBoard, pictures: None
) -> None:
    rate = "videorate drop-only=true ! video/x-raw,framerate=5/1"
    pipeline = f"queue leaky=downstream max-size-buffers=2 ! {rate} ! {save('kept')}"
    kept = saved(film(module, pipeline, 30), "kept")
    assert 2 < len(kept) < 30, kept


def test_an_encoder_codes_the_image_of_its_time(module: RemoteBoard, pictures: None) -> None:
    coded = "jpegenc quality=100 ! jpegdec ! videoconvert ! video/x-raw,format=GRAY8"
    pipeline = f"queue max-size-buffers=50 ! identity sleep-time=150000 ! {coded} ! {save('coded')}"
    assert saved(film(module, pipeline, 20), "coded") == list(range(20))


def test_ctrl_c_ends_the_pipeline_after_what_it_has(module: RemoteBoard, pictures: None) -> None:
    until = f"until [ -e {PICTURES}/slow-005.raw ]; do sleep 0.1; done"
    command = f"{numbered(SLOW)} & timeout 100 sh -c '{until}'; kill -INT $!; wait $!"
    kept = saved(read(module.check(command, timeout=180)), "slow")
    assert kept == list(range(len(kept))) and len(kept) > 5


def test_a_pipeline_that_keeps_all_chunks_is_reported(module: RemoteBoard) -> None:
    seen = film(module, "queue min-threshold-buffers=20 ! fakesink", 30, "--buffers 4")
    assert "all 4 buffers are with their readers" in seen["error"]


def test_a_pipeline_that_cannot_be_says_why_and_keeps_nothing(module: RemoteBoard) -> None:
    wrong = CONVERT.replace("BGR ", "NV12_64Z32 ")
    got = module.run(f"{EXAMPLE} vivid shared '{wrong}' --frames 5")
    assert got.code != 0 and "v4l2convert0 can't handle caps" in got.stderr
