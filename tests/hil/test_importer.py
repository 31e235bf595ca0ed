# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A DMA engine copies between chunks, by a driver that imports them as every driver does.

The engine is a PL330, as Samsung's chips have it, or that of the Raspberry Pi, for which memory has
other addresses than for the CPU; importer/dma_importer.c attaches, maps, copies.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from boards.board import PROJECT
from boards.remote import RemoteBoard

pytestmark = [pytest.mark.every_board, pytest.mark.lg_feature("dma-engine")]

RASPBERRY = "bcm2835-dma"
# By how much an engine's address of memory differs from the CPU's, by its driver's name.
BUS_OFFSETS = {RASPBERRY: 0xC0000000}
# The bytes that an engine copies at a time: QEMU's model never ends when a size is no multiple.
UNITS = {RASPBERRY: 4}


@pytest.fixture(scope="module")
def built(board: RemoteBoard) -> None:
    """The driver, there to be loaded; an emulated board's image has it."""
    if not board.strategy.power:
        board.strategy.build_on_board(PROJECT / "tests/hil/importer", "dma_importer")


@pytest.fixture(autouse=True)
def importer(module: Any, built: None) -> Iterator[None]:
    """The driver, loaded."""
    module.check("modprobe dma_importer && udevadm settle")
    yield
    module.check("modprobe -r dma_importer")


@pytest.fixture
def engine(module: Any) -> str:
    """The name of the engine's driver."""
    path = module.check("readlink -f /sys/class/dma/dma0chan0/device/driver")
    return str(path.strip().rpartition("/")[2])


