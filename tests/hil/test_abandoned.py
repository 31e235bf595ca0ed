# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Requests that nobody waits for any more: their time is over, or who made them was killed.

What the module had reached for them by then goes back, and so does what they were charged.

CM_SEED repeats a run; the seed is printed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

MIB = 1 << 20
REQUESTS = 2000
KILLS = 12


@pytest.fixture
def reloaded(module: Any) -> Iterator[Any]:
    """The board, whose module a test may unload; it is loaded again afterwards."""
    yield module
    module.check("modprobe cm && udevadm settle --timeout=120")


def abandon(context: str, requests: int, kills: int, seed: int) -> dict[str, Any]:
    """Make so many requests with next to no time, in processes of which some are killed in the
    middle, so many at least, while others keep the context fragmented and compact it.

    Tell how the requests ended, by reason (those of the killed ones are none), how many processes
    were killed, and what the context and the quota say before and after, as soon as that is the
    same, but for 60 s at most.
    """
    import mmap
    import os
    import random
    import signal
    import time
    from collections import Counter
    from contextlib import suppress
    from pathlib import Path

    from cm_agent.core import uapi
    from cm_agent.core.context import Context
    from cm_agent.core.control import Control
    from cm_agent.core.errors import AllocationError

    workers, reasons = 4, 16
    begun = 8 * workers * reasons
    shared = mmap.mmap(-1, 4096)
    parameter = Path("/sys/module/cm/parameters/linger_ms")
    linger = parameter.read_text()

    def count(at: int) -> None:
        shared[at : at + 8] = (read(at) + 1).to_bytes(8, "little")

    def read(at: int) -> int:
        return int.from_bytes(shared[at : at + 8], "little")

    def hurry(number: int, seed: int) -> None:
        """Ask and ask, until killed; each worker counts in places of its own."""
        chance, pool = random.Random(seed), Context(context)
        while True:
            size = 4096 << chance.randrange(12)
            deadline = round(10 ** chance.uniform(0, 6.7))
            request = uapi.prepare("CM_IOC_ALLOC", size=size, deadline_ns=deadline)
            count(begun + 8 * number)
            with suppress(OSError):
                uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
                os.close(request.fd)
            count(8 * (number * reasons + request.reason))

    def fragment(seed: int) -> None:
        """Keep a third of the context in chunks that come and go."""
        chance, pool, chunks = random.Random(seed), Context(context), []
        while True:
            with suppress(AllocationError):
                chunks.append(pool.alloc(4096 << chance.randrange(10), deadline=1))
            if len(chunks) > 100:
                chunks.pop(chance.randrange(len(chunks))).close()

    def compact(seed: int) -> None:
        chance, pool = random.Random(seed), Context(context)
        while True:
            with suppress(AllocationError):
                pool.compact(chance.choice([0, 24 << 20]), deadline=1)

    def start(work: Any, *given: int) -> int:
        if not (child := os.fork()):
            try:
                work(*given)
            finally:
                os._exit(1)
        return child

    def end(child: int) -> None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    def state(control: Control, pool: Context) -> list[int]:
        quota = {"name": context.encode(), "uid": 0}
        used, now = uapi.call(control.fileno(), "CM_IOC_GET_QUOTA", quota=quota), pool.query()
        return [now.free, now.chunks, now.draining, used.used, used.used_chunks, len(pool.layout())]

    chance, killed = random.Random(seed), 0
    with Control() as control, Context(context) as pool:
        before, moves = state(control, pool), pool.stats().moves
        parameter.write_text("0")
        load = [start(fragment, chance.getrandbits(32)), start(compact, chance.getrandbits(32))]
        busy = [start(hurry, number, chance.getrandbits(32)) for number in range(workers)]
        while killed < kills or sum(read(begun + 8 * it) for it in range(workers)) < requests:
            time.sleep(chance.uniform(0, 0.1))
            number = chance.randrange(workers)
            end(busy[number])
            killed += 1
            busy[number] = start(hurry, number, chance.getrandbits(32))
        for child in busy + load:
            end(child)
        moves = pool.stats().moves - moves
        parameter.write_text(linger)
        limit = time.monotonic() + 60
        while (after := state(control, pool)) != before and time.monotonic() < limit:
            time.sleep(0.1)
    told: Counter[str] = Counter()
    for number in range(workers):
        for reason in range(reasons):
            told[uapi.Reason(reason).name] += read(8 * (number * reasons + reason))
    shared.close()
    return {
        "ended": dict(+told),
        "killed": killed,
        "moves": moves,
        "before": before,
        "after": after,
    }


@pytest.mark.parametrize("context", ["shared", "private"])
def test_nothing_is_left_of_abandoned_requests(reloaded: Any, context: str) -> None:
    seed = int(os.environ.get("CM_SEED", random.SystemRandom().randrange(1 << 32)))
    scene = {"requests": REQUESTS, "kills": KILLS, "seed": seed}
    got = reloaded.call(abandon, timeout=600, context=context, **scene)
    print(f"CM_SEED={seed}: {got}")
    assert got["after"] == got["before"], f"CM_SEED={seed}: {got}"
    assert got["moves"], "there was hardly anything to abandon"
    assert {"DEADLINE", "NONE"} <= set(got["ended"]), got
    reloaded.check("rmmod cm")
