# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A chunk is zero, whoever had its memory before and whatever became of it since; and it is not
cleared twice for that: the event cm:cm_alloc tells how much was cleared while the caller waited.

CM_SEED repeats the random test; the seed is printed.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from boards.tracing import trace_buffer

pytestmark = pytest.mark.parametrize("context", ["shared", "private"])
MIB = 1 << 20
STEPS = 300


@pytest.fixture
def buffer(module: Any) -> Iterator[str]:
    """A trace buffer for allocations."""
    with trace_buffer(module) as path:
        module.check(f"echo cm:cm_alloc >{path}/set_event")
        yield path


def cleared(module: Any, buffer: str) -> list[int]:
    """Return how many bytes were cleared while each allocation waited."""
    return [int(n) for n in re.findall(r"cleared=(\d+)", module.check(f"cat {buffer}/trace"))]


def scribble_and_look(context: str, size: int, between: str, wait: float) -> dict[str, Any]:
    """Fill a chunk, free it, do something or wait, and allocate all of the context again.

    Return whether all of that is zero, and whether a cleaner is at work.
    """
    import os
    import time

    from cm_agent.core.context import Context

    def fill(chunk: Any) -> None:
        with chunk.cpu_access("w") as view:
            view[:] = b"\xa5" * chunk.size

    with Context(context) as pool:
        pool.alloc(pool.query().size, deadline=60).close()  # taken, and free
        first, chunk = pool.alloc(size), pool.alloc(size)
        fill(first)
        fill(chunk)
        if between == "move":
            first.close()
            pool.compact(0)
        elif between == "FREE":
            pool.free(first)
        first.close()
        chunk.close()
        if between == "system":  # granules go back, and are taken again
            with open("/proc/sys/vm/drop_caches", "w") as file:
                file.write("2")
        time.sleep(wait)
        with (
            pool.alloc(pool.query().size, deadline=60) as everything,
            everything.cpu_access("r") as view,
        ):
            zero = not any(memoryview(view).cast("Q"))
        return {"zero": zero, "size": everything.size, "pid": os.getpid()}


@pytest.mark.parametrize("wait", [0, 0.03, 3])
@pytest.mark.parametrize("between", ["close", "FREE", "move", "system"])
def test_what_was_written_is_gone(module: Any, context: str, between: str, wait: float) -> None:
    """At once, while the background worker clears, and after it has."""
    told = module.call(
        scribble_and_look, context=context, size=6 * MIB, between=between, wait=wait, timeout=180
    )
    assert told["zero"]


def at_random(context: str, seed: int, steps: int) -> dict[str, Any]:
    """Allocate, scribble, free, FREE, compact and give back at random; look at each chunk first.

    Return how often each was done, and the steps at which a chunk was not zero.
    """
    import random
    from collections import Counter
    from contextlib import suppress

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    draw = random.Random(seed)
    done: Counter[str] = Counter()
    dirty, live = [], []
    with Context(context) as pool:
        for step in range(steps):
            what = draw.choices(["alloc", "close", "FREE", "compact", "system"], [8, 4, 2, 1, 1])[0]
            done[what] += 1
            if what == "alloc":
                with suppress(AllocationError):
                    live.append(pool.alloc(draw.randrange(1, 4 << 20)))
                    with live[-1].cpu_access("rw") as view:
                        if any(memoryview(view).cast("Q")):
                            dirty.append(step)
                        view[:] = b"\xa5" * len(view)
            elif what == "compact":
                with suppress(AllocationError):
                    pool.compact(0)
            elif what == "system":
                with open("/proc/sys/vm/drop_caches", "w") as file:
                    file.write("2")
            elif live:
                chunk = live.pop(draw.randrange(len(live)))
                if what == "FREE":
                    pool.free(chunk)
                chunk.close()
        for chunk in live:
            chunk.close()
    return {"done": dict(done), "dirty": dirty}


def test_chunks_are_zero_whatever_happened(module: Any, context: str) -> None:
    seed = int(os.environ.get("CM_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"CM_SEED={seed}")
    told = module.call(at_random, context=context, seed=seed, steps=STEPS, timeout=300)
    assert told["done"]["alloc"] > STEPS / 4
    assert told["dirty"] == []


def write_and_again(context: str, size: int, wait: float) -> None:
    """Allocate twice from the same memory, with a pause in between; it was written before that."""
    import time

    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(pool.query().size - size, deadline=60):
        with pool.alloc(size) as chunk, chunk.cpu_access("w") as view:
            view[:] = b"\xa5" * len(view)
        time.sleep(wait)
        pool.alloc(size).close()


def test_what_the_background_cleared_is_not_cleared_again(
    module: Any, buffer: str, context: str
) -> None:
    """Within half a second 16 MiB are: at most 100 MiB a second, on a board that has time."""
    module.check("echo 60000 >/sys/module/cm/parameters/linger_ms")
    try:
        module.call(write_and_again, context=context, size=4 * MIB, wait=5, timeout=180)
    finally:
        module.check("echo 1000 >/sys/module/cm/parameters/linger_ms")
    assert cleared(module, buffer)[-1] == 0


def test_what_was_freed_just_now_is_cleared_for_who_waits(
    module: Any, buffer: str, context: str
) -> None:
    module.call(write_and_again, context=context, size=4 * MIB, wait=0, timeout=180)
    assert cleared(module, buffer)[-1] > 0


def take_cold(context: str, size: int) -> None:
    from cm_agent.core.context import Context

    with Context(context) as pool:
        pool.alloc(size).close()


def test_what_the_kernel_cleared_is_not_cleared_again(
    module: Any, buffer: str, context: str
) -> None:
    """With init_on_alloc, from Linux 6.0 on; the debug kernel, unlike Debian's, has it off."""
    version = tuple(map(int, module.check("uname -r").split(".")[:2]))
    log = module.check("{ dmesg; journalctl -k -b; } | grep -m1 'mem auto-init'")
    by_kernel = version >= (6, 0) and "heap alloc:on" in log
    module.check("echo 2 >/proc/sys/vm/drop_caches")
    module.call(take_cold, context=context, size=4 * MIB)
    if context == "shared":
        assert cleared(module, buffer)[-1] == (0 if by_kernel else 4 * MIB)
