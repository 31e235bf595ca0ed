# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Every allocation on the module's paths fails once: an errno, nothing leaked, no report.

The kernel is told to fail the n-th allocation of one system call (fail-nth in
Documentation/fault-injection), for n = 1, 2, 3 ... until the call has fewer. It may succeed all
the same, where it can do without.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest
from hil.faults import MARKS, MOST, READY, check

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
pytestmark = MARKS
SLOT = 64 << 10
SLOTS = 6


@pytest.fixture
def faulty(module: Any) -> Any:
    """The board with allocations that fail when a thread asks for it."""
    module.check(READY)
    return module


def spoil(context: str, what: str, members: dict[str, int], slots: int, most: int) -> Any:
    """Do one thing, failing none of its allocations, then its first, its second, ...

    There is one chunk, or a checkerboard of some in an otherwise full context.
    Tell how often it ended with which errno, in how many rounds something had changed though it
    failed or was undone, and whether its last allocation was reached.
    """
    import os
    from collections import Counter
    from contextlib import ExitStack

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    slot, name = 64 << 10, f"CM_IOC_{what}"
    room = uapi.new_entries(64)

    def state() -> list[int]:
        now = pool.query()
        return [now.free, now.chunks, now.pinned, now.draining, len(os.listdir("/proc/self/fd"))]

    def undo(argument: Any) -> None:
        if what == "ALLOC":
            os.close(argument.fd)

    def ioctl() -> Any:
        given = {"fd": chunks[0].fd, "runs": address, "entries": address}
        given = {key: given.get(key, value) for key, value in members.items()}
        argument = uapi.prepare(name, **given)
        return lambda: (uapi.submit(mine.fileno(), name, argument), undo(argument))

    def other() -> Any:
        if what == "open":
            return lambda: Context(context).close()
        return lambda: chunks[0].set_name("spoilt")

    told: dict[str, Any] = {"errnos": Counter(), "changed": [], "ended": False}
    switch, address = os.open("/proc/thread-self/fail-nth", os.O_RDWR), uapi.address_of(room)
    with Context(context) as pool, ExitStack() as always:
        if slots > 1:
            ballast = always.enter_context(pool.alloc(pool.query().size - slots * slot))
            pool.pin(ballast)
        before = state()
        for nth in range(most):
            with ExitStack() as stack:
                mine = stack.enter_context(Context(context))
                chunks = [stack.enter_context(pool.alloc(slot)) for _ in range(slots)]
                places = [it.id for it in pool.layout()]
                chunks.sort(key=lambda chunk: places.index(chunk.id))
                for chunk in chunks[1::2]:
                    chunk.close()
                if what == "UNPIN":
                    mine.pin(chunks[0])
                do, number = ioctl() if name in uapi.NUMBERS else other(), 0
                during = state()
                os.write(switch, b"%d" % nth)
                try:
                    do()
                except OSError as error:
                    number = error.errno
                left = int(os.pread(switch, 16, 0))
                os.write(switch, b"0")
                if number and state() != during:
                    told["changed"].append([nth, number, during, state()])
            if left:
                told["ended"] = not number
                break
            told["errnos"][number] += nth > 0
            if state() != before:
                told["changed"].append([nth, number, before, state()])
    os.close(switch)
    return told | {"errnos": dict(told["errnos"])}


# What is done, with which members, and the errnos besides ENOMEM that it may fail with. ATTEST
# imports. So does a driver with videobuf2, but that of 6.12 never lets go of a dma-buf that it
# could not attach: __prepare_dmabuf() leaves it to __vb2_plane_dmabuf_put(), which passes over
# planes without a `mem_priv`.
CALLS: dict[str, tuple[dict[str, int], set[int]]] = {
    "QUERY": ({}, set()),
    "ALLOC": ({"size": SLOT}, {errno.EBUSY}),
    "FREE": ({"fd": 0}, set()),
    "PIN": ({"fd": 0}, set()),
    "UNPIN": ({"fd": 0}, set()),
    "INFO": ({"fd": 0}, set()),
    "ATTEST": ({"fd": 0, "dma_bits": 64, "runs_capacity": 8, "runs": 0}, set()),
    "PATTERN": ({"fd": 0, "flags": 1, "seed": 1}, set()),
    "STATS": ({}, set()),
    "COMPACT": ({"size": 0}, {errno.EBUSY}),
    "LAYOUT": ({"entries": 0, "capacity": 64}, set()),
    "USERS": ({"entries": 0, "capacity": 64}, set()),
    "open": ({}, set()),
    "name": ({}, set()),
}
ALLOCATE_NOTHING = {"QUERY", "FREE", "INFO", "PATTERN"}
"""Calls that work without memory: their arguments fit the stack."""


@CONTEXTS
@pytest.mark.parametrize("what", CALLS)
def test_a_call_that_gets_no_memory_changes_nothing(faulty: Any, what: str, context: str) -> None:
    members, allowed = CALLS[what]
    slots = SLOTS if what == "COMPACT" else 1
    scene = {"what": what, "members": members, "slots": slots, "most": MOST}
    got = faulty.call(spoil, context=context, **scene)
    check(got, allowed, allocates=what not in ALLOCATE_NOTHING)


@CONTEXTS
def test_an_allocation_that_must_move_chunks(faulty: Any, context: str) -> None:
    """No hole of the checkerboard has room for it."""
    scene = {"what": "ALLOC", "members": {"size": 2 * SLOT}, "slots": SLOTS, "most": MOST}
    check(faulty.call(spoil, context=context, **scene), {errno.EBUSY})


def touch_spoiled(context: str, size: int, most: int) -> Any:
    """Have a child map a chunk and touch it, failing its first, its second, ... allocation."""
    import json
    import mmap
    import os
    from collections import Counter

    from cm_agent.core.context import Context

    def touch(nth: int) -> None:
        number, seen, switch = 0, 0, os.open("/proc/thread-self/fail-nth", os.O_RDWR)
        os.write(switch, b"%d" % nth)
        try:
            with mmap.mmap(chunk.fd, size) as view:
                seen = view[0] + view[size - 1]
        except OSError as error:
            number = error.errno or 0
        left = int(os.pread(switch, 16, 0))
        os.write(switch, b"0")
        os.write(tell, json.dumps([number, left, seen]).encode())

    told: dict[str, Any] = {"errnos": Counter(), "changed": [], "ended": False}
    with Context(context) as pool, pool.alloc(size) as chunk:
        with chunk.cpu_access("w") as view:
            view[0], view[size - 1] = 3, 4
        before = pool.query()
        for nth in range(1, most):
            ready, tell = os.pipe()
            if not (child := os.fork()):
                try:
                    touch(nth)
                finally:
                    os._exit(0)
            os.close(tell)
            _, status = os.waitpid(child, 0)
            said = os.read(ready, 100)
            os.close(ready)
            number, left, seen = json.loads(said) if said else (-status, 0, 0)
            if (not number and seen != 7) or pool.query() != before:
                told["changed"].append([nth, number, seen])
            if left:
                told["ended"] = not number
                break
            told["errnos"][number] += 1
    return told | {"errnos": dict(told["errnos"])}


@CONTEXTS
def test_a_mapping_that_gets_no_memory_is_refused_or_works(faulty: Any, context: str) -> None:
    """It never ends a process by a signal: a fault without memory is tried again."""
    check(faulty.call(touch_spoiled, context=context, size=4 << 20, most=MOST), set())
