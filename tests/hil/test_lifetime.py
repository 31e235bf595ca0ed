# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How long a chunk and the module live: no leak, however descriptors and processes end."""

from __future__ import annotations

from typing import Any

import pytest

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])


@pytest.fixture
def reloaded(module: Any) -> Any:
    """A board whose module a test may unload; it is loaded again afterwards."""
    yield module
    module.check("modprobe cm && udevadm settle --timeout=30")


def close_one_by_one(context: str) -> list[int]:
    """Count the chunks after each of three descriptors is closed."""
    import os

    from cm_agent.core.context import Context

    with Context(context) as pool:
        before = pool.query()
        with pool.alloc(1 << 20) as chunk:
            others = [os.dup(chunk.fd), os.dup(chunk.fd)]
        left = [pool.query().chunks - before.chunks]
        for fd in others:
            os.close(fd)
            left.append(pool.query().chunks - before.chunks)
        return [*left, before.free - pool.query().free]


@CONTEXTS
def test_closing_the_last_descriptor_frees(module: Any, context: str) -> None:
    assert module.call(close_one_by_one, context=context) == [1, 1, 0, 0]


def pass_on(context: str) -> dict[str, Any]:
    """Send a chunk to a child and close it here; count chunks on its way."""
    import mmap
    import os
    import signal
    import socket

    from cm_agent.core.context import Context

    ours, theirs = socket.socketpair()
    with Context(context) as pool, ours:
        before = pool.query()
        with pool.alloc(1 << 20) as chunk:
            with chunk.cpu_access("w") as view:
                view[4096] = 42
            socket.send_fds(ours, [b"1"], [chunk.fd])
        in_flight = pool.query().chunks - before.chunks
        if not (child := os.fork()):
            _, (fd,), _, _ = socket.recv_fds(theirs, 1, 1)
            theirs.send(bytes([mmap.mmap(fd, 1 << 20)[4096]]))
            signal.pause()
        theirs.close()
        content = ours.recv(1)[0]
        received = pool.query().chunks - before.chunks
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        chunks = [in_flight, received, pool.query().chunks - before.chunks]
        return {"chunks": chunks, "content": content, "same": pool.query() == before}


@CONTEXTS
def test_a_descriptor_passed_to_another_process_keeps_the_chunk(module: Any, context: str) -> None:
    """In flight as well, when no process has it open."""
    got = module.call(pass_on, context=context)
    assert got == {"chunks": [1, 1, 0], "content": 42, "same": True}


def kill_a_busy_process(context: str) -> dict[str, Any]:
    """Kill -9 a child that holds 16 chunks: idle, pinned, mapped, queued in vivid, in a pipe."""
    import ctypes
    import mmap
    import os
    import signal
    import time

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    def hold() -> None:
        device, mine = VideoDevice(find("vivid")), Context(context)
        size = device.capture.negotiate(640, 480, "RGB3").planes[0].size
        chunks = [mine.alloc(size) for _ in range(16)]
        for chunk in chunks[:6]:
            mine.pin(chunk)
        pages = [ctypes.c_char.from_buffer(mmap.mmap(chunk.fd, size)) for chunk in chunks[4:10]]
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(pages[0]), 4096)
        assert ctypes.CDLL(None).vmsplice(os.pipe()[1], vector, 1, 0) == 4096
        for index in range(device.capture.request_buffers(4)):
            device.capture.queue(index, [chunks[8 + index]])
        device.capture.stream_on()
        os.write(tell, b"".join(page.value for page in pages))
        signal.pause()

    with Context(context) as pool:
        before, (ready, tell) = pool.query(), os.pipe()
        if not (child := os.fork()):
            try:
                hold()
            finally:
                os._exit(1)
        os.close(tell)
        touched, during = os.read(ready, 16), pool.query()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        limit = time.monotonic() + 10
        while (after := pool.query()) != before and time.monotonic() < limit:
            time.sleep(0.01)
        held = during.chunks and during.pinned * 16 // (before.free - during.free)
        return {"held": [len(touched), during.chunks, held], "same": after == before}


@CONTEXTS
@pytest.mark.lg_feature("vivid")
def test_all_bytes_return_from_a_process_killed_in_the_middle(vivid: Any, context: str) -> None:
    """6 pinned and 4 queued chunks are what must not move."""
    got = vivid.call(kill_a_busy_process, context=context)
    assert got == {"held": [6, 16, 10], "same": True}


def unload_while_used(context: str, how: str) -> list[bool]:
    """Try rmmod while nothing but a chunk, its mapping or its pages is left; then without."""
    import ctypes
    import mmap
    import os
    import subprocess
    import time

    from cm_agent.core.context import Context

    def unload() -> bool:
        return subprocess.run(["rmmod", "cm"], stderr=subprocess.DEVNULL).returncode == 0

    reader, writer = os.pipe()
    with Context(context) as pool:
        chunk = pool.alloc(1 << 20)
    mapping = mmap.mmap(chunk.fd, chunk.size)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.c_char.from_buffer(mapping)), 4096)
    if how == "draining":
        ctypes.CDLL(None).vmsplice(writer, vector, 1, 0)
    if how != "mapped":
        mapping.close()
    if how != "exported":
        chunk.close()
    refused = not unload()
    mapping.close()
    chunk.close()
    os.close(reader)
    os.close(writer)
    limit = time.monotonic() + 10
    while not (unloaded := unload()) and time.monotonic() < limit:
        time.sleep(0.01)
    return [refused, unloaded]


@CONTEXTS
@pytest.mark.parametrize("how", ["exported", "mapped", "draining"])
def test_the_module_stays_as_long_as_a_chunk_is_used(reloaded: Any, context: str, how: str) -> None:
    """No node is open in these cases; the module can be removed afterwards."""
    assert reloaded.call(unload_while_used, context=context, how=how) == [True, True]


def spill_secrets(context: str, size: int, how: str) -> dict[str, Any]:
    """Fill a chunk, give it back, and allocate until the same place comes back."""
    from cm_agent.core.context import Context

    clean, same, tries = True, 0, 0
    with Context(context) as pool:
        while same < 3 and (tries := tries + 1) < 20:
            with pool.alloc(size) as chunk:
                with chunk.cpu_access("w") as view:
                    view[:] = b"\xa5" * chunk.size
                with pool.pinned(chunk) as pin:
                    there = pin.address
                if how == "free":
                    pool.free(chunk)
            with pool.alloc(size) as chunk, pool.pinned(chunk) as pin:
                same += pin.address == there
                clean = clean and bool(pool.pattern_check(chunk, 0).matched >= min(size, 4096))
                with chunk.cpu_access("r") as view:
                    clean = clean and view.tobytes().count(0) == chunk.size
    return {"same_place": same, "clean": clean}


@CONTEXTS
@pytest.mark.parametrize("how", ["close", "free"])
@pytest.mark.parametrize("size", [4096, 5 * 4096, 1 << 20, 8 << 20])
def test_memory_is_zero_whatever_it_held_before(
    module: Any, context: str, size: int, how: str
) -> None:
    got = module.call(spill_secrets, context=context, size=size, how=how)
    assert got == {"same_place": 3, "clean": True}
