# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Long-term pins of a mapped chunk's pages: no use of a chunk that is supported, and no harm.

The kernel moves pages out of a bank before it pins them for long, which ours cannot be. What it
answers differs, and may: SIGKILL ends it, and the chunk can be freed. Seen:

| kernel | io_uring's registered buffers | V4L2_MEMORY_USERPTR |
|---|---|---|
| 5.10.223 (armhf) | tries for ever, SIGKILL or not | pinned |
| 6.1.176 (arm64) | tries until it is killed | tries until it is killed |
| 6.12.117 (arm64) | tries until it is killed | tries until it is killed |
| 7.2.12 (arm64) | tries until it is killed | tries until it is killed |

Of the first, the kernel's own check_and_migrate_cma_pages() is the reason: it looks at no signal,
and waits for pages to become what they cannot be, until 5.13. So it is not tried there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])


def pin_for_long(context: str, how: str, free_first: bool = False) -> dict[str, Any]:
    """Have a child map a chunk and pin it for long: as a buffer of io_uring, or of vivid by
    V4L2_MEMORY_USERPTR. Kill it when it has its answer, or after 10 s; free the chunk.

    Tell the answer (an errno or 0, or "none"), whether the child was gone within 60 s, how FREE
    ended, and whether the context is what it was within another 60 s.
    """
    import ctypes
    import fcntl
    import mmap
    import os
    import select
    import signal
    import time

    from cm_agent.core.context import Context
    from cm_agent.video import uapi as v4l2
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    io_uring_setup, io_uring_register, capture, userptr, size = 425, 427, 1, 2, 1 << 20

    def call(number: int, *arguments: Any) -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        result: int = libc.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), "syscall")
        return result

    def register(address: int) -> None:
        ring = call(io_uring_setup, 4, ctypes.create_string_buffer(120))
        vector = (ctypes.c_size_t * 2)(address, size)
        call(io_uring_register, ring, 0, vector, 1)

    def queue(address: int) -> None:
        device = VideoDevice(find("vivid"))
        device.capture.negotiate(640, 480, "RGB3")
        kept.append(device)
        asked = {"count": 1, "type": capture, "memory": userptr}
        given = {"type": capture, "memory": userptr, "m": {"userptr": address}, "length": size}
        for name, kind, members in (
            ("VIDIOC_REQBUFS", "struct v4l2_requestbuffers *", asked),
            ("VIDIOC_QBUF", "struct v4l2_buffer *", given),
        ):
            argument = v4l2.ffi.new(kind, members)
            fcntl.ioctl(device.fileno(), v4l2.NUMBERS[name], v4l2.ffi.buffer(argument))

    def kill() -> None:
        os.kill(child, signal.SIGKILL)
        limit = time.monotonic() + 60
        while not (gone := os.waitpid(child, os.WNOHANG)[0]) and time.monotonic() < limit:
            time.sleep(0.05)
        told["gone"] = gone == child

    def free() -> None:
        try:
            pool.free(chunk)
            told["free"] = 0
        except OSError as error:
            told["free"] = error.errno

    told: dict[str, Any] = {}
    kept: list[Any] = []
    reader, writer = os.pipe()
    with Context(context) as pool:
        before, chunk = pool.query(), pool.alloc(size)
        with chunk:
            if not (child := os.fork()):
                try:
                    view = mmap.mmap(chunk.fd, size)
                    view[::4096] = b"\1" * (size // 4096)
                    address, number = ctypes.addressof(ctypes.c_char.from_buffer(view)), 0
                    try:
                        {"io_uring": register, "userptr": queue}[how](address)
                    except OSError as error:
                        number = error.errno or 255
                    os.write(writer, bytes([number]))
                    signal.pause()
                finally:
                    os._exit(1)
            answered = select.select([reader], [], [], 10)[0]
            told["answer"] = os.read(reader, 1)[0] if answered else "none"
            held = pool.info(chunk)
            told["fixed"] = [held.pins, held.imports, held.maps]
            for do in (free, kill) if free_first else (kill, free):
                do()
        limit = time.monotonic() + 60
        while (after := pool.query()) != before and time.monotonic() < limit:
            time.sleep(0.05)
    for fd in (reader, writer):
        os.close(fd)
    return told | {"same": after == before}


def kernel(module: Any) -> tuple[int, int]:
    """Return the version of the board's kernel."""
    major, minor = module.check("uname -r").split(".")[:2]
    return int(major), int(minor.partition("-")[0])


HARMLESS = {"gone": True, "fixed": [0, 0, 0], "free": 0, "same": True}


@CONTEXTS
@pytest.mark.parametrize("free_first", [False, True], ids=["killed first", "freed first"])
def test_io_urings_registered_buffers(module: Any, context: str, free_first: bool) -> None:
    if kernel(module) < (5, 13):
        pytest.skip("this kernel could not be stopped from trying")
    scene = {"how": "io_uring", "free_first": free_first}
    got = module.call(pin_for_long, timeout=300, context=context, **scene)
    print(f"{context}: {got.pop('answer')}")
    assert got == HARMLESS


@pytest.fixture
def user_vivid(module: Any) -> Iterator[Any]:
    """The board with a camera driver that takes memory of user space; vivid with contiguous buffers
    does not.
    """
    module.check("modprobe vivid n_devs=1 node_types=0x1 allocators=0 multiplanar=1")
    yield module
    module.check("modprobe -r vivid")


@CONTEXTS
@pytest.mark.lg_feature("vivid")
def test_v4l2_user_pointers(user_vivid: Any, context: str) -> None:
    got = user_vivid.call(pin_for_long, timeout=300, context=context, how="userptr")
    print(f"{context}: {got.pop('answer')}")
    assert got == HARMLESS
