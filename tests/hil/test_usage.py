# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Held and lent: what is in no chunk, and who has it; and that to ask is safe while a context goes.

A shared context takes granules; a private one has all its memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hil.test_control import RELOAD, destroy

pytestmark = pytest.mark.lg_feature("device-tree")
UNIT, MIB = 1 << 16, 1 << 20
GRANULE = 2 * MIB
PARAMETER = "/sys/module/cm/parameters/linger_ms"


@pytest.fixture
def lingering(module: Any) -> Iterator[Any]:
    """The board, whose empty granules stay until the system needs them; none is left then."""
    before = module.check(f"cat {PARAMETER}")
    module.check(f"echo 60000 >{PARAMETER} && echo 2 >/proc/sys/vm/drop_caches")
    yield module
    module.check(f"echo {before} >{PARAMETER} && echo 2 >/proc/sys/vm/drop_caches")


def watch(context: str, size: int) -> dict[str, list[int]]:
    """Tell what is held and lent, free and all, before, while and after there is a chunk."""
    from cm_agent.core.context import Context

    def now() -> list[int]:
        state, stats = pool.query(), pool.stats()
        return [stats.held, stats.lent, state.free, state.size]

    with Context(context) as pool:
        told = {"cold": now()}
        with pool.alloc(size):
            told["chunk"] = now()
        told["closed"] = now()
        return told


@pytest.mark.two_kernels
def test_a_shared_context_holds_what_it_has_taken(lingering: Any) -> None:
    """Nothing at first; then the rest of the granule that the chunk is in, and all of it after."""
    got = lingering.call(watch, context="shared", size=UNIT)
    size = got["cold"][3]
    assert got == {
        "cold": [0, size, size, size],
        "chunk": [GRANULE - UNIT, size - GRANULE, size - UNIT, size],
        "closed": [GRANULE, size - GRANULE, size, size],
    }


def test_what_is_held_goes_back_to_the_system(lingering: Any) -> None:
    lingering.call(watch, context="shared", size=3 * GRANULE)
    lingering.check("echo 2 >/proc/sys/vm/drop_caches")
    held, lent, _, size = lingering.call(watch, context="shared", size=UNIT)["cold"]
    assert (held, lent) == (0, size)


@pytest.mark.two_kernels
def test_a_private_context_lends_nothing(lingering: Any) -> None:
    got = lingering.call(watch, context="private", size=UNIT)
    size = got["cold"][3]
    whole, less = [size, 0, size, size], [size - UNIT, 0, size - UNIT, size]
    assert got == {"cold": whole, "chunk": less, "closed": whole}


@pytest.fixture
def spare(module: Any) -> Iterator[Any]:
    """The board, with the device tree's shared context in nobody's hands."""
    module.call(destroy, names=["shared"])
    yield module
    module.check(RELOAD)


def ask_while_it_goes(bank: str, rounds: int, private: bool) -> dict[str, Any]:
    """Make a context, use it, and destroy it while threads read its figures in every way.

    Tell how often each of them could, how often it read nothing that made sense, and what an open
    node says in the end. One call's figures lack what is in the one chunk that there may be, which
    takes granule after granule of a shared context; or, as soon as it may be gone, all there was.
    """
    import threading
    from contextlib import ExitStack, suppress
    from pathlib import Path

    from cm_agent.core.context import Context
    from cm_agent.core.control import Control

    told: dict[str, Any] = {"read": 0, "opened": 0, "sysfs": 0, "wrong": [], "end": []}
    folder = Path("/sys/class/cm/it")
    mib, size, chunk = 1 << 20, 16 << 20, 3 << 20
    parts = {0, chunk} if private else {0, mib, 2 * mib, chunk}

    def check(how: str, stats: Any, lacks: set[int]) -> None:
        told[how] += 1
        if size - stats.held - stats.lent not in lacks:
            told["wrong"].append([how, stats.held, stats.lent])

    def ask() -> None:
        while not over.is_set():
            stats = pool.stats()
            check("read", stats, parts | {size} if going.is_set() else parts)

    def open_and_ask() -> None:
        while not ended.is_set():
            with suppress(OSError), Context("it") as mine:
                check("opened", mine.stats(), parts | {size})

    def read() -> None:
        while not over.is_set():
            try:
                numbers = [int((folder / name).read_text()) for name in ("held", "lent")]
            except OSError:
                continue
            told["sysfs"] += 1
            if max(numbers) > size:
                told["wrong"].append(numbers)

    ended = threading.Event()
    opener = threading.Thread(target=open_and_ask)
    with Control() as control, ExitStack() as whole:
        opener.start()
        whole.callback(opener.join)
        whole.callback(ended.set)
        for _ in range(rounds):
            control.create("it", bank, size=size, private=private)
            going, over = threading.Event(), threading.Event()
            with ExitStack() as stack:
                pool = stack.enter_context(Context("it"))
                threads = [threading.Thread(target=it) for it in (ask, ask, read)]
                for thread in threads:
                    thread.start()
                for _ in range(4):
                    pool.alloc(chunk).close()
                going.set()
                control.destroy("it")
                stats = pool.stats()
                told["end"].append([stats.held, stats.lent])
                over.set()
                for thread in threads:
                    thread.join()
    return told


@pytest.mark.parametrize("private", [False, True], ids=["shared", "private"])
def test_figures_may_be_asked_for_while_a_context_goes(
    spare: Any, banks: dict[str, str], private: bool
) -> None:
    """They add up at every instant; who has its node open is told that nothing is there any more.

    See `unharmed`, too.
    """
    scene = {"bank": banks["shared"], "rounds": 40, "private": private}
    got = spare.call(ask_while_it_goes, timeout=300, **scene)
    assert got["wrong"] == [] and got["end"] == [[0, 0]] * 40
    assert got["read"] and got["opened"] and got["sysfs"]
