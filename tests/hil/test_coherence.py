# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is synced, and for whom, around moves, importers and CPU access: the event cm:cm_sync.

The emulated boards' devices are coherent, so that nothing would be lost without it: the events are
what can be looked at. One device that is not coherent stands for all (kmod/sync.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from boards.tracing import trace_buffer

pytestmark = pytest.mark.parametrize("context", ["shared", "private"])
MIB = 1 << 20
FOR_DEVICE, FOR_CPU = 0, 1


@pytest.fixture
def buffer(module: Any) -> Iterator[str]:
    """A trace buffer for syncs and moves, and for what starts and ends a test's part of them."""
    with trace_buffer(module) as path:
        module.check(f"echo cm:cm_sync cm:cm_move cm:cm_alloc >{path}/set_event")
        yield path


def printed(module: Any, buffer: str, of: int) -> list[tuple[str, dict[str, str]]]:
    """Return the events of a chunk, in order, each with its fields."""
    found = re.findall(r": (cm_\w+): (.*)", module.check(f"cat {buffer}/trace"))
    events = [(name, dict(re.findall(r"(\w+)=(\S+)", rest))) for name, rest in found]
    return [(name, fields) for name, fields in events if fields["id"] == str(of)]


def syncs(module: Any, buffer: str, told: dict[str, Any]) -> list[int]:
    """Return whom the chunk's syncs were for; each must be of all of the chunk."""
    seen = []
    for name, fields in printed(module, buffer, told["id"]):
        if name == "cm_sync":
            assert int(fields["size"]) == told["size"], fields
            seen.append(int(fields["for_cpu"]))
    return seen


def pin_and_move(context: str, size: int, seed: int) -> dict[str, Any]:
    """Have a chunk that was pinned make way, and pin it again; tell where it was and is, and
    whether it holds what it did.
    """
    import random

    from cm_agent.core.context import Context

    content = random.Random(seed).randbytes(size)
    with Context(context) as pool, pool.alloc(size) as first, pool.alloc(size) as chunk:
        with chunk.cpu_access("w") as view:
            view[:] = content
        pool.pin(chunk)
        pool.unpin(chunk)
        (before,) = (it for it in pool.layout() if it.id == chunk.id)
        first.close()
        moves = pool.compact(pool.query().free).moves
        (after,) = (it for it in pool.layout() if it.id == chunk.id)
        pool.pin(chunk)
        with chunk.cpu_access("r") as view:
            same = view == content
        pool.unpin(chunk)
        places = {"from": before.offset, "to": after.offset}
        return {"id": chunk.id, "size": size, "moves": moves, "same": same} | places


@pytest.mark.parametrize("size", [MIB, 3 * MIB + 65536])
def test_a_chunk_is_the_cpus_when_it_moves(
    module: Any, buffer: str, context: str, size: int
) -> None:
    """At the end of a pin the old place is written back, then forgotten by the caches: the
    copy reads what a device wrote there. The new place is written back for the next pin.
    """
    told = module.call(pin_and_move, context=context, size=size, seed=size)
    assert told["same"] and told["moves"] == 1 and told["from"] != told["to"], told
    events = printed(module, buffer, told["id"])
    (at,) = (at for at, (name, _) in enumerate(events) if name == "cm_move")
    assert int(events[at][1]["to"]) == told["to"] and events[at][1]["error"] == "0"
    synced = [
        (int(fields["for_cpu"]), int(fields["from"]), int(fields["size"]))
        for name, fields in events
        if name == "cm_sync"
    ]
    assert synced[:3] == [
        (FOR_DEVICE, told["from"], size),  # pinned
        (FOR_CPU, told["from"], size),  # unpinned
        (FOR_DEVICE, told["to"], size),  # pinned where it is now
    ]


def import_and_access(context: str, output: bool) -> dict[str, Any]:
    """Queue a chunk in vivid, as an image to come or to show; then access it, and take it back."""
    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    def suits(device: VideoDevice) -> bool:
        return device.capabilities.capture != output

    node = find("vivid", role="screen" if output else "camera", suits=suits)
    with VideoDevice(node) as device, Context(context) as pool:
        queue = device.output if output else device.capture
        size = queue.format.planes[0].size
        with pool.alloc(size) as chunk:
            queue.request_buffers(1)
            queue.queue(0, [chunk])
            with chunk.cpu_access("w"):
                pass
            queue.release_buffers()
            return {"id": chunk.id, "size": chunk.size}


@pytest.fixture
def vivid_both_ways(module: Any) -> Iterator[Any]:
    """The board with a camera and a screen that take dma-bufs."""
    module.check("modprobe vivid n_devs=1 node_types=0x101 allocators=1 multiplanar=1")
    module.check("udevadm settle --timeout=30")
    yield module
    module.check("modprobe -r vivid")


@pytest.mark.lg_feature("vivid")
@pytest.mark.parametrize("output", [False, True], ids=["capture", "output"])
def test_an_importer_sees_what_the_cpu_wrote_and_it_sees_theirs(
    vivid_both_ways: Any, buffer: str, context: str, output: bool
) -> None:
    """Before a driver that only writes, too: it may write less than all of the chunk."""
    told = vivid_both_ways.call(import_and_access, context=context, output=output)
    assert syncs(vivid_both_ways, buffer, told) == [
        FOR_DEVICE,  # queued
        FOR_CPU,  # DMA_BUF_SYNC_START
        FOR_DEVICE,  # DMA_BUF_SYNC_END
        *([] if output else [FOR_CPU]),  # taken back
    ]


def access(context: str, mode: str, pinned: bool) -> dict[str, Any]:
    """Access a chunk that nobody imports."""
    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(1 << 16) as chunk:
        if pinned:
            pool.pin(chunk)
        with chunk.cpu_access(mode):
            pass
        if pinned:
            pool.unpin(chunk)
        return {"id": chunk.id, "size": chunk.size}


@pytest.mark.parametrize("mode", ["r", "w"])
def test_those_who_import_nothing_see_what_the_cpu_writes_and_it_sees_theirs(
    module: Any, buffer: str, context: str, mode: str
) -> None:
    """A DSP, say, that got the address: also at the end of reading."""
    told = module.call(access, context=context, mode=mode, pinned=True)
    assert syncs(module, buffer, told) == [
        FOR_DEVICE,  # PIN: the zeros
        FOR_CPU,  # DMA_BUF_SYNC_START
        FOR_DEVICE,  # DMA_BUF_SYNC_END
        FOR_CPU,  # UNPIN
    ]


@pytest.mark.parametrize("mode", ["r", "w"])
def test_nothing_is_synced_that_no_device_can_have(
    module: Any, buffer: str, context: str, mode: str
) -> None:
    told = module.call(access, context=context, mode=mode, pinned=False)
    assert syncs(module, buffer, told) == []
