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

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
pytestmark = [
    pytest.mark.lg_feature("fault-injection"),
    # vmalloc() traces its failures; a report has another line that tells it is one.
    pytest.mark.kernel_log("Call trace:", "vmalloc error"),
]
SLOT = 64 << 10
SLOTS = 6
MOST = 500
LOADS = 40
# Whatever allocates may fail, single page frames included; nothing is said in the log. Those for
# user space are left alone: Python's own page faults would be counted, a few or none.
READY = """
cd /sys/kernel/debug
for it in failslab fail_page_alloc; do
    echo 0 >$it/verbose && echo 0 >$it/probability && echo N >$it/ignore-gfp-wait || exit 1
done
echo Y >fail_page_alloc/ignore-gfp-highmem && echo 0 >fail_page_alloc/min-order
"""


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

    from cm_agent import uapi
    from cm_agent.context import Context
    from cm_agent.v4l2.device import VideoDevice
    from cm_agent.v4l2.lookup import find

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
        if what == "name":
            return lambda: chunks[0].set_name("spoilt")
        device = stack.enter_context(VideoDevice(find("vivid")))
        frame = stack.enter_context(
            pool.alloc(device.capture.negotiate(640, 480, "RGB3").planes[0].size)
        )
        device.capture.request_buffers(1)
        return lambda: device.capture.queue(0, [frame])

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


# What is done, with which members, and the errnos besides ENOMEM that it may fail with.
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
    "open": ({}, set()),
    "name": ({}, set()),
}


def check(got: dict[str, Any], allowed: set[int]) -> None:
    """Compare what `spoil` told with what must hold."""
    numbers = {number for number, count in got["errnos"].items() if count}
    said = f"{sum(got['errnos'].values())} allocations failed: {got}"
    print(said)
    assert got["ended"], said
    assert numbers, "nothing was made to fail"
    assert got["changed"] == [], said
    assert numbers <= {0, errno.ENOMEM, *allowed}, said


@CONTEXTS
@pytest.mark.parametrize("what", CALLS)
def test_a_call_that_gets_no_memory_changes_nothing(faulty: Any, what: str, context: str) -> None:
    members, allowed = CALLS[what]
    slots = SLOTS if what == "COMPACT" else 1
    scene = {"what": what, "members": members, "slots": slots, "most": MOST}
    check(faulty.call(spoil, context=context, **scene), allowed)


@CONTEXTS
def test_an_allocation_that_must_move_chunks(faulty: Any, context: str) -> None:
    """No hole of the checkerboard has room for it."""
    scene = {"what": "ALLOC", "members": {"size": 2 * SLOT}, "slots": SLOTS, "most": MOST}
    check(faulty.call(spoil, context=context, **scene), {errno.EBUSY})


@CONTEXTS
@pytest.mark.lg_feature("vivid")
def test_an_import_that_gets_no_memory(faulty: Any, vivid: Any, context: str) -> None:
    scene = {"what": "import", "members": {}, "slots": 1, "most": MOST}
    check(faulty.call(spoil, context=context, **scene), set())


def touch_spoiled(context: str, size: int, most: int) -> Any:
    """Have a child map a chunk and touch it, failing its first, its second, ... allocation."""
    import json
    import mmap
    import os
    from collections import Counter

    from cm_agent.context import Context

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


def load_spoiled(loads: int) -> dict[str, Any]:
    """Insert and remove the module, one allocation of each failing; 0 loads are as many as it has.

    The system calls are made here, by their numbers on arm64: fail-nth is the calling thread's.
    """
    import ctypes
    import os
    import subprocess
    from collections import Counter

    from cm_agent.context import Context

    libc = ctypes.CDLL(None, use_errno=True)
    switch = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    module = os.open(f"/lib/modules/{os.uname().release}/updates/cm.ko", os.O_RDONLY)
    insert, remove = (273, module, b"", 0), (106, b"cm", os.O_NONBLOCK)

    def call(words: tuple[Any, ...], nth: int) -> tuple[int, int]:
        os.write(switch, b"%d" % nth)
        failed = libc.syscall(*words)
        number, left = ctypes.get_errno() if failed else 0, int(os.pread(switch, 16, 0))
        os.write(switch, b"0")
        return number, nth - left

    told = {"insert": Counter(), "remove": Counter(), "contexts": Counter()}
    subprocess.run(["rmmod", "cm"], check=True)
    (_, inserting), (_, removing) = call(insert, 1 << 30), call(remove, 1 << 30)
    rounds = min(loads or inserting, inserting)
    for turn in range(rounds):
        number, _ = call(insert, 1 + turn * inserting // rounds)
        told["insert"][number] += 1
        if not number:
            subprocess.run(["udevadm", "settle", "--timeout=60"], check=True)
            there = os.listdir("/sys/class/cm")
            told["contexts"][len(there)] += 1
            told["remove"][call(remove, 1 + turn % max(removing, 1))[0]] += 1
    left = [path for path in ("/sys/class/cm", "/sys/module/cm") if os.path.exists(path)]
    subprocess.run(["modprobe", "cm"], check=True)
    subprocess.run(["udevadm", "settle", "--timeout=60"], check=True)
    whole = []
    for name in ("shared", "private"):
        with Context(name) as pool, pool.alloc(pool.query().size, deadline=60) as chunk:
            whole.append(chunk.size == pool.query().size)
    os.close(switch)
    os.close(module)
    counts = {name: dict(count) for name, count in told.items()}
    return counts | {"allocations": [inserting, removing], "left": left, "whole": whole}


def test_the_module_loads_and_unloads_or_says_enomem(
    faulty: Any, request: pytest.FixtureRequest
) -> None:
    """A context whose probe got no memory is missing, and nothing else; unloading never fails."""
    loads = 0 if request.config.getoption("--thorough") else LOADS
    got = faulty.call(load_spoiled, timeout=900, loads=loads)
    print(got)
    assert set(map(int, got["insert"])) <= {0, errno.ENOMEM}, got
    assert set(map(int, got["remove"])) == {0}, got
    assert (got["left"], got["whole"]) == ([], [True, True]), got
