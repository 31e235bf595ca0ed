# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""O_DIRECT between a disk and a mapped chunk: the disk's DMA goes to and from the chunk's pages.

The disk is virtio's, whose other end is QEMU, or an SD card behind Samsung's SDHCI with its ADMA2;
on a real board, a partition labelled `cm-test`. Linux holds the pages of a transfer: a chunk does
not move meanwhile, and drains when it is freed.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from boards import toolchain
from boards.board import PROJECT
from boards.emulator import DISK_BYTES

SOURCE = PROJECT / "tests/hil/ring.c"
PARTITION = "/dev/disk/by-partlabel/cm-test"
ARCHITECTURES = {"aarch64": "arm64", "armv7l": "armhf"}
MIB = 1 << 20
pytestmark = pytest.mark.lg_feature("disk")
CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])


@pytest.fixture
def disk(module: Any) -> str:
    """The node of the board's disk, which is overwritten: a real board's by its label only."""
    module.check("udevadm settle")
    if not module.strategy.power:
        return PARTITION
    node: str = module.call(node_of_emulated_disk, size=DISK_BYTES)
    return node


def node_of_emulated_disk(size: int) -> str:
    import time
    from pathlib import Path

    sector, until = 512, time.monotonic() + 30
    while time.monotonic() < until:
        for pattern in ("vd?", "mmcblk?"):
            for entry in Path("/sys/block").glob(pattern):
                if int((entry / "size").read_text()) * sector == size:
                    return f"/dev/{entry.name}"
        time.sleep(0.1)
    raise RuntimeError(f"no disk of {size:,} bytes")


