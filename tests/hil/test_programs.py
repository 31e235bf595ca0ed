# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Three programs that users write first, of at most twelve lines each, and examples like them.

The examples are run as they are installed. Each program is what the function below holds, but for
what makes it a test: its name, its docstring, and what it returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from boards import board as descriptions
from boards import bundle, stage
from boards.remote import RemoteBoard

pytestmark = [
    pytest.mark.lg_feature("vivid"),
    pytest.mark.lg_feature("vicodec"),
    pytest.mark.lg_feature("numpy"),
    pytest.mark.lg_feature("opencv"),
    pytest.mark.lg_feature("pyav"),
]
LINES = 12
EXAMPLES = f"/{stage.DOCUMENTS}/examples"
PACKAGES, PATH_FILE = "/opt/packages", "/usr/lib/python3/dist-packages/packages.pth"


def look_there(folder: str) -> None:
    """Import from a folder, in a process that has begun already."""
    import sys

    sys.path.append(folder)


@pytest.fixture(scope="module", autouse=True)
def drivers(board: RemoteBoard) -> Iterator[None]:
    """A camera and a codec, and what the programs import."""
    board.need("module")
    if board.strategy.power:
        it = descriptions.read(board.name)
        wheels = bundle.wheels(it, "opencv-python-headless", "av")
        board.check(f"mount -o remount,size=80% / && mkdir -p {PACKAGES}")
        for archive, into in ((bundle.numpy(it), "/"), (wheels, PACKAGES)):
            board.put(archive, "/tmp/bundle.tar.gz")
            board.check(f"tar -C {into} --keep-directory-symlink -xzf /tmp/bundle.tar.gz")
            board.check("rm /tmp/bundle.tar.gz")
        board.check(f"echo {PACKAGES} > {PATH_FILE}")
        board.call(look_there, folder=PACKAGES)
    board.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1 multiplanar=1")
    board.check("modprobe vicodec && udevadm settle")
    yield
    board.check("modprobe -r vivid vicodec")
    if board.strategy.power:  # in a root of RAM, which other tests fill
        board.check(f"rm -r {PACKAGES} {PATH_FILE}")


def frames_to_opencv() -> Any:
    """Count edges in a camera's frames, which OpenCV reads where the camera has put them."""
    import cv2
    from cm_agent import video

    edges = []
    with video.Camera("vivid", "shared", size=(640, 360), format="YUYV", fps=30) as camera:
        for frame in camera.frames(10):
            with frame.array() as image:
                grey = cv2.cvtColor(image, cv2.COLOR_YUV2GRAY_YUYV)
            edges.append(cv2.countNonZero(cv2.Canny(grey, 50, 150)))
    return edges, camera.counters.bytes_copied


def buffer_to_another_process() -> Any:
    """Have another process write into a buffer, without a copy."""
    import multiprocessing
    import os

    from cm_agent import Context

    ours, theirs = multiprocessing.Pipe()
    with Context("shared") as pool, pool.alloc(1 << 20) as buffer:
        if not (child := os.fork()):
            with theirs.recv() as received, received.cpu_access("w") as view:
                view[:5] = b"hello"
            os._exit(0)
        ours.send(buffer)
        os.waitpid(child, 0)
        with buffer.cpu_access() as view:
            return view[:5].tobytes()


def images_to_encoder() -> Any:
    """Encode images of NumPy, and decode them again."""
    import numpy as np
    from cm_agent import video

    images = [np.full((480, 640), shade, np.uint8) for shade in range(0, 250, 10)]
    with video.Encoder("vicodec", "shared", size=(640, 480), format="GREY", keyframes=5) as encoder:
        packets = list(encoder.encode(images))
    means = []
    with video.Decoder("vicodec", "shared", format="FWHT", to="GREY") as decoder:
        for frame in decoder.decode(packets):
            with frame.array() as image:
                means.append(round(float(image.mean())))
    return means, sum(len(packet.data) for packet in packets)


