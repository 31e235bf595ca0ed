# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""CM_IOC_FREE: the memory goes back now, or nothing changes; and never while it is in use."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [
    pytest.mark.every_board,
    pytest.mark.parametrize("context", ["shared", "private"]),
]


def free_idle(context: str) -> dict[str, Any]:
    """Free a chunk that is mapped and has two descriptors, and close those later."""
    import mmap
    import os

    from cm_agent.core.context import Context

    with Context(context) as pool:
        before = pool.query()
        with pool.alloc(1 << 20) as chunk, mmap.mmap(chunk.fd, 1 << 20) as view:
            view[0] = 1
            other = os.dup(chunk.fd)
            during = pool.query()
            pool.free(chunk)
            freed, frees = pool.query(), pool.stats().frees
        os.close(other)
        closed = pool.query()
        return {
            "held": [before.free - during.free, during.chunks - before.chunks],
            "freed": freed == before,
            "closed": closed == before and pool.stats().frees == frees,
        }


def test_an_idle_chunks_memory_is_back_at_once_and_only_once(module: Any, context: str) -> None:
    got = module.call(free_idle, context=context)
    assert got == {"held": [1 << 20, 1], "freed": True, "closed": True}


def free_while_pinned(context: str) -> list[Any]:
    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(1 << 16) as chunk:
        pool.pin(chunk)
        before, tries = pool.query(), []
        for step in range(2):
            try:
                pool.free(chunk)
                tries.append([0, pool.query().pinned])
            except OSError as error:
                tries.append([error.errno, pool.query() == before])
            if not step:
                pool.unpin(chunk)
        return tries


def test_a_pinned_chunk_is_ebusy_until_it_is_unpinned(module: Any, context: str) -> None:
    assert module.call(free_while_pinned, context=context) == [[errno.EBUSY, True], [0, 0]]


def free_while_imported(context: str, streaming: bool) -> dict[str, Any]:
    """Free a chunk that is queued in vivid, then again when vivid has let go of it."""
    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    def try_free() -> int:
        try:
            pool.free(chunk)
        except OSError as error:
            return error.errno or 0
        return 0

    with VideoDevice(find("vivid")) as device, Context(context) as pool:
        size = device.capture.negotiate(640, 480, "RGB3").planes[0].size
        with pool.alloc(size) as chunk:
            device.capture.request_buffers(1)
            device.capture.queue(0, [chunk])
            if streaming:
                device.capture.stream_on()
            before, info = pool.query(), pool.info(chunk)
            busy, same = try_free(), pool.query() == before
            if streaming:
                device.capture.stream_off()
            device.capture.release_buffers()
            idle = try_free()
        return {"held": info.imports == 1 <= info.maps, "busy": busy, "same": same, "idle": idle}


@pytest.mark.lg_feature("vivid")
@pytest.mark.parametrize("streaming", [False, True], ids=["queued", "streaming"])
def test_an_imported_chunk_is_ebusy_until_the_driver_lets_go(
    vivid: Any, context: str, streaming: bool
) -> None:
    got = vivid.call(free_while_imported, context=context, streaming=streaming)
    assert got == {"held": True, "busy": errno.EBUSY, "same": True, "idle": 0}


def use_while_a_device_works(context: str, size: int) -> dict[str, Any]:
    """Let vgem have a chunk, begin work on it and let go of it; free and move it meanwhile.

    Beside it lies a hole that is as large. Tell errnos, moves, and what came after the work.
    """
    import fcntl
    import os
    import struct
    from pathlib import Path

    from cm_agent.core.context import Context

    def drm(number: int, direction: int, *words: int) -> tuple[int, ...]:
        argument = bytearray(struct.pack(f"={len(words)}i", *words))
        fcntl.ioctl(card, direction << 30 | len(argument) << 16 | ord("d") << 8 | number, argument)
        return struct.unpack(f"={len(words)}i", argument)

    def try_free() -> int:
        try:
            pool.free(chunk)
        except OSError as error:
            return error.errno or 0
        return 0

    to_handle, close = (0x2E, 3), (0x09, 1)  # drm.h: PRIME_FD_TO_HANDLE, GEM_CLOSE
    begin, finish = (0x41, 3), (0x42, 1)  # vgem_drm.h: FENCE_ATTACH, FENCE_SIGNAL
    for_writing = 1
    cards = Path("/sys/class/drm").glob("card*")
    (name,) = (it.name for it in cards if (it / "device").resolve().name == "vgem")
    card = os.open(f"/dev/dri/{name}", os.O_RDWR | os.O_CLOEXEC)
    try:
        with Context(context) as pool, pool.alloc(size) as hole, pool.alloc(size) as chunk:
            hole.close()
            handle, _, _ = drm(*to_handle, 0, 0, chunk.fd)
            _, _, fence, _ = drm(*begin, handle, for_writing, 0, 0)
            drm(*close, handle, 0)
            told = {"imports": pool.info(chunk).imports}
            told["busy"], told["moved"] = try_free(), pool.compact(0).moves
            drm(*finish, fence, 0)
            told["moved after"], told["free after"] = pool.compact(0).moves, try_free()
            return told
    finally:
        os.close(card)


