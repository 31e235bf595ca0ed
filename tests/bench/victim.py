# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the user of a chunk waits for while others have it moved, beside one copy of its bytes."""

from dataclasses import dataclass
from typing import Any

from boards.remote import RemoteBoard

MIB = 1 << 20
SIZE = 16 * MIB
LIMIT = 5
ROUNDS = 10
SECONDS_TO_DIE = 1
ATTACKERS = {
    "nobody": "nobody moves it",
    "nice 0": "moved by a process like any other",
    "nice 19": "moved by one at nice 19, beside a process that computes on its CPU",
    "idle": "moved by one of SCHED_IDLE, beside a process that computes on its CPU for 40 s",
    "cpu.max": "moved by one that may use 1 % of a CPU",
}
WAITS = ("touch", "sync", "mmap", "layout")


@dataclass(frozen=True)
class Victim:
    """In nanoseconds: one copy of the chunk; the longest wait by attacker and what was waited for.

    By attacker, too: how often the chunk moved, and how long SIGKILL took.
    """

    copy: int
    waits: dict[str, dict[str, int]]
    moves: dict[str, int]
    killed: dict[str, dict[str, int]]

    @property
    def holds(self) -> bool:
        """Return whether no wait was too long, whoever had the chunk moved."""
        attacked = [name for name in ATTACKERS if name != "nobody"]
        return all(
            self.moves[name]
            and all(self.waits[name][it] <= LIMIT * self.copy for it in WAITS)
            and all(took <= SECONDS_TO_DIE * 10**9 for took in self.killed[name].values())
            for name in attacked
        )

    def lines(self) -> list[str]:
        """Return it for people."""
        told = [
            f"using a chunk of 16 MiB that others have moved; one copy: {self.copy / 1e6:.1f} ms"
        ]
        for name, what in ATTACKERS.items():
            waits = ", ".join(
                f"{it} {self.waits[name][it] / 1e6:.1f} ms ({self.waits[name][it] / self.copy:.1f})"
                for it in WAITS
            )
            told.append(f"  {what}: {self.moves[name]} moves")
            told.append(f"    longest wait (in copies): {waits}")
            if self.killed[name]:
                ends = ", ".join(
                    f"{who} {ns / 1e6:.0f} ms" for who, ns in self.killed[name].items()
                )
                told.append(f"    ended by SIGKILL after: {ends}")
        verdict = "holds" if self.holds else "BROKEN"
        return [*told, f"  promised: at most {LIMIT} copies, and 1 s for SIGKILL: {verdict}"]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "copy_ns": self.copy,
            "longest_wait_ns": self.waits,
            "moves": self.moves,
            "sigkill_ns": self.killed,
            "holds": self.holds,
        }


def measure(board: RemoteBoard) -> Victim:
    """Measure on a board with the context `shared`, empty."""
    copy = board.call(copy_time, size=SIZE)
    waits, moves, killed = {}, {}, {}
    for name in ATTACKERS:
        got = board.call(attack, timeout=200, size=SIZE, attacker=name, rounds=ROUNDS)
        waits[name], moves[name], killed[name] = got
    return Victim(copy, waits, moves, killed)


def copy_time(size: int) -> int:
    """Return the nanoseconds that one copy from chunk to chunk takes: the median of nine."""
    import ctypes
    import time

    from cm_agent.core.context import Context

    took = []
    with (
        Context("shared") as pool,
        pool.alloc(size) as source,
        pool.alloc(size) as target,
        source.cpu_access("w") as read,
        target.cpu_access("w") as write,
    ):
        addresses = [ctypes.addressof(ctypes.c_char.from_buffer(view)) for view in (write, read)]
        for _ in range(10):
            began = time.monotonic_ns()
            ctypes.memmove(*addresses, size)
            took.append(time.monotonic_ns() - began)
    return sorted(took[1:])[4]


