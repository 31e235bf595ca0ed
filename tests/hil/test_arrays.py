# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""NumPy arrays over chunks and frames on the board, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards import board as descriptions
from boards import bundle
from boards.remote import RemoteBoard

pytestmark = pytest.mark.lg_feature("numpy")
CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])


@pytest.fixture(scope="module", autouse=True)
def numpy(board: RemoteBoard) -> Iterator[None]:
    """NumPy, which an emulated board comes without."""
    board.need("module")
    if board.strategy.power:
        board.put(bundle.numpy(descriptions.read(board.name)), "/tmp/numpy.tar.gz")
        board.check("tar -C / --keep-directory-symlink -xzf /tmp/numpy.tar.gz")
        board.check("rm /tmp/numpy.tar.gz")
    yield


def work(context: str) -> dict[str, Any]:
    """Write an array, keep what may not be kept, and report what is left and how full it is."""
    from cm_agent import Context, KeptError

    report: dict[str, Any] = {}
    with Context(context) as pool:
        before = pool.query()
        with pool.alloc(4 << 20) as buffer:
            with buffer.array((1024, 1000), "uint8", "rw", strides=(4096, 1)) as image:
                image[:] = 7
                image[3, 5] = 200
            report["after"] = repr(image)
            try:
                with buffer.array((1024, 1000), strides=(4096, 1)) as image:
                    kept = image[2:5]
            except KeptError as error:
                report["error"] = str(error)
            with buffer.cpu_access("rw") as view:
                report["seen"] = [view[3 * 4096 + 5], view[3 * 4096 + 6], view[4095]]
                view[3 * 4096 + 5] = 0
        report["kept"] = [int(kept[1, 5]), int(kept[0, 0])]
        report["same"] = pool.query() == before
    return report


@CONTEXTS
def test_an_array_is_the_chunk_and_ends_with_its_block(module: RemoteBoard, context: str) -> None:
    got = module.call(work, context=context)
    assert got["seen"] == [200, 7, 0] and got["kept"] == [200, 7] and got["same"], got
    assert "its block has ended" in got["after"] and "outlives" in got["error"], got


@pytest.fixture(scope="module")
def vivid(board: RemoteBoard) -> Iterator[None]:
    """A camera whose formats may have several planes."""
    board.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1 multiplanar=2")
    board.check("udevadm settle")
    yield
    board.check("modprobe -r vivid")


def lend_arrays(context: str, width: int, height: int, pixelformat: str) -> dict[str, Any]:
    """Compare a frame's arrays with the bytes that the driver reports, and its shapes."""
    from cm_agent import video

    with video.Camera("vivid", context, size=(width, height), format=pixelformat) as camera:
        for frame in camera.frames(2):
            with frame.planes() as planes:
                shapes = [list(plane.shape) for plane in planes]
                values = [[int(plane.min()), int(plane.max())] for plane in planes]
                del planes[:]
    return {"shapes": shapes, "values": values, "format": str(camera.format)}


LAYOUTS = {
    "GREY": [[180, 320]],
    "YUYV": [[180, 320, 2]],
    "RGB3": [[180, 320, 3]],
    "XR24": [[180, 320, 4]],
    "NV12": [[180, 320], [90, 160, 2]],
    "NM12": [[180, 320], [90, 160, 2]],
    "YU12": [[180, 320], [90, 160], [90, 160]],
    "YM12": [[180, 320], [90, 160], [90, 160]],
    "422P": [[180, 320], [180, 160], [180, 160]],
}


@pytest.mark.lg_feature("vivid")
@pytest.mark.usefixtures("vivid")
@pytest.mark.parametrize("pixelformat", LAYOUTS)
def test_a_frame_lends_its_parts_as_arrays(module: RemoteBoard, pixelformat: str) -> None:
    """vivid's bars have black and white in them, and all of their colours."""
    size = {"width": 320, "height": 180, "pixelformat": pixelformat}
    got = module.call(lend_arrays, context="shared", **size)
    assert got["shapes"] == LAYOUTS[pixelformat], got
    assert all(high - low > 100 for low, high in got["values"]), got
