# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Granules: what a shared context takes from the system, how long it keeps that, what is stuck.

What the system has again is in /proc/meminfo as CmaFree, but for what waits in the CPUs' own lists:
so these are kept short, and the tests look at much more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from bench.pressure import scarce
from boards.tracing import trace_buffer

pytestmark = pytest.mark.lg_feature("device-tree")
COUNTED = pytest.mark.usefixtures("countable")
PAGE, MIB = 1 << 12, 1 << 20
BANK = 64 * MIB
GRANULE = 2 * MIB
SIZE = 32 * MIB
SLACK = 8 * MIB
"""Of free pages, the number that may wait in lists of the CPUs, or be put to use by others."""
PARAMETER = "/sys/module/cm/parameters/linger_ms"


@pytest.fixture
def lingering(module: Any) -> Iterator[Any]:
    """The board; granules linger as long as before afterwards, and none is left that does not."""
    before = module.check(f"cat {PARAMETER}")
    yield module
    module.check(f"echo {before} >{PARAMETER} && echo 2 >/proc/sys/vm/drop_caches")


@pytest.fixture
def countable(module: Any) -> Iterator[Any]:
    """The board, whose free pages are not kept back by CPUs (-e: by few before 5.14, anyway)."""
    module.check("sysctl -eq vm.percpu_pagelist_high_fraction=1000")
    yield module
    module.check("sysctl -eq vm.percpu_pagelist_high_fraction=0")


# -- lingering


def alloc_and_close(size: int, linger_ms: int | None, then: str) -> dict[str, Any]:
    """Allocate, touch and close a chunk; tell how many bytes the system lacks when it is closed,
    and in the end: `then` is "wait", "shrink", or nothing.
    """
    import time
    from pathlib import Path

    from cm_agent.core.context import Context

    parameter = Path("/sys/module/cm/parameters/linger_ms")

    def free() -> int:
        Path("/proc/sys/vm/stat_refresh").write_text("1")
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("CmaFree:"))

    def wait(most: int) -> int:
        limit = time.monotonic() + 60
        while (lacks := before - free()) > most and time.monotonic() < limit:
            time.sleep(0.1)
        return lacks

    Path("/proc/sys/vm/drop_caches").write_text("2")
    default = int(parameter.read_text())
    if linger_ms is not None:
        parameter.write_text(str(linger_ms))
    before = free()
    with Context("shared") as pool:
        with pool.alloc(size) as chunk:
            with chunk.cpu_access("w") as view:
                view[:: 1 << 20] = b"\x5a" * (size >> 20)
            taken = before - free()
        closed, state = before - free(), pool.query()
    if then == "shrink":
        Path("/proc/sys/vm/drop_caches").write_text("2")
    return {
        "default": default,
        "taken": taken,
        "closed": closed,
        "counts as free": state.free == state.largest_hole == state.size,
        "end": wait(size // 4) if then == "wait" else before - free(),
    }


@COUNTED
def test_memory_lingers_and_goes_back_by_itself(lingering: Any) -> None:
    """For a second, by default. What lingers counts as free."""
    got = lingering.call(alloc_and_close, size=SIZE, linger_ms=None, then="wait")
    assert got["default"] == 1000
    assert got["taken"] > SIZE - SLACK, got
    assert got["closed"] > SIZE - SLACK, got
    assert got["counts as free"]
    assert got["end"] < SLACK, got


@COUNTED
def test_the_shrinker_gives_back_what_lingers(lingering: Any) -> None:
    """At once, however long it would have lingered."""
    got = lingering.call(alloc_and_close, size=SIZE, linger_ms=60_000, then="shrink")
    assert got["closed"] > SIZE - SLACK, got
    assert got["end"] < SLACK, got


@COUNTED
def test_without_the_shrinker_it_is_kept_as_long_as_the_parameter_says(lingering: Any) -> None:
    """What the test above relies on: nothing else gives it back at once."""
    got = lingering.call(alloc_and_close, size=SIZE, linger_ms=60_000, then="")
    assert got["end"] > SIZE - SLACK, got


@COUNTED
def test_a_shorter_time_is_for_what_lingers_already(lingering: Any) -> None:
    got = lingering.call(alloc_and_close, size=SIZE, linger_ms=60_000, then="")
    assert got["end"] > SIZE - SLACK, got
    assert lingering.call(shorten, size=SIZE) == "back"


def shorten(size: int) -> str:
    """Set the parameter to no time at all; tell whether memory comes back within 30 s."""
    import time
    from pathlib import Path

    from cm_agent.core.context import Context

    def free() -> int:
        Path("/proc/sys/vm/stat_refresh").write_text("1")
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("CmaFree:"))

    before = free()
    Path("/sys/module/cm/parameters/linger_ms").write_text("0")
    with Context("shared") as pool:
        pool.alloc(4096).close()
    limit = time.monotonic() + 30
    while free() < before + size // 2:
        if time.monotonic() > limit:
            return f"{free() - before:,} bytes came back"
        time.sleep(0.1)
    return "back"