PROGRAMS: list[Callable[[], Any]] = [
    frames_to_opencv,
    buffer_to_another_process,
    images_to_encoder,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_is_short(program: Callable[[], Any]) -> None:
    source = inspect.getsource(program).split('"""', 2)[2]
    lines = [line for line in source.splitlines() if line.strip()]
    assert len(lines) - 1 <= LINES, "but for what it returns"


def test_frames_are_read_by_opencv_where_they_are(module: RemoteBoard) -> None:
    edges, copied = module.call(frames_to_opencv)
    assert len(edges) == 10 and min(edges) > 1000 and copied == 0


def test_another_process_writes_into_a_buffer(module: RemoteBoard) -> None:
    assert module.call(buffer_to_another_process) == b"hello"


def test_images_of_ones_own_are_encoded_and_decoded(module: RemoteBoard) -> None:
    means, size = module.call(images_to_encoder)
    assert len(means) == 25 and 0 < size < 25 * 640 * 480 // 4
    assert all(abs(mean - 10 * number) <= 4 for number, mean in enumerate(means)), means


def read_back(path: str) -> Any:
    """Demux a file by PyAV, and decode what is in it."""
    import av
    from cm_agent import video

    times, firsts = [], []
    with (
        av.open(path) as file,
        video.Decoder("vicodec", "shared", format="FWHT", to="GREY") as decoder,
    ):
        for frame in decoder.decode(file.demux(file.streams.video[0])):
            times.append(frame.timestamp_ns)
            with frame.array() as image:
                firsts.append(int(image[0, 0]))
    return times, firsts


def test_encode_numpy_writes_a_file_that_pyav_and_the_decoder_read(module: RemoteBoard) -> None:
    module.check(f"python3 {EXAMPLES}/encode_numpy.py vicodec shared /tmp/x.mkv --frames 20")
    times, firsts = module.call(read_back, path="/tmp/x.mkv")
    module.check("rm /tmp/x.mkv")
    assert times == [number * 40_000_000 for number in range(20)]
    assert all(abs(first - 8 * number) <= 8 for number, first in enumerate(firsts)), firsts


def test_camera_opencv_sees_what_moves_and_saves_it(module: RemoteBoard) -> None:
    program = f"python3 {EXAMPLES}/camera_opencv.py vivid shared --frames 20 --save /tmp/moved.png"
    lines = module.check(program).splitlines()
    saved = module.check("file=/tmp/moved.png; head -c 4 $file | tail -c 3 && rm $file")
    shares = [float(line.split()[2].rstrip("%")) for line in lines if line.endswith(" moved")]
    assert len(shares) == len(lines) == 19
    assert 0 < max(shares) < 20, "the clock in the picture moves, the bars do not"
    assert saved == "PNG"


def test_camera_opencv_names_a_file_that_cannot_be_written(module: RemoteBoard) -> None:
    program = f"python3 {EXAMPLES}/camera_opencv.py vivid shared --frames 5 --save /proc/x.png"
    done = module.run(program)
    assert done.code == 1 and "/proc/x.png: cannot be written" in done.stderr


def browse(program: str, port: int, count: int) -> Any:
    """Get pictures from an example that serves them, while a client that is silent is connected.

    Return their shapes, how many differ, and how the program ends at Ctrl-C.
    """
    import io
    import signal
    import socket
    import subprocess
    import time
    from contextlib import suppress
    from urllib.request import urlopen

    from PIL import Image

    words = ["python3", program, "vivid", "shared", "--port", str(port)]
    with subprocess.Popen(words, stdout=-1, stderr=-1, text=True) as serving:
        pictures, silent = [], None
        while silent is None and serving.poll() is None:
            time.sleep(0.1)
            with suppress(ConnectionRefusedError):
                silent = socket.create_connection(("127.0.0.1", port))
        for _ in range(count if silent else 0):
            with urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.headers["Content-Type"] == "image/jpeg"
                pictures.append(answer.read())
        serving.send_signal(signal.SIGINT)
        said, error = serving.communicate(timeout=20)
    if silent:
        silent.close()
    shapes = {Image.open(io.BytesIO(picture)).size for picture in pictures}
    return shapes, len(set(pictures)), (serving.returncode, said, error)


def test_asyncio_camera_serves_frames_until_ctrl_c(module: RemoteBoard) -> None:
    program = f"{EXAMPLES}/asyncio_camera.py"
    shapes, different, ended = module.call(browse, program=program, port=18000, count=5)
    assert ended == (0, "", "")
    assert len(shapes) == 1 and different == 5
