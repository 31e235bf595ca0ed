# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The examples that need nothing but a camera: a program in C, and a buffer in two processes.

Those in Python are run as they are installed; the one in C is built here. The others are run by
test_programs.py and test_gstreamer.py, where what they need is brought to the board.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards import stage, toolchain
from boards.board import PROJECT
from boards.remote import RemoteBoard

pytestmark = [pytest.mark.two_kernels, pytest.mark.lg_feature("vivid")]
CAPTURE = PROJECT / "agent/examples/capture.c"
PROGRAM, PICTURE = "/var/tmp/cm-capture", "/var/tmp/cm-capture.raw"
SHARE = f"/{stage.DOCUMENTS}/examples/share_buffer.py"
ARCHITECTURES = {"aarch64": "arm64", "armv7l": "armhf"}
CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
SIZE = (320, 180)


@pytest.fixture(scope="module", autouse=True)
def camera(board: RemoteBoard) -> Iterator[None]:
    """A camera with its format set, and capture.c built for the board."""
    board.need("module")
    architecture = ARCHITECTURES[board.check("uname -m").strip()]
    built = PROJECT / f"build/capture/{architecture}"
    built.parent.mkdir(parents=True, exist_ok=True)
    words = ["-static", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{PROJECT / 'kmod/include/uapi'}"]
    toolchain.compile("trixie", architecture, [*words, "-o", str(built), str(CAPTURE)])
    board.put(built, PROGRAM)
    board.check(f"chmod 755 {PROGRAM}")
    board.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1 multiplanar=1")
    board.check("udevadm settle")
    yield
    board.check(f"modprobe -r vivid && rm -f {PROGRAM} {PICTURE}")


def node_of_camera(size: tuple[int, int]) -> str:
    """Set the camera's format, which it keeps, and return its node."""
    from cm_agent import video

    with video.Camera("vivid", "shared", size=size, format="RGB3") as camera:
        return str(camera.device.path)


def rows_below_the_text(path: str) -> tuple[int, bytes, bytes]:
    """Return the bytes of a picture in a file, its last row, and that of the camera's next frame.

    vivid writes the time over the rows above.
    """
    from pathlib import Path

    from cm_agent import video

    picture = Path(path).read_bytes()
    with video.Camera("vivid", "private") as camera, camera.frame() as frame:
        row = camera.format.planes[0].stride
        return len(picture), picture[-row:], frame.copy()[-row:]


@CONTEXTS
def test_a_c_program_has_a_camera_fill_chunks(module: RemoteBoard, context: str) -> None:
    node = module.call(node_of_camera, size=SIZE)
    module.check(f"{PROGRAM} {node} /dev/cm/{context} >{PICTURE}")
    length, last, expected = module.call(rows_below_the_text, path=PICTURE)
    assert length == SIZE[0] * SIZE[1] * 3
    assert last == expected and len(set(last)) > 1


def capture_in_a_full_context(program: str, node: str, free: int) -> tuple[str, int]:
    """Run it while so many bytes of a context are free; return its error, and the reason FULL."""
    import subprocess

    from cm_agent import Context
    from cm_agent.core.uapi import Reason

    with Context("private") as pool, pool.alloc(pool.query().free - free):
        words = [program, node, "/dev/cm/private"]
        done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and not done.stdout, done
    return done.stderr, Reason.FULL.value


def test_a_c_programs_error_has_reason_and_free_bytes(module: RemoteBoard) -> None:
    node = module.call(node_of_camera, size=SIZE)
    said, reason = module.call(capture_in_a_full_context, program=PROGRAM, node=node, free=1 << 16)
    wanted = f"chunk of {SIZE[0] * SIZE[1] * 3} bytes: enum cm_reason {reason}, "
    assert wanted + "65536 free, largest hole 65536: Cannot allocate memory" in said


@pytest.mark.parametrize(
    "words, error",
    [
        ("{node} >/dev/null", "usage: capture CAMERA CONTEXT >FILE"),
        ("{node} /dev/cm/nosuch", "/dev/cm/nosuch: No such file or directory"),
        ("/dev/null /dev/cm/shared", "VIDIOC_G_FMT of one plane: Inappropriate ioctl for device"),
        ("{node} /dev/null", "enum cm_reason 0, 0 free, largest hole 0: Inappropriate ioctl"),
        ("{node} /dev/cm/shared >/dev/full", "stdout: No space left on device"),
    ],
)
def test_a_c_program_says_what_failed(module: RemoteBoard, words: str, error: str) -> None:
    node = module.call(node_of_camera, size=SIZE)
    done = module.run(f"{PROGRAM} {words.format(node=node)}")
    assert done.code != 0 and error in done.stderr


def share(program: str, giver: str, taker: str) -> dict[str, Any]:
    """Start two processes, one after the other, each in a context; return how they ended."""
    import re
    import subprocess
    import time
    from pathlib import Path

    path, pipes = Path("/tmp/cm-buffer.sock"), {"stdout": -1, "stderr": -1, "text": True}
    giving = subprocess.Popen(["python3", program, "give", giver, str(path)], **pipes)
    listens = f" 00010000 .* {path}$"
    while giving.poll() is None:
        if re.search(listens, Path("/proc/net/unix").read_text(), re.MULTILINE):
            break
        time.sleep(0.05)
    taking = subprocess.Popen(["python3", program, "take", taker, str(path)], **pipes)
    ends = {}
    for name, process in (("give", giving), ("take", taking)):
        said, error = process.communicate(timeout=60)
        ends[name] = (process.pid, process.returncode, said, error)
    return ends | {"socket": path.exists()}


@CONTEXTS
def test_two_processes_read_what_the_other_wrote(module: RemoteBoard, context: str) -> None:
    got = module.call(share, program=SHARE, giver=context, taker=context)
    (asker, *gave), (answerer, *took) = got["give"], got["take"]
    assert took == [0, f"who are you? asks process {asker}\n", ""]
    assert gave[0] == 0 and gave[2] == "" and gave[1].startswith(f"process {answerer}, with chunk ")
    assert not got["socket"]


def test_a_buffer_of_another_context_is_refused(module: RemoteBoard) -> None:
    got = module.call(share, program=SHARE, giver="shared", taker="private")
    assert "is no chunk of context 'private' but of context 'shared'" in got["take"][3]
    assert got["give"][1:] == (0, "the other process wrote nothing\n", "") and not got["socket"]
