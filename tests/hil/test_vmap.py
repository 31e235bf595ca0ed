# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Drivers that map a chunk for the kernel, as videobuf2-vmalloc does: also one that was freed.

The kernel takes an exporter that refuses that for a broken one, and warns: see `unharmed`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [
    pytest.mark.lg_feature("vivid"),
    pytest.mark.parametrize("context", ["shared", "private"]),
]


@pytest.fixture
def mapping_vivid(module: Any) -> Iterator[Any]:
    """The board with a camera driver that writes through the kernel's mapping.

    The kernel would warn once a boot: whatever it did before, it will again.
    """
    module.run("echo 1 >/sys/kernel/debug/clear_warn_once")
    module.check("modprobe vivid n_devs=1 node_types=0x1 allocators=0 multiplanar=1")
    yield module
    module.check("modprobe -r vivid")


def queue_freed(context: str) -> dict[str, Any]:
    """Free a chunk, queue it, and let the driver fill it, while another chunk is in its place."""
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    with VideoDevice(find("vivid")) as device, Context(context) as pool, ExitStack() as stack:
        size = device.capture.negotiate(640, 480, "RGB3").planes[0].size
        chunk = stack.enter_context(pool.alloc(size))
        with pool.pinned(chunk) as pin:
            place = pin.address
        pool.free(chunk)
        other = stack.enter_context(pool.alloc(size))
        with pool.pinned(other) as pin:
            told: dict[str, Any] = {"same place": pin.address == place}
            with other.cpu_access("w") as view:
                view[:] = b"\x5a" * len(view)
            try:
                # More than one, where the driver does not begin with less.
                for index in range(device.capture.request_buffers(1)):
                    device.capture.queue(index, [chunk])
                device.capture.stream_on()
                told["filled"] = device.wait(30) and device.capture.dequeue() is not None
                device.capture.stream_off()
            except OSError as error:
                told["errno"] = error.errno
            device.capture.release_buffers()
            with other.cpu_access("r") as view:
                told["same"] = view.tobytes().count(0x5A) == len(view)
    return told


def test_a_freed_chunk_can_be_queued_and_is_no_memory_of_others(
    mapping_vivid: Any, context: str
) -> None:
    """Whether the driver refuses it or not is the driver's business."""
    got = mapping_vivid.call(queue_freed, context=context)
    assert got["same place"] and got["same"], got
    assert got.get("errno") or got["filled"], got


def free_while_queued(context: str, count: int) -> dict[str, Any]:
    """Free chunk after chunk, while a process queues and takes back the one that is next."""
    import mmap
    import os
    import signal
    from collections import Counter
    from contextlib import ExitStack, suppress

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    def queue() -> None:
        while True:
            at = int.from_bytes(shared[:8], "little")
            device.capture.request_buffers(1)
            with suppress(OSError):
                device.capture.queue(0, [chunks[at]])
            device.capture.release_buffers()
            shared[8:16] = (int.from_bytes(shared[8:16], "little") + 1).to_bytes(8, "little")

    frees: Counter[int] = Counter()
    with (
        VideoDevice(find("vivid")) as device,
        ExitStack() as stack,
        Context(context) as pool,
        mmap.mmap(-1, 4096) as shared,
    ):
        size = device.capture.negotiate(320, 180, "YUYV").planes[0].size
        before = pool.query()
        chunks = [stack.enter_context(pool.alloc(size)) for _ in range(count)]
        if not (child := os.fork()):
            try:
                queue()
            finally:
                os._exit(1)
        try:
            for at, chunk in enumerate(chunks):
                shared[:8] = at.to_bytes(8, "little")
                queued = int.from_bytes(shared[8:16], "little")
                while int.from_bytes(shared[8:16], "little") < queued + 2:
                    os.sched_yield()
                for _ in range(10_000):
                    try:
                        pool.free(chunk)
                    except OSError as error:
                        frees[error.errno or 0] += 1
                    else:
                        frees[0] += 1
                        break
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        same = pool.query() == before
    return {"frees": dict(frees), "same": same}


def test_a_chunk_is_freed_while_it_is_being_queued(mapping_vivid: Any, context: str) -> None:
    """Or EBUSY, because it is. Each is free in the end."""
    got = mapping_vivid.call(free_while_queued, timeout=300, context=context, count=60)
    assert set(got["frees"]) <= {0, errno.EBUSY}, got
    assert got["frees"][0] == 60 and got["same"], got