def attack(size: int, attacker: str, rounds: int) -> list[Any]:
    """Use a chunk in several ways at once while somebody has it moved; return the longest waits.

    Each round has a new chunk, at the start of the context, where it is in the attacker's way. The
    victim lives on CPU 0, the attacker and who competes with it on CPU 1. Waits are those of calls
    outside of Python, which hold no lock of the interpreter.
    """
    import ctypes
    import fcntl
    import itertools
    import json
    import mmap
    import os
    import random
    import signal
    import threading
    import time
    from contextlib import suppress
    from pathlib import Path

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    group = Path("/sys/fs/cgroup/attacker")
    sync = 0x40086200  # DMA_BUF_IOCTL_SYNC
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    flags = mmap.mmap(-1, 4096)  # [0]: the users stop; [1]: the round that the attacker is at

    def longest(do: Any) -> int:
        worst = 0
        while not flags[0]:
            began = time.monotonic_ns()
            do()
            worst = max(worst, time.monotonic_ns() - began)
            time.sleep(0.001)
        return worst

    def child(do: Any) -> tuple[int, int]:
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.close(reader)
                os.write(writer, json.dumps(do()).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        return pid, reader

    def use() -> dict[str, int]:
        """Touch the chunk in one thread, and map other memory in another one."""
        os.sched_setaffinity(0, {0})
        place = libc.mmap(None, size, 3, mmap.MAP_SHARED, chunk.fd, 0)
        spots, worst = [place + at for at in range(0, size, size // 8)], {}

        def touch() -> None:
            libc.memset(ctypes.c_void_p(random.choice(spots)), 1, 1)

        def map_other() -> None:
            libc.munmap(libc.mmap(None, 1 << 20, 3, private, -1, 0), 1 << 20)

        def note(name: str, do: Any) -> None:
            worst[name] = longest(do)

        touch()
        threads = [
            threading.Thread(target=note, args=it) for it in (("touch", touch), ("mmap", map_other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return worst

    def synchronize() -> dict[str, int]:
        os.sched_setaffinity(0, {0})

        calls = itertools.cycle([(3).to_bytes(8, "little"), (7).to_bytes(8, "little")])
        return {"sync": longest(lambda: fcntl.ioctl(chunk.fd, sync, next(calls)))}

    def lay_out() -> dict[str, int]:
        os.sched_setaffinity(0, {0})
        room = uapi.new_entries(16)
        with Context("shared") as other:

            def once() -> None:
                uapi.call(
                    other.fileno(), "CM_IOC_LAYOUT", entries=uapi.address_of(room), capacity=16
                )

            return {"layout": longest(once)}

    def move() -> None:
        """Ask for a page that only the start of the context has, once a round."""
        os.sched_setaffinity(0, {1})
        with Context("shared") as mine:
            whole, done = mine.query().size, 0
            if attacker == "nice 19":
                os.nice(19)
            elif attacker == "idle":
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            elif attacker == "cpu.max":
                (group / "cgroup.procs").write_text(str(os.getpid()))
            while True:
                if flags[1] == done:
                    time.sleep(0.002)
                    continue
                done = flags[1]
                with suppress(OSError):
                    mine.compact(4096, whole)

    def compute() -> None:
        os.sched_setaffinity(0, {1})
        while True:
            pass

    def kill(pid: int, throttled: bool = False) -> int:
        began = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        if throttled:  # the end of any process takes 10 ms of CPU time, which are 1 s then
            (group / "cpu.max").write_text("max 100000")
        os.waitpid(pid, 0)
        return time.monotonic_ns() - began

    if attacker == "cpu.max":
        (group.parent / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir(exist_ok=True)
        (group / "cpu.max").write_text("1000 100000")
    others, waits, killed = [], {}, {}
    if attacker != "nobody":
        others.append(child(move))
    if attacker in ("nice 19", "idle"):
        others.append(child(compute))
    with Context("shared") as pool:
        moves = -pool.stats().moves
        for turn in range(1, rounds + 1):
            chunk = pool.alloc(size)
            flags[0] = 0
            before = pool.stats().moves
            users = [child(it) for it in (use, synchronize, lay_out)]
            time.sleep(0.2)
            flags[1] = turn
            until = time.monotonic() + 8
            while attacker != "nobody" and pool.stats().moves == before:
                if time.monotonic() > until:
                    break
                time.sleep(0.01)
            time.sleep(0.2)
            flags[0] = 1
            for pid, reader in users:
                with os.fdopen(reader) as answer:
                    for name, worst in json.loads(answer.read()).items():
                        waits[name] = max(worst, waits.get(name, 0))
                os.waitpid(pid, 0)
            chunk.close()
        moves += pool.stats().moves
        if others:
            chunk = pool.alloc(size)
            flags[0] = 0
            pid, reader = child(use)
            time.sleep(0.3)
            flags[1] = rounds + 1
            time.sleep(0.01)
            killed["victim"] = kill(pid)
            os.close(reader)
            killed["attacker"] = kill(others[0][0], attacker == "cpu.max")
            chunk.close()
    for pid, reader in others[1:]:
        kill(pid)
        os.close(reader)
    if others:
        os.close(others[0][1])
    return [waits, moves, killed]
