# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What runs on the board: processes of threads that do random calls until they are killed."""

from typing import Any


def attack(seed: int, seconds: float, processes: int = 4) -> dict[str, Any]:
    """Keep so many processes of four threads at it; kill and replace one now and then.

    A process draws everything from its own seed. Descriptors are passed on by fork and by pidfd,
    so threads race for the same chunks. Return how many processes there were, how many calls ended
    with which errno, and what is free before and afterwards.
    """
    import ctypes
    import fcntl
    import json
    import mmap
    import os
    import random
    import signal
    import threading
    import time
    from collections import Counter
    from contextlib import suppress

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    page, sync = mmap.PAGESIZE, 0x40086200  # DMA_BUF_IOCTL_SYNC
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    class Player:
        """One process' threads. What they share, they race for."""

        def __init__(self, seed: int, fds: list[int]) -> None:
            self.seed = seed
            self.fds = fds
            self.maps: list[tuple[int, int]] = []
            self.nodes = [os.open(f"/dev/cm/{name}", os.O_RDWR) for name in ("shared", "private")]
            self.ended: Counter[str] = Counter()

        def play(self, number: int) -> None:
            chance = random.Random(self.seed * 8 + number)
            calls = [
                self.alloc, self.alloc, self.free, self.close, self.pin, self.unpin, self.info,
                self.attest, self.pattern, self.compact, self.layout, self.users, self.sync,
                self.map, self.map, self.unmap, self.touch, self.touch, self.protect, self.advise,
                self.pipe, self.query, self.fork,
            ]  # fmt: skip
            while True:
                call = chance.choice(calls)
                try:
                    call(chance)
                    self.ended["0"] += 1
                except OSError as error:
                    self.ended[str(error.errno)] += 1
                except (IndexError, ValueError):
                    pass  # another thread took the last one

        def ioctl(self, chance: random.Random, name: str, **members: int) -> Any:
            argument = uapi.prepare(name, **members)
            uapi.submit(chance.choice(self.nodes), name, argument)
            return argument

        def alloc(self, chance: random.Random) -> None:
            if len(self.fds) > 60:
                return self.close(chance)
            size = int(page * 2 ** chance.uniform(0, 13))
            alignment = page << chance.choice([0, 0, 0, 1, 4, 9])
            deadline = int(10 ** chance.uniform(3, 9.5))
            got = self.ioctl(
                chance,
                "CM_IOC_ALLOC",
                size=size,
                alignment=alignment,
                deadline_ns=deadline,
                owner_pid=self.somebody(chance),
            )
            self.fds.append(got.fd)

        def somebody(self, chance: random.Random) -> int:
            """Draw the caller, or a process: its parent, one beside it, or what has ended."""
            near = os.getpid() + chance.randrange(-8, 8)
            return chance.choice([0, 0, 0, 0, os.getppid(), near, threading.get_native_id()])

        def close(self, chance: random.Random) -> None:
            os.close(self.fds.pop(chance.randrange(len(self.fds))))

        def on_chunk(self, chance: random.Random, name: str, **members: int) -> None:
            self.ioctl(chance, name, fd=chance.choice(self.fds), **members)

        def free(self, chance: random.Random) -> None:
            self.on_chunk(chance, "CM_IOC_FREE")

        def pin(self, chance: random.Random) -> None:
            self.on_chunk(chance, "CM_IOC_PIN")

        def unpin(self, chance: random.Random) -> None:
            self.on_chunk(chance, "CM_IOC_UNPIN")

        def info(self, chance: random.Random) -> None:
            self.on_chunk(chance, "CM_IOC_INFO")

        def attest(self, chance: random.Random) -> None:
            self.on_chunk(chance, "CM_IOC_ATTEST", dma_bits=64)

        def pattern(self, chance: random.Random) -> None:
            self.on_chunk(chance, "CM_IOC_PATTERN", flags=chance.randrange(2), seed=7)

        def compact(self, chance: random.Random) -> None:
            size = chance.choice([0, page, int(page * 2 ** chance.uniform(0, 14))])
            deadline = int(10 ** chance.uniform(4, 9))
            self.ioctl(chance, "CM_IOC_COMPACT", size=size, deadline_ns=deadline)

        def layout(self, chance: random.Random) -> None:
            room = uapi.new_entries(64)
            self.ioctl(chance, "CM_IOC_LAYOUT", entries=uapi.address_of(room), capacity=64)

        def users(self, chance: random.Random) -> None:
            room = uapi.new_users(4)
            capacity = chance.randrange(5)
            self.ioctl(chance, "CM_IOC_USERS", entries=uapi.address_of(room), capacity=capacity)

        def query(self, chance: random.Random) -> None:
            self.ioctl(chance, chance.choice(["CM_IOC_QUERY", "CM_IOC_STATS"]))

        def sync(self, chance: random.Random) -> None:
            flags = chance.choice([1, 2, 3]) | chance.choice([0, 4])
            fcntl.ioctl(chance.choice(self.fds), sync, flags.to_bytes(8, "little"))

        def map(self, chance: random.Random) -> None:
            fd = chance.choice(self.fds)
            size = os.lseek(fd, 0, os.SEEK_END)
            place = libc.mmap(None, size, chance.choice([1, 3]), mmap.MAP_SHARED, fd, 0)
            if place not in (None, ctypes.c_void_p(-1).value):
                self.maps.append((place, size))

        def unmap(self, chance: random.Random) -> None:
            libc.munmap(*self.maps.pop(chance.randrange(len(self.maps))))

        def place(self, chance: random.Random) -> tuple[int, int]:
            start, size = chance.choice(self.maps)
            at = chance.randrange(0, size, page)
            return start + at, min(size - at, page << chance.randrange(4))

        def touch(self, chance: random.Random) -> None:
            """Have the kernel read it: a page that is gone is EFAULT, not SIGBUS."""
            start, size = self.place(chance)
            sink = os.open("/dev/null", os.O_WRONLY)
            libc.write(sink, ctypes.c_void_p(start), ctypes.c_size_t(size))
            reader, writer = os.pipe()
            libc.write(writer, ctypes.c_void_p(start), ctypes.c_size_t(64))
            os.write(writer, b"x")
            libc.read(reader, ctypes.c_void_p(start), ctypes.c_size_t(64))
            for fd in (sink, reader, writer):
                os.close(fd)

        def protect(self, chance: random.Random) -> None:
            libc.mprotect(*self.place(chance), chance.choice([0, 1, 3]))

        def advise(self, chance: random.Random) -> None:
            libc.madvise(*self.place(chance), chance.choice([3, 4, 8, 9, 14]))

        def pipe(self, chance: random.Random) -> None:
            """Hold a page for a moment."""
            start, _ = self.place(chance)
            reader, writer = os.pipe()
            vector = (ctypes.c_size_t * 2)(start, page)
            libc.vmsplice(writer, vector, 1, 0)
            time.sleep(chance.random() / 50)
            os.close(reader)
            os.close(writer)

        def fork(self, chance: random.Random) -> None:
            if chance.random() < 0.95:
                return
            if not (pid := os.fork()):
                os._exit(0)
            os.waitpid(pid, 0)

    def start(seed: int) -> tuple[int, int]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return pid, reader
        try:
            player = Player(seed, [])
            for number in range(4):
                threading.Thread(target=player.play, args=[number], daemon=True).start()
            while True:
                time.sleep(0.2)
                os.write(writer, (json.dumps(player.ended) + "\n").encode())
        finally:
            os._exit(1)

    def end(pid: int, reader: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(reader) as told:
            lines = told.read().split("\n")
        with suppress(IndexError):
            ended.update(json.loads(lines[-2]))

    chance, ended = random.Random(seed), Counter()
    pools = [Context(name) for name in ("shared", "private")]
    before = [pool.query().free for pool in pools]
    seeds = iter(range(seed * 10_000, (seed + 1) * 10_000))
    running, count = [start(next(seeds)) for _ in range(processes)], processes
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.1, 3))
        end(*running.pop(chance.randrange(len(running))))
        running.append(start(next(seeds)))
        count += 1
    for one in running:
        end(*one)
    for _ in range(100):
        after = [pool.query().free for pool in pools]
        if after == before:
            break
        time.sleep(0.1)
    moves = sum(pool.stats().moves for pool in pools)
    for pool in pools:
        pool.close()
    return {"processes": count, "ended": dict(ended), "moves": moves, "free": [before, after]}