def unload_while_it_lingers(size: int) -> dict[str, int]:
    """Take the module out, with memory of it that lingers; tell how many bytes are missing then."""
    import subprocess
    from pathlib import Path

    from cm_agent.core.context import Context

    def free() -> int:
        Path("/proc/sys/vm/stat_refresh").write_text("1")
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("CmaFree:"))

    def do(*command: str) -> None:
        subprocess.run(command, check=True)

    do("rmmod", "cm")
    before = free()
    do("modprobe", "cm", "linger_ms=60000")
    do("udevadm", "settle", "--timeout=30")
    loaded = before - free()
    with Context("shared") as pool:
        pool.alloc(size).close()
    closed = before - free()
    do("rmmod", "cm")
    missing = before - free()
    do("modprobe", "cm")
    do("udevadm", "settle", "--timeout=30")
    return {"lingered": closed - loaded, "missing": missing}


@COUNTED
def test_the_module_can_go_while_its_memory_lingers(module: Any) -> None:
    got = module.call(unload_while_it_lingers, size=SIZE)
    assert got["lingered"] > SIZE - SLACK, got
    assert got["missing"] < SLACK, got


# -- taking


def alloc_many(count: int, size: int) -> int:
    """Allocate many chunks at once; return how many granules they lie in, if they are of 2 MiB."""
    from contextlib import ExitStack
    from pathlib import Path

    from cm_agent.core.context import Context

    Path("/proc/sys/vm/drop_caches").write_text("2")
    with ExitStack() as stack, Context("shared") as pool:
        for _ in range(count):
            stack.enter_context(pool.alloc(size))
        return len({it.offset >> 21 for it in pool.layout()})