@pytest.fixture
def vgem(module: Any) -> Iterator[Any]:
    """The board with a graphics driver that leaves fences."""
    module.check("modprobe vgem && udevadm settle")
    yield module
    module.check("modprobe -r vgem")


@pytest.mark.lg_feature("vgem")
def test_a_chunk_stays_until_a_device_that_let_go_of_it_has_finished(
    vgem: Any, context: str
) -> None:
    """By the fence that its driver has left: it is neither freed nor moved before."""
    got = vgem.call(use_while_a_device_works, context=context, size=8 << 20)
    assert got == {
        "imports": 0,
        "busy": errno.EBUSY,
        "moved": 0,
        "moved after": 1,
        "free after": 0,
    }


def touch_after_free(context: str, touched_before: bool) -> list[Any]:
    """Have a child read its mapping of a chunk that was freed meanwhile; tell how it ended."""
    import mmap
    import os

    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(16 * mmap.PAGESIZE) as chunk:
        ready, tell = os.pipe()
        wait, go = os.pipe()
        if not (child := os.fork()):
            mapping = mmap.mmap(chunk.fd, chunk.size)
            if touched_before:
                mapping[5 * mmap.PAGESIZE] = 1
            os.write(tell, b"1")
            os.read(wait, 1)
            os._exit(mapping[5 * mmap.PAGESIZE])
        os.read(ready, 1)
        pool.free(chunk)
        os.write(go, b"1")
        _, status = os.waitpid(child, 0)
        for fd in (ready, tell, wait, go):
            os.close(fd)
        return [os.WIFSIGNALED(status), os.WTERMSIG(status)]


@pytest.mark.parametrize("touched_before", [False, True], ids=["empty", "populated"])
def test_a_stale_mapping_raises_sigbus(module: Any, context: str, touched_before: bool) -> None:
    sigbus = 7
    got = module.call(touch_after_free, context=context, touched_before=touched_before)
    assert got == [True, sigbus]


def use_stale(context: str, how: str) -> int:
    """Use the descriptor of a freed chunk for something that is no call of cm.h."""
    import fcntl
    import mmap
    import struct

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    with Context(context) as pool, pool.alloc(1 << 20) as chunk:
        pool.free(chunk)
        try:
            if how == "mmap":
                mmap.mmap(chunk.fd, chunk.size)
            elif how == "import":
                with VideoDevice(find("vivid")) as device:
                    device.capture.negotiate(640, 480, "RGB3")
                    device.capture.request_buffers(1)
                    device.capture.queue(0, [chunk])
            else:
                flags = {"sync-start": 3, "sync-end": 7}[how]
                fcntl.ioctl(chunk.fd, 0x40086200, struct.pack("=Q", flags))
        except OSError as error:
            return error.errno or 0
        return 0


@pytest.mark.parametrize("how", ["mmap", "sync-start", "sync-end"])
def test_a_stale_descriptor_is_estale(module: Any, context: str, how: str) -> None:
    """And so it is for every call of cm.h: see test_ioctl."""
    assert module.call(use_stale, context=context, how=how) == errno.ESTALE


@pytest.mark.lg_feature("vivid")
def test_a_stale_descriptor_cannot_be_imported(vivid: Any, context: str) -> None:
    """Which errno that is, is the driver's business; nothing is left that keeps the module."""
    references = vivid.check("cat /sys/module/cm/refcnt")
    assert vivid.call(use_stale, context=context, how="import") in (errno.ESTALE, errno.EINVAL)
    assert vivid.check("cat /sys/module/cm/refcnt") == references


def free_while_pages_are_held(context: str, how: str) -> dict[str, Any]:
    """Give a chunk back while a pipe holds one of its pages, then read the pipe."""
    import ctypes
    import mmap
    import os
    import time

    from cm_agent.core.context import Context

    libc, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
    size = 64 * page
    reader, writer = os.pipe()
    with Context(context) as pool:
        before = pool.query()
        chunk = pool.alloc(size)
        mapping = mmap.mmap(chunk.fd, size)
        mapping[:] = b"\x5a" * size
        held = ctypes.c_char.from_buffer(mapping, 40 * page)
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(held), page)
        spliced = libc.vmsplice(writer, vector, 1, 0)
        del held
        if how == "free":
            pool.free(chunk)
        mapping.close()
        chunk.close()
        during = pool.query()
        content = os.read(reader, page)
        limit = time.monotonic() + 10
        while pool.query().draining and time.monotonic() < limit:
            time.sleep(0.01)
        os.close(reader)
        os.close(writer)
        return {
            "spliced": spliced,
            "draining": during.draining,
            "missing": before.free - during.free,
            "chunks": during.chunks - before.chunks,
            "content": content == b"\x5a" * page,
            "restored": pool.query() == before,
        }


@pytest.mark.parametrize("how", ["free", "close"])
def test_memory_is_not_reused_while_a_pipe_holds_a_page(
    module: Any, page_size: int, context: str, how: str
) -> None:
    """It is counted as draining, keeps its content, and comes back when the pipe is read."""
    got = module.call(free_while_pages_are_held, context=context, how=how)
    assert got == {
        "spliced": page_size,
        "draining": 64 * page_size,
        "missing": 64 * page_size,
        "chunks": 0,
        "content": True,
        "restored": True,
    }
