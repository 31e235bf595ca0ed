# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A program of Debian's that allocates from dma-heaps gets its buffers from a context, unmodified.

libcamera looks for `linux,cma`, `reserved`, `system` and /dev/udmabuf, in this order. Its virtual
camera needs no hardware; its own compliance test captures from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards import board as descriptions
from boards import bundle
from boards.remote import RemoteBoard
from hil.test_heap import APPLY, EXAMPLE, RULES

pytestmark = pytest.mark.lg_feature("libcamera")
CONFIGURATION = "/usr/share/libcamera/pipeline/virtual/virtual.yaml"
CAMERA = """\
"Virtual0":
  supported_formats:
  - width: 640
    height: 480
    frame_rates:
    - 30
    - 60
  test_pattern: "bars"
  location: "CameraLocationFront"
  model: "Virtual Video Device"
"""
CAPTURE = "*.Capture/Viewfinder_8"
"""Eight images."""
BUFFERS = 4
"""As many as the virtual camera takes, however many images there will be."""
FRAME = 640 * 480 * 3 // 2
"""Bytes of an image in NV12, the virtual camera's only format."""


@pytest.fixture(scope="module")
def camera(board: RemoteBoard) -> Iterator[RemoteBoard]:
    """The board with libcamera, which an emulated one comes without, and a virtual camera."""
    board.need("module")
    if board.strategy.power:
        archive = bundle.libcamera(descriptions.read(board.name))
        board.put(archive, "/tmp/libcamera.tar.gz")
        board.check("tar -C / --keep-directory-symlink -xzf /tmp/libcamera.tar.gz")
        board.check("rm /tmp/libcamera.tar.gz")
    board.check(f"mkdir -p $(dirname {CONFIGURATION}) && cat >{CONFIGURATION} <<'END'\n{CAMERA}END")
    yield board
    board.check(f"rm {CONFIGURATION}")


@pytest.fixture
def heap(camera: RemoteBoard) -> Iterator[RemoteBoard]:
    """The board whose context `shared` has the names that the example gives it."""
    camera.check(f"mkdir -p $(dirname {RULES})")
    camera.put(EXAMPLE, RULES)
    camera.check(APPLY)
    yield camera
    camera.check(f"rm {RULES} && {APPLY}")


def capture(context: str, tests: str) -> dict[str, Any]:
    """Run libcamera's compliance test; tell what it said, and whose chunks there were meanwhile."""
    import subprocess
    import tempfile

    from cm_agent.core.context import Context

    words = ["lc-compliance", "--camera", "Virtual0", "--filter", tests]
    with Context(context) as pool, tempfile.TemporaryFile() as output:
        before, seen = pool.stats(), []
        with subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT) as child:
            while child.poll() is None:
                seen.append([it for it in pool.layout() if it.pid == child.pid])
        after = pool.stats()
        output.seek(0)
        most = max(seen, key=len)
        return {
            "said": output.read().decode(errors="replace"),
            "code": child.returncode,
            "chunks": [[it.comm, it.size] for it in most],
            "attempts": after.attempts - before.attempts,
            "successes": after.successes - before.successes,
            "left": pool.query().chunks,
        }


def test_libcamera_captures_into_chunks_of_the_context(
    module: Any, heap: RemoteBoard, page_size: int
) -> None:
    told = heap.call(capture, context="shared", tests=CAPTURE)
    assert told["code"] == 0 and "[  PASSED  ] 1 test." in told["said"], told["said"]
    size = -(-FRAME // page_size) * page_size
    assert told["chunks"] == [["lc-compliance", size]] * BUFFERS
    assert told["attempts"] == told["successes"] == BUFFERS
    assert told["left"] == 0


def test_libcamera_has_no_buffers_where_no_heap_has_a_name_that_it_knows(
    module: Any, camera: RemoteBoard
) -> None:
    """So what the test above saw was no other allocator's: /dev/udmabuf is put out of reach."""
    camera.check("if [ -e /dev/udmabuf ]; then mv /dev/udmabuf /dev/udmabuf.away; fi")
    told = camera.call(capture, context="shared", tests=CAPTURE)
    camera.check("if [ -e /dev/udmabuf.away ]; then mv /dev/udmabuf.away /dev/udmabuf; fi")
    assert told["code"] != 0 and told["attempts"] == 0, told["said"]