def test_small_chunks_share_granules(lingering: Any) -> None:
    """As many are taken as a hundred chunks of 64 KiB need, and each one whole."""
    with trace_buffer(lingering) as buffer:
        lingering.check(f"echo cm:cm_migrate >{buffer}/set_event")
        granules = lingering.call(alloc_many, count=100, size=64 << 10)
        printed = lingering.check(f"cat {buffer}/trace")
    taken = re.findall(r"cm_migrate: .* size=(\d+) error=0 ", printed)
    assert granules == len(taken) == -(-100 * (64 << 10) // GRANULE)
    assert {int(size) for size in taken} == {GRANULE}


# -- granules that are stuck


def hold_pages(wanted: list[int], most: int) -> dict[str, Any]:
    """Put a page of granules at these offsets into a pipe, one of each where one comes at all, and
    of no more than so many.

    They come as anonymous memory of this process, which has hardly any other place left. The pipe
    stays open.
    """
    import ctypes
    import mmap
    import os

    from cm_agent.contiguity import pagemap
    from cm_agent.core.context import Context

    def outside() -> int:
        with open("/proc/meminfo") as lines:
            kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return (kib["MemFree"] - kib["CmaFree"]) << 10

    libc, page = ctypes.CDLL(None), mmap.PAGESIZE
    with Context("shared") as pool, pool.alloc(pool.query().size) as whole:
        start, end = pool.pin(whole).address, pool.pin(whole).address + whole.size
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")
    (reader, writer), memories, held, missing = os.pipe(), [], [], set(wanted)
    while missing and len(held) < most and outside() > 16 << 20:
        memory = mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memories.append(memory)
        for offset in range(0, len(memory), page):
            memory[offset] = 1
        with memoryview(memory) as view:
            runs = pagemap.runs(view)
        for run in runs:
            for address in range(run.address, run.address + run.length, page):
                granule = (address - start) >> 21 << 21
                if start <= address < end and granule in missing and len(held) < most:
                    first = ctypes.c_char.from_buffer(memory, run.offset + address - run.address)
                    vector = (ctypes.c_size_t * 2)(ctypes.addressof(first), page)
                    assert libc.vmsplice(writer, vector, 1, 0) == page
                    del first
                    missing.remove(granule)
                    held.append(granule)
    for memory in memories:
        memory.close()
    return {"pipe": [reader, writer], "granules": sorted(held)}


def let_go(pipe: list[int]) -> None:
    import os

    for fd in pipe:
        os.close(fd)


def ask(sizes: list[int], own: int) -> dict[str, Any]:
    """Ask for one chunk after the other, beside one of `own` bytes that may be moved."""
    import os

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    told = []
    with Context("shared") as pool:
        before = pool.query()
        beside = pool.alloc(own) if own else None
        for size in sizes:
            request = uapi.prepare("CM_IOC_ALLOC", size=size)
            try:
                uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
                os.close(request.fd)
            except OSError:
                pass
            told.append([uapi.Reason(request.reason).name, request.retries])
        if beside:
            beside.close()
        return {"told": told, "same": pool.query() == before}


@pytest.fixture
def scarce_board(countable: Any) -> Iterator[Any]:
    """The board with so little memory left that anonymous pages are put into the bank.

    The system's reserve is small, so that nobody is killed for want of it.
    """
    reserve = countable.check("sysctl -n vm.min_free_kbytes")
    boost = countable.check("sysctl -n vm.watermark_boost_factor")
    countable.check("sysctl -q vm.min_free_kbytes=4096 vm.watermark_boost_factor=0")
    with scarce(countable):
        yield countable
    countable.check(f"sysctl -q vm.min_free_kbytes={reserve} vm.watermark_boost_factor={boost}")


@pytest.mark.lg_feature("spare-memory")
def test_a_held_page_is_gone_round_and_what_must_cover_it_is_busy(scarce_board: Any) -> None:
    """With no more tries than there are stuck granules, and one: no place is tried twice.

    It lies about in the middle. What has just room on one side of it is granted: a chunk of 4 MiB
    is there or makes way.
    """
    middle = list(range(26 * MIB, 38 * MIB, GRANULE))
    held = scarce_board.call(hold_pages, wanted=middle, most=1)
    try:
        assert len(held["granules"]) == 1, "no page came to the middle of the bank"
        room = max(held["granules"][0], BANK - held["granules"][0] - GRANULE)
        got = scarce_board.call(ask, sizes=[room - PAGE, 40 * MIB, 48 * MIB, room], own=4 * MIB)
    finally:
        scarce_board.call(let_go, pipe=held["pipe"])
    print(f"stuck at {held['granules']}: {got}")
    assert [reason for reason, _ in got["told"]] == ["NONE", "BUSY", "BUSY", "NONE"], got
    assert max(retries for _, retries in got["told"]) <= 2 and got["same"], got
    after = scarce_board.call(ask, sizes=[BANK], own=0)
    assert after["told"][0][0] == "NONE" and after["same"], "the page was let go, and still"


@pytest.mark.lg_feature("spare-memory")
def test_each_stuck_granule_is_tried_once(scarce_board: Any) -> None:
    """Every other granule is made to be stuck. The widest gap between two is granted."""
    held = scarce_board.call(hold_pages, wanted=list(range(0, BANK, 2 * GRANULE)), most=32)
    try:
        ends = [-GRANULE, *held["granules"], BANK]
        gaps = [after - before - GRANULE for before, after in pairwise(ends)]
        sizes = [max(gaps) + PAGE, BANK, max(gaps)]
        got = scarce_board.call(ask, sizes=sizes, own=0)
    finally:
        scarce_board.call(let_go, pipe=held["pipe"])
    print(f"{len(held['granules'])} granules are stuck, the widest gap is {max(gaps)}: {got}")
    assert len(held["granules"]) >= 4, "hardly a page came into the bank"
    assert [reason for reason, _ in got["told"]] == ["BUSY", "BUSY", "NONE"], got
    assert max(retries for _, retries in got["told"]) <= len(held["granules"]) + 1, got
    after = scarce_board.call(ask, sizes=[BANK], own=0)
    assert got["same"] and after["same"], (got, after)
    assert after["told"][0][0] == "NONE", "the pages were let go, and still"