def go_round(context: str, disk: str, total: int, largest: int, seed: int) -> dict[str, Any]:
    """Write chunks to the disk and read them into others, until so many bytes went each way.

    Each is as large as chance has it, a few are there at a time, and a child compacts all the
    while. Tell the bytes, how often what was read differs, how many moves there were, and whether
    the child went on to the end and the context is as it was.
    """
    import mmap
    import os
    import random
    import signal
    import time
    import zlib
    from contextlib import suppress

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    def compact() -> None:
        with Context(context) as pool:
            while True:
                with suppress(AllocationError):
                    pool.compact()

    def transfer(call: Any, fd: int, size: int, offset: int) -> int:
        with mmap.mmap(fd, size) as view:
            if call(device, [view], offset) != size:
                raise RuntimeError(f"a transfer of {size} bytes ended early")
            return zlib.crc32(view)

    def fill(fd: int, size: int) -> None:
        with mmap.mmap(fd, size) as view:
            at = chance.randrange(mmap.PAGESIZE)
            view[:] = noise[at : at + size]

    chance = random.Random(seed)
    noise = chance.randbytes(largest + mmap.PAGESIZE)
    device = os.open(disk, os.O_RDWR | os.O_DIRECT | os.O_EXCL)
    room = os.lseek(device, 0, os.SEEK_END) // largest
    with Context(context) as pool:
        before, moves = pool.query(), pool.stats().moves
        if not (child := os.fork()):
            try:
                compact()
            finally:
                os._exit(1)
        kept, done, wrong, status = [], 0, 0, 0
        try:
            while done < total:
                size = chance.randrange(1, largest // mmap.PAGESIZE + 1) * mmap.PAGESIZE
                offset = chance.randrange(room) * largest
                source, target = pool.alloc(size), pool.alloc(size)
                fill(source.fd, size)
                sent = transfer(os.pwritev, source.fd, size, offset)
                wrong += transfer(os.preadv, target.fd, size, offset) != sent
                done += size
                kept += [source, target]
                while len(kept) > 6:
                    kept.pop(chance.randrange(len(kept))).close()
        finally:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            for chunk in kept:
                chunk.close()
            os.close(device)
        moved = pool.stats().moves - moves
        until = time.monotonic() + 30  # the disk's driver may hold a page a moment longer
        while (after := pool.query()) != before and time.monotonic() < until:
            time.sleep(0.05)
        same = status == signal.SIGKILL and after == before
        return {"bytes": done, "wrong": wrong, "moved": moved, "same": same}


@pytest.mark.every_board
@CONTEXTS
def test_chunks_that_others_compact_go_to_a_disk_and_back(
    module: Any, disk: str, context: str
) -> None:
    scene = {"context": context, "disk": disk, "largest": MIB, "seed": 1}
    got = module.call(go_round, timeout=300, total=16 * MIB, **scene)
    assert got["wrong"] == 0 and got["same"] and got["moved"] > 0, got


@CONTEXTS
def test_much_goes_through_chunks_that_others_compact(
    module: Any, disk: str, context: str, request: pytest.FixtureRequest
) -> None:
    """As much out as in; with --thorough, a gibibyte of both together."""
    total = (512 if request.config.getoption("--thorough") else 128) * MIB
    scene = {"context": context, "disk": disk, "largest": 2 * MIB, "seed": 2}
    got = module.call(go_round, timeout=900, total=total, **scene)
    print(got)
    assert got["bytes"] >= total and got["moved"] > 0, got
    assert got["wrong"] == 0 and got["same"], got


def free_while_read(context: str, disk: str, size: int, rounds: int) -> dict[str, Any]:
    """Free a chunk while a thread has the disk read into it, and allocate at once what is free.

    Tell how the transfers and the frees ended, after how many frees the transfer still held pages,
    how often what was allocated afterwards stayed as it was, and whether the context is as it was
    in the end.
    """
    import mmap
    import os
    import time
    from collections import Counter
    from concurrent.futures import ThreadPoolExecutor

    from cm_agent.core.context import Context

    def read(view: mmap.mmap) -> int:
        try:
            return os.preadv(device, [view], 0)
        except OSError as error:
            return -(error.errno or 255)

    def free(chunk: Any) -> int:
        try:
            pool.free(chunk)
        except OSError as error:
            return error.errno or 255
        return 0

    transfers: Counter[int] = Counter()
    frees: Counter[int] = Counter()
    intact = overlapped = 0
    device = os.open(disk, os.O_RDWR | os.O_DIRECT | os.O_EXCL)
    try:
        with Context(context) as pool, ThreadPoolExecutor(1) as executor:
            with mmap.mmap(-1, size) as noise:
                noise[:] = b"\xa5" * size
                os.pwritev(device, [noise], 0)
            before = pool.query()
            for number in range(rounds):
                with pool.alloc(size) as chunk, mmap.mmap(chunk.fd, size) as view:
                    transfer = executor.submit(read, view)
                    time.sleep(number % 10 / 2000)
                    frees[free(chunk)] += 1
                    overlapped += pool.query().draining > 0
                    with pool.alloc(size) as other:
                        transfers[transfer.result()] += 1
                        with other.cpu_access("r") as seen:
                            intact += seen.tobytes().count(0) == size
            until = time.monotonic() + 30
            while (after := pool.query()) != before and time.monotonic() < until:
                time.sleep(0.05)
    finally:
        os.close(device)
    kept = {"intact": intact, "overlapped": overlapped, "same": after == before}
    return kept | {"transfers": dict(transfers), "frees": dict(frees)}


@pytest.mark.every_board
@CONTEXTS
def test_a_chunk_is_freed_while_a_disk_is_read_into_it(
    module: Any, disk: str, context: str
) -> None:
    """The transfer ends as it would have, or at once (EFAULT); and nobody else's memory changes."""
    size, rounds = MIB, 60
    scene = {"context": context, "disk": disk, "size": size, "rounds": rounds}
    got = module.call(free_while_read, timeout=300, **scene)
    print(got)
    assert got["intact"] == rounds and got["same"], got
    assert set(got["frees"]) == {0} and got["overlapped"] > 0, got
    assert all(it == -errno.EFAULT or it >= 0 for it in got["transfers"]), got


def go_round_by_io_uring(
    context: str, disk: str, program: str, size: int, rounds: int
) -> dict[str, Any]:
    """Have io_uring write a chunk to the disk and read it into another, all pieces at once, while
    a child compacts. Tell how many differ, the moves, and whether the context is as it was.
    """
    import os
    import signal
    import subprocess
    import time
    from contextlib import suppress

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    def compact() -> None:
        with Context(context) as pool:
            while True:
                with suppress(AllocationError):
                    pool.compact()

    def transfer(verb: str, fd: int) -> None:
        words = [program, verb, str(device), str(fd), str(size)]
        subprocess.run(words, check=True, pass_fds=[device, fd], timeout=60)

    device, wrong = os.open(disk, os.O_RDWR | os.O_DIRECT | os.O_EXCL), 0
    with Context(context) as pool:
        before, moves = pool.query(), pool.stats().moves
        if not (child := os.fork()):
            try:
                compact()
            finally:
                os._exit(1)
        try:
            for _ in range(rounds):
                with pool.alloc(size) as hole, pool.alloc(size) as source:
                    hole.close()
                    noise = os.urandom(size)
                    with source.cpu_access("w") as view:
                        view[:] = noise
                    transfer("write", source.fd)
                    with pool.alloc(size) as target:
                        transfer("read", target.fd)
                        with target.cpu_access("r") as view:
                            wrong += view != noise
        finally:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            os.close(device)
        moved = pool.stats().moves - moves
        until = time.monotonic() + 30
        while (after := pool.query()) != before and time.monotonic() < until:
            time.sleep(0.05)
        same = status == signal.SIGKILL and after == before
        return {"wrong": wrong, "moved": moved, "same": same}


@pytest.mark.every_board
@CONTEXTS
def test_io_uring_reads_and_writes_chunks(module: Any, disk: str, context: str) -> None:
    program = "/var/tmp/cm-ring"
    module.put(build_ring(ARCHITECTURES[module.check("uname -m").strip()]), program)
    module.check(f"chmod 755 {program}")
    scene = {"context": context, "disk": disk, "program": program, "size": MIB, "rounds": 20}
    got = module.call(go_round_by_io_uring, timeout=300, **scene)
    module.check(f"rm {program}")
    assert got["wrong"] == 0 and got["same"] and got["moved"] > 0, got


def build_ring(architecture: str) -> Path:
    """Build ring.c for an architecture of Debian's, and return where it is."""
    built = PROJECT / f"build/ring/{architecture}"
    built.parent.mkdir(parents=True, exist_ok=True)
    words = ["-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", str(built), str(SOURCE)]
    toolchain.compile("trixie", architecture, words)
    return built