def copy_at_random(transfers: int, most: int, chunks: int, unit: int, seed: int) -> dict[str, Any]:
    """Have the engine copy between chunks of both contexts, random parts of random ones, and do
    the same to bytes of our own. After each copy, compare where it went; compact when nothing is
    mapped. Sizes and places are multiples of `unit`.

    Tell transfers, bytes, moves, how many chunks had a wrong byte, and whether the contexts are as
    they were.
    """
    import fcntl
    import mmap
    import os
    import random
    import struct
    from contextlib import ExitStack

    from cm_agent.core.context import Context

    attach, map_, unmap, detach, copy = range(5)
    layout = struct.Struct("=IiIIQQQ")

    def call(verb: int, *words: int) -> None:
        number = 3 << 30 | layout.size << 16 | ord("I") << 8 | verb
        fcntl.ioctl(engine, number, bytearray(layout.pack(*words, *[0] * (7 - len(words)))))

    def allocate() -> Any:
        size = chance.randrange(1, most // mmap.PAGESIZE + 1) * mmap.PAGESIZE
        chunk, told = chance.choice(pools).alloc(size), bytearray(chance.randbytes(size))
        with chunk.cpu_access("w") as view:
            view[:] = told
        return chunk, told

    def transfer(source: Any, target: Any) -> int:
        size = chance.randrange(unit, min(len(source[1]), len(target[1])) + 1, unit)
        at = chance.randrange(0, len(source[1]) - size + 1, unit)
        to = chance.randrange(0, len(target[1]) - size + 1, unit)
        for slot, (chunk, _) in enumerate((source, target)):
            call(attach, slot, chunk.fd)
            call(map_, slot)
        call(copy, 0, 0, 1, 0, at, to, size)
        for slot in range(2):
            call(unmap, slot)
            call(detach, slot)
        target[1][to : to + size] = source[1][at : at + size]
        return size

    def is_wrong(it: Any) -> bool:
        with it[0].cpu_access("r") as view:
            return view.tobytes() != it[1]

    chance, copied, wrong = random.Random(seed), 0, 0
    with ExitStack() as stack:
        engine = os.open("/dev/dma_importer", os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, engine)
        pools = [stack.enter_context(Context(name)) for name in ("shared", "private")]
        before, moves = [it.query() for it in pools], [it.stats().moves for it in pools]
        kept = [allocate() for _ in range(chunks)]
        stack.callback(lambda: [chunk.close() for chunk, _ in kept])
        for number in range(transfers):
            source, target = chance.sample(kept, 2)
            copied += transfer(source, target)
            wrong += is_wrong(target)
            if number % 4 == 0:
                kept.pop(chance.randrange(len(kept)))[0].close()
                chance.choice(pools).compact()
                kept.append(allocate())
        wrong += sum(map(is_wrong, kept))
        for chunk, _ in kept:
            chunk.close()
        moved = [it.stats().moves - was for it, was in zip(pools, moves, strict=True)]
        same = [it.query() for it in pools] == before
        return {"bytes": copied, "wrong": wrong, "moved": moved, "same": same}


def test_copies_between_chunks_that_move(
    module: Any, engine: str, request: pytest.FixtureRequest
) -> None:
    """With --thorough, 10,000."""
    transfers = 10_000 if request.config.getoption("--thorough") else 1000
    scene = {"transfers": transfers, "most": 64 << 10, "chunks": 10, "seed": 1}
    scene["unit"] = UNITS.get(engine, 1)
    got = module.call(copy_at_random, timeout=1200, **scene)
    print(got)
    assert got["wrong"] == 0 and got["same"] and min(got["moved"]) > transfers / 100, got


def take_turns(rounds: int, size: int, seed: int) -> dict[str, list[int]]:
    """Map two chunks for the engine; in each round the CPU writes one of them, the engine copies it
    to the other, and the CPU reads that. Both stay mapped all the while.

    Tell in which rounds the CPU read something else, and by how much the engine's addresses differ
    from the CPU's.
    """
    import fcntl
    import os
    import random
    import struct
    from contextlib import ExitStack

    from cm_agent.core.context import Context

    attach, map_, copy = 0, 1, 4
    layout = struct.Struct("=IiIIQQQ")

    def call(verb: int, *words: int) -> tuple[int, ...]:
        number = 3 << 30 | layout.size << 16 | ord("I") << 8 | verb
        request = bytearray(layout.pack(*words, *[0] * (7 - len(words))))
        fcntl.ioctl(engine, number, request)
        return layout.unpack(request)

    chance, wrong, differences = random.Random(seed), [], []
    with ExitStack() as stack:
        pools = [stack.enter_context(Context(name)) for name in ("shared", "private")]
        chunks = [stack.enter_context(pool.alloc(size)) for pool in pools]
        engine = os.open("/dev/dma_importer", os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, engine)
        for slot, (pool, chunk) in enumerate(zip(pools, chunks, strict=True)):
            call(attach, slot, chunk.fd)
            address = call(map_, slot)[4]
            differences.append(address - pool.pin(chunk).address)
            pool.unpin(chunk)
        for number in range(rounds):
            source, target = number % 2, 1 - number % 2
            told = chance.randbytes(size)
            with chunks[source].cpu_access("w") as view:
                view[:] = told
            call(copy, source, 0, target, 0, 0, 0, size)
            with chunks[target].cpu_access("r") as view:
                if view.tobytes() != told:
                    wrong.append(number)
    return {"wrong": wrong, "differences": differences}


def test_cpu_and_engine_take_turns_at_mapped_chunks(module: Any, engine: str) -> None:
    got = module.call(take_turns, rounds=20, size=64 << 10, seed=1)
    assert got == {"wrong": [], "differences": [BUS_OFFSETS.get(engine, 0)] * 2}


def act(context: str, importer: str, action: str) -> dict[str, Any]:
    """Import a chunk in a child, whose driver alone has it then, act on it, and tell what came of
    it. Beside the chunk lies a hole into which it would move.
    """
    import fcntl
    import os
    import signal
    import struct
    import subprocess

    from cm_agent.core.context import Context

    attach, map_, unmap = range(3)
    layout = struct.Struct("=IiIIQQQ")

    def call(engine: int, verb: int, *words: int) -> None:
        number = 3 << 30 | layout.size << 16 | ord("I") << 8 | verb
        fcntl.ioctl(engine, number, bytearray(layout.pack(*words, *[0] * (7 - len(words)))))

    def hold() -> None:
        engine = os.open("/dev/dma_importer", os.O_RDWR | os.O_CLOEXEC)
        call(engine, attach, 0, chunk.fd, importer == "dynamic")
        if importer in ("mapped", "unmapped"):
            call(engine, map_, 0)
        if importer == "unmapped":
            call(engine, unmap, 0)
        for it in (chunk, hole, pool):
            it.close()

    def attempt(what: Any) -> int:
        try:
            what(chunk)
        except OSError as error:
            return error.errno or 255
        return 0

    def chunks() -> int:
        with Context(context) as its:
            return its.query().chunks - before.chunks

    def start() -> int:
        ready, tell = os.pipe()
        if not (child := os.fork()):
            try:
                hold()
                os.write(tell, b"1")
                signal.pause()
            finally:
                os._exit(1)
        os.close(tell)
        with open(ready, "rb") as told:
            if not told.read(1):
                raise RuntimeError("the chunk could not be imported")
        return child

    told: dict[str, Any] = {}
    with Context(context) as pool:
        before = pool.query()
        with pool.alloc(4 << 20) as hole, pool.alloc(4 << 20) as chunk:
            child = start()
            try:
                if action == "compact":
                    hole.close()
                    told["moves"] = pool.compact().moves
                elif action == "free":
                    told["errno"] = attempt(pool.free)
                elif action == "pin":
                    told["errno"] = attempt(pool.pin)
                    pool.unpin(chunk)
                else:
                    for it in (hole, chunk, pool):
                        it.close()
                if action == "unload":
                    ended = subprocess.run(["rmmod", "cm"], stderr=subprocess.DEVNULL)
                    told["failed"] = ended.returncode != 0
                elif action == "kill":
                    told["kept"] = chunks()
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            if action == "kill":
                told["left"] = chunks()
    with Context(context) as pool:
        return told | {"same": pool.query() == before}


IMPORTERS = ("attached", "mapped", "unmapped", "dynamic")
MUST_HAPPEN: dict[tuple[str, str], dict[str, Any]] = {
    # No device knows yet, or any more, where one is that is only attached.
    ("attached", "compact"): {"moves": 1},
    ("unmapped", "compact"): {"moves": 1},
    ("mapped", "compact"): {"moves": 0},
    # Up to 6.14 the kernel maps for such an importer at once, since the exporter is not dynamic.
    ("dynamic", "compact"): {"moves": 0},
} | {
    (importer, action): happens
    for importer in IMPORTERS
    for action, happens in {
        "free": {"errno": errno.EBUSY},
        "pin": {"errno": 0},
        "kill": {"kept": 1, "left": 0},
        "unload": {"failed": True},
    }.items()
}


@pytest.mark.parametrize("context", ["shared", "private"])
@pytest.mark.parametrize(("importer_kind", "action"), sorted(MUST_HAPPEN))
def test_what_happens_to_an_imported_chunk(
    module: Any, context: str, importer_kind: str, action: str
) -> None:
    got = module.call(act, context=context, importer=importer_kind, action=action)
    assert got == MUST_HAPPEN[importer_kind, action] | {"same": True}
