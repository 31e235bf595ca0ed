# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Allocation while others live in a shared context's bank: those who leave, those who do not.

The tenants are pages of a tmpfs file, or anonymous memory; one that will not leave is held by a
pipe that it was spliced into. Every test with tenants ends with a look at the file's content.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bench.pressure import fill as leave

MIB = 1 << 20
BANK = 64 * MIB
BLOCK = 4 * MIB
"""The largest pageblock of the boards."""
FILE = "/run/tenants/file"


pytestmark = [pytest.mark.usefixtures("module"), pytest.mark.lg_feature("spare-memory")]


def where(context: str) -> list[int]:
    """Return the first address and the size of a context's bank, which must be empty."""
    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(pool.query().size) as whole:
        pin = pool.pin(whole)
        return [pin.address, pin.size]


def fill(path: str, ballast: str) -> None:
    """Write a file that has no other place left than the banks; then make room elsewhere.

    The ballast lies in a ramfs, whose pages the system never puts into a bank.
    """
    import os
    import random

    def meminfo() -> tuple[int, int]:
        with open("/proc/meminfo") as lines:
            kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return kib["MemFree"] << 10, kib["CmaFree"] << 10

    def outside() -> int:
        return meminfo()[0] - meminfo()[1]

    block = 4 << 20
    data = random.Random(block).randbytes(2 * block)
    with open(ballast, "ab") as file:
        while outside() > 28 << 20:
            file.write(bytes(block))
            file.flush()
    with open(path, "xb") as file:
        while meminfo()[1] > 14 << 20 and outside() > 12 << 20:
            file.write(data[8 * file.tell() // block :][:block])
            file.flush()
    os.truncate(ballast, max(0, os.stat(ballast).st_size - (160 << 20)))


def intact(path: str) -> bool:
    """Tell whether a file holds what fill() wrote."""
    import random

    block = 4 << 20
    data = random.Random(block).randbytes(2 * block)
    with open(path, "rb") as file:
        return all(
            data[8 * number :][:block] == got
            for number, got in enumerate(iter(lambda: file.read(block), b""))
        )


def inside(path: str, start: int, size: int) -> list[list[int]]:
    """Return [offset in the file, length, address] of the file's pages that lie in a bank."""
    import mmap

    from cm_agent.contiguity import pagemap

    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping,
        memoryview(mapping) as view,
    ):
        runs = pagemap.runs(view)
    return [
        [run.offset, run.length, run.address] for run in runs if start <= run.address < start + size
    ]


def tenanted(runs: list[list[int]]) -> int:
    return sum(length for _, length, _ in runs)


@pytest.fixture(scope="module")
def ballast(board: Any) -> Iterator[str]:
    """A file that keeps the system's other memory occupied, but for 4 MiB of reserve.

    Free pages that wait in a CPU's own list are not counted as free, so those lists are kept short.
    They are anyway before 5.14, whose kernels do not know (-e) this limit. And the reserve is not
    boosted when pageblocks change hands, by 8 MiB a zone: more than is left outside of the banks.
    """
    reserve = board.check("sysctl -n vm.min_free_kbytes")
    boost = board.check("sysctl -n vm.watermark_boost_factor")
    board.check("mkdir -p /run/ballast && mount -t ramfs ballast /run/ballast")
    board.check("sysctl -eq vm.min_free_kbytes=4096 vm.percpu_pagelist_high_fraction=1000")
    board.check("sysctl -q vm.watermark_boost_factor=0")
    yield "/run/ballast/file"
    board.check("umount /run/ballast; sysctl -eq vm.percpu_pagelist_high_fraction=0")
    board.check(f"sysctl -q vm.min_free_kbytes={reserve} vm.watermark_boost_factor={boost}")


@pytest.fixture
def tenants(board: Any, ballast: str) -> Iterator[tuple[int, int]]:
    """The address and the size of the bank of `shared`, which is full of pages of FILE."""
    start, size = board.call(where, context="shared")
    board.check("echo 2 >/proc/sys/vm/drop_caches")  # what lingers goes back to the system
    board.check("mkdir -p /run/tenants && mount -t tmpfs -o size=90% tenants /run/tenants")
    try:
        board.call(fill, path=FILE, ballast=ballast)
        there = tenanted(board.call(inside, path=FILE, start=start, size=size))
        assert there > BANK // 2, f"only {there:,} bytes of the file lie in the bank"
        yield start, size
        assert board.call(intact, path=FILE), "the file's content has changed"
    finally:
        board.check("umount /run/tenants")


def take(context: str, size: int, alignment: int = 0) -> dict[str, Any]:
    """Allocate, verify and free one chunk; tell its address, or why there was none."""
    from cm_agent.contiguity.verification import verify
    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    with Context(context) as pool:
        retries = pool.stats().retries
        try:
            with pool.alloc(size, alignment) as buffer:
                with buffer.cpu_access("r") as view:
                    zeros = bytes(1 << 20)
                    parts = (view[at : at + len(zeros)] for at in range(0, len(view), len(zeros)))
                    zero = all(part == zeros[: len(part)] for part in parts)
                verdict = str(verify(buffer, pool, preserve=False).verdict)
                got = {"verdict": verdict, "zero": zero, "address": pool.pin(buffer).address}
        except AllocationError as error:
            got = {
                "reason": error.reason.name,
                "errno": error.errno,
                "free": error.free,
                "largest_hole": error.largest_hole,
            }
        return got | {"retries": pool.stats().retries - retries}


@pytest.mark.parametrize("size", [BANK, 5 * MIB + 4096], ids=["whole bank", "5 MiB and a page"])
def test_tenants_make_room_and_keep_their_content(board: Any, tenants: Any, size: int) -> None:
    start, _ = tenants
    got = board.call(take, context="shared", size=size)
    assert (got["verdict"], got["zero"]) == ("CONTIGUOUS", True)
    assert start <= got["address"] < start + BANK


def test_no_tenant_is_left_in_memory_that_was_given_out(board: Any, tenants: Any) -> None:
    start, size = tenants
    assert board.call(whole_bank_and_tenants, path=FILE, start=start, size=size) == 0


def whole_bank_and_tenants(path: str, start: int, size: int) -> int:
    """Return how many pages of a file lie in the bank while a chunk is all of it."""
    import mmap

    from cm_agent.contiguity import pagemap
    from cm_agent.core.context import Context

    with (
        Context("shared") as context,
        context.alloc(size),
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping,
        memoryview(mapping) as view,
    ):
        return sum(start <= run.address < start + size for run in pagemap.runs(view))


def anonymous(start: int, size: int) -> dict[str, Any]:
    """Make the bank's tenant a process' own memory, and allocate all of the bank."""
    import mmap

    from cm_agent.contiguity import pagemap
    from cm_agent.core.context import Context

    def inside() -> int:
        with memoryview(memory) as view:
            runs = pagemap.runs(view)
        return sum(run.length for run in runs if start <= run.address < start + size)

    def stamp(number: int) -> bytes:
        return number.to_bytes(8, "little") * 512

    held = []
    while sum(len(memory) for memory in held) < 512 << 20:
        memory = mmap.mmap(-1, 16 << 20)
        for number in range(0, len(memory), 4096):
            memory[number : number + 4096] = stamp(number)
        if inside() > 8 << 20:
            break
        held.append(memory)
    there = inside()
    with Context("shared") as context, context.alloc(size):
        left = inside()
    kept = all(memory[at : at + 4096] == stamp(at) for at in range(0, len(memory), 4096))
    return {"there": there, "left": left, "kept": kept}


@pytest.mark.two_kernels
def test_anonymous_memory_makes_room_and_keeps_its_content(board: Any, ballast: str) -> None:
    start, size = board.call(where, context="shared")
    board.check("echo 2 >/proc/sys/vm/drop_caches")  # what lingers goes back to the system
    board.call(leave, path=ballast, left=96 * MIB)
    got = board.call(anonymous, start=start, size=size)
    assert got["there"] > 8 * MIB
    assert (got["left"], got["kept"]) == (0, True)


def lowest(board: Any, start: int, size: int) -> dict[str, int]:
    """Return where in FILE its lowest page in the bank is, and how much of the bank lies below.

    That much of it, in pageblocks, others or nobody may have: which pages the system leaves free
    until the end is its own affair.
    """
    runs = board.call(inside, path=FILE, start=start, size=size)
    offset, _, address = min(runs, key=lambda run: run[2])
    return {"offset": offset, "below": (address - start) // BLOCK * BLOCK}


def with_a_page_held(
    path: str, offset: int, size: int, deadline: float | None = None, below: int = 0
) -> dict[str, Any]:
    """Splice a page of a file into a pipe, which holds it, and ask for a chunk.

    What lies below the page is taken before, so that it is in the first place that is tried.
    """
    import os

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    file, (reader, writer) = os.open(path, os.O_RDONLY), os.pipe()
    try:
        assert os.splice(file, writer, 4096, offset_src=offset) == 4096
        with Context("shared") as context:
            ground = context.alloc(below) if below else None
            retries = context.stats().retries
            try:
                with context.alloc(size, deadline=deadline) as buffer:
                    got = {"errno": 0, "address": context.pin(buffer).address}
            except AllocationError as error:
                got = {"reason": error.reason.name, "errno": error.errno, "free": error.free}
            if ground:
                ground.close()
            return got | {"retries": context.stats().retries - retries}
    finally:
        for fd in (file, reader, writer):
            os.close(fd)


@pytest.mark.parametrize("size", [8 * MIB, 40 * MIB])
def test_a_page_that_stays_is_avoided(board: Any, tenants: Any, size: int) -> None:
    """It lies in the first place that is tried, so at least one retry is needed."""
    start, bank = tenants
    held = lowest(board, start, bank)
    got = board.call(with_a_page_held, path=FILE, size=size, **held)
    assert got["errno"] == 0 and got["retries"] > 0, got
    assert start + held["below"] < got["address"] <= start + bank - size


def test_a_page_that_stays_makes_the_whole_bank_busy(board: Any, tenants: Any) -> None:
    start, size = tenants
    runs = board.call(inside, path=FILE, start=start, size=size)
    got = board.call(with_a_page_held, path=FILE, offset=runs[0][0], size=BANK)
    assert (got["reason"], got["errno"], got["free"]) == ("BUSY", 16, BANK), got
    after = board.call(take, context="shared", size=BANK)
    assert after["verdict"] == "CONTIGUOUS", "the page was let go, and still"


def compact_past_an_obstacle(path: str, offset: int, below: int) -> dict[str, Any]:
    """While a page of a file is held, fill a context above it, free two chunks that are no
    neighbours, and ask for both their sizes."""
    import os

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    file, (reader, writer) = os.open(path, os.O_RDONLY), os.pipe()
    try:
        assert os.splice(file, writer, 4096, offset_src=offset) == 4096
        with Context("shared") as context:
            ground = context.alloc(below) if below else None
            if ground:
                context.pin(ground)
            size = (context.query().free - (4 << 20)) // (28 << 20) * (4 << 20)
            chunks = [context.alloc(size) for _ in range(7)]
            order = [entry.id for entry in context.layout()]
            chunks.sort(key=lambda chunk: order.index(chunk.id))
            for number, chunk in enumerate(chunks):
                with chunk.cpu_access("w") as view:
                    view[:8] = bytes([number]) * 8
            chunks.pop(2).close()
            chunks.pop(0).close()
            before = context.stats()
            try:
                with context.alloc(2 * size):
                    got = "granted"
            except AllocationError as error:
                got = str(error)
            heads = []
            for chunk in chunks:
                with chunk.cpu_access("r") as view:
                    heads.append(view[0])
                chunk.close()
            if ground:
                ground.close()
            return {"got": got, "heads": heads, "moves": context.stats().moves - before.moves}
    finally:
        for fd in (file, reader, writer):
            os.close(fd)


def test_chunks_are_moved_past_a_page_that_stays(board: Any, tenants: Any) -> None:
    """It lies in the lowest pageblock, where a plan that does not know it would put a chunk."""
    held = lowest(board, *tenants)
    got = board.call(compact_past_an_obstacle, path=FILE, **held)
    assert (got["got"], got["heads"]) == ("granted", [1, 3, 4, 5, 6]), got
    assert got["moves"] > 0


# -- deadlines


def in_no_time(size: int) -> list[str]:
    """Allocate with a deadline of a nanosecond, again and again."""
    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    outcomes = []
    with Context("shared") as context:
        for _ in range(20):
            try:
                context.alloc(size, deadline=1e-9).close()
                outcomes.append("granted")
            except AllocationError as error:
                outcomes.append(f"{error.reason.name} {error.errno}")
    return outcomes


def test_a_nanosecond_is_enough_or_ends_in_deadline(board: Any, tenants: Any) -> None:
    """The attempt under way is not broken off, so a chunk may come out of it, too."""
    outcomes = board.call(in_no_time, size=MIB)
    assert set(outcomes) <= {"granted", "DEADLINE 110"}, outcomes


def test_a_deadline_ends_a_search_for_a_place_that_is_busy(board: Any, tenants: Any) -> None:
    start, size = tenants
    runs = board.call(inside, path=FILE, start=start, size=size)
    offset = runs[0][0]
    got = board.call(with_a_page_held, path=FILE, offset=offset, size=BANK, deadline=1e-9)
    assert (got["reason"], got["errno"]) == ("DEADLINE", 110), got
    assert got["retries"] <= 1, "it is seen between two pageblocks, or after the first place"
