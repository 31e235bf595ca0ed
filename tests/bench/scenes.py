# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is measured, how often, and under which conditions; the program on the board does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from boards import board as descriptions
from boards import toolchain
from boards.board import PROJECT
from boards.progress import step
from boards.remote import RemoteBoard
from cm_agent.core.size import format_size

from bench import goals, peers
from bench.peers import KIB, MIB, SIZES
from bench.pressure import ramfs
from bench.samples import Sample, parse

SOURCES = PROJECT / "tests/bench/measure"
BUILT = PROJECT / "build/bench"
PLACE = "/run/cm-measure"
LINGER = "/sys/module/cm/parameters/linger_ms"
# The kernel reserves more where it has huge pages, and kills rather than fill a bank with these.
RESERVE = "/proc/sys/vm/min_free_kbytes"
RESERVE_KIB = 4096
# Nor is it to reserve more and more of that while pages of unlike kinds share a block.
BOOST = "/proc/sys/vm/watermark_boost_factor"
# By size: how many in full banks. They are filled again after so many bytes, by measure/full.c.
FULL_COUNTS = {1 * MIB: 2400, 8 * MIB: 400, 16 * MIB: 200}
FULL_BATCH = 32 * MIB
LIMIT_SECONDS = 1200
# Long enough for one allocation to find what the one before left, and short enough to wait for.
SHORT_LINGER_MS = 20


@dataclass(frozen=True, slots=True)
class Scene:
    """One start of the program: `rounds` in a full run, `quick` in a quick one."""

    name: str
    rounds: int
    quick: int
    size: int
    peers: tuple[str, ...] = ()
    linger_ms: int = 1000
    reserve_kib: int | None = None

    def __str__(self) -> str:
        return f"{self.name} of {format_size(self.size)}" if self.size else self.name


def _rounds(size: int, small: int, large: int, whole: int) -> int:
    return small if size < MIB else large if size < 64 * MIB else whole


def scenes() -> Iterator[Scene]:
    """Yield all that is measured; noise first and last."""
    noise = Scene("noise", 2000, 500, 0)
    yield noise
    for size in SIZES:
        full, quick = _rounds(size, 300, 120, 40), _rounds(size, 20, 8, 3)
        yield Scene("latency", full, quick, size, peers.LATENCY, SHORT_LINGER_MS)
    for size in SIZES[1:]:
        full, quick = _rounds(size, 100, 40, 10), _rounds(size, 10, 3, 1)
        yield Scene("cleared", full, quick, size, ("private",))
    rate = ("private", "shared", "cma", "system", "udmabuf")
    yield Scene("rate", 40, 5, goals.RATE_SIZE, rate)
    touch = ("memset", "private", "shared", "cma", "system")
    yield Scene("touch", 40, 4, goals.CPU_SIZE, touch)
    sync = ("ioctl", "private", "shared", "cma", "system")
    yield Scene("sync", 1000, 100, goals.CPU_SIZE, sync)
    yield Scene("pair", 20, 3, goals.PAIR_SIZE)
    for size in (64 * KIB, MIB, 16 * MIB):
        beside = ("ioctl", "memset", "private", "shared", "cma", "system")
        yield Scene("background", 10, 2, size, beside)
    # Last: what was pushed out of the banks, and into them, would be in the way of others.
    yield Scene("load", 5, 1, 0, ("private", "shared", "cma"))
    for size, count in FULL_COUNTS.items():
        yield Scene("full", count * size // FULL_BATCH, 2, size, ("shared", "cma"), 0, RESERVE_KIB)
    yield noise


def build(board: RemoteBoard) -> Path:
    """Build the program for the board by the compiler of its suite."""
    BUILT.mkdir(parents=True, exist_ok=True)
    board_of = descriptions.read(board.name)
    built = BUILT / "cm-measure"
    words = ["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    words += [f"-I{PROJECT}/kmod/include/uapi", "-o", str(built)]
    words += sorted(map(str, SOURCES.glob("*.c")))
    toolchain.compile(board_of.suite, board_of.architecture, words)
    return built


@contextmanager
def setting(board: RemoteBoard, path: str, value: int) -> Iterator[None]:
    """Have a file of the kernel say something else during a block."""
    before = board.check(f"cat {path}").strip()
    board.check(f"echo {value} >{path}")
    try:
        yield
    finally:
        board.check(f"echo {before} >{path}")


def measure(board: RemoteBoard, quick: bool) -> Iterator[list[Sample]]:
    """Yield the samples of each scene, on a board with `private`, `second` and `shared`, empty."""
    board.put(build(board), PLACE)
    board.check(f"chmod +x {PLACE} && modprobe vivid n_devs=1 node_types=0x1 allocators=1")
    with ramfs(board):
        for scene in scenes():
            with step(f"measuring {scene}"), _conditions(board, scene):
                text = _run(board, scene, quick)
            yield parse(text)


@contextmanager
def _conditions(board: RemoteBoard, scene: Scene) -> Iterator[None]:
    with ExitStack() as settings:
        settings.enter_context(setting(board, LINGER, scene.linger_ms))
        if scene.reserve_kib is not None:
            settings.enter_context(setting(board, RESERVE, scene.reserve_kib))
            settings.enter_context(setting(board, BOOST, 0))
        yield


def _run(board: RemoteBoard, scene: Scene, quick: bool) -> str:
    rounds = scene.quick if quick else scene.rounds
    words = [PLACE, scene.name, str(rounds), str(scene.size), *scene.peers]
    return board.check(" ".join(words), timeout=LIMIT_SECONDS)
