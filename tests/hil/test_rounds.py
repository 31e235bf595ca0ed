# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Many rounds of allocate, fill, verify and free: one by one, and by processes side by side.

CM_SEED repeats a run; the seed is printed.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

ROUNDS, BATCH = 1000, 50
CONTEXTS = ("shared", "private")
SMALLEST, LARGEST = 4 << 10, 16 << 20
ALIGNMENTS = [4 << 10 << shift for shift in range(11)]
"""4 KiB to 4 MiB."""


def one_batch(rounds: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    """Allocate, fill, verify, free, and tell of each round what came out."""
    import os

    from cm_agent.contiguity.verification import verify
    from cm_agent.core.context import Context

    found = []
    for name, size, alignment in rounds:
        with Context(name) as context, context.alloc(size, alignment) as buffer:
            content = os.urandom(4096) * (buffer.size // 4096)
            with buffer.cpu_access("w") as view:
                view[:] = content
            verification = verify(buffer, context)
            with buffer.cpu_access("r") as view:
                kept = view.tobytes() == content
            found.append(
                {
                    "round": [name, size, alignment],
                    "size": buffer.size,
                    "verdict": str(verification.verdict),
                    "agree": verification.agree,
                    "witnesses": [str(witness.verdict) for witness in verification.witnesses],
                    "addresses": [witness.address for witness in verification.witnesses],
                    "kept": kept,
                }
            )
    return found


def counted() -> dict[str, dict[str, int]]:
    """Return what each context has free and has done."""
    from cm_agent.core.context import Context, contexts

    said = {}
    for name in contexts():
        with Context(name) as context:
            state, stats = context.query(), context.stats()
            said[name] = {
                "free": state.free,
                "largest_hole": state.largest_hole,
                "chunks": state.chunks,
                "attempts": stats.attempts,
                "frees": stats.frees,
                "retries": stats.retries,
                "failures": sum(stats.failures.values()),
            }
    return said


def draw(chance: random.Random, number: int) -> tuple[str, int, int]:
    """Draw a round; a size between 4 and 8 KiB is as likely as one between 8 and 16 MiB."""
    size = round(SMALLEST * (LARGEST / SMALLEST) ** chance.random())
    return CONTEXTS[number % len(CONTEXTS)], size, chance.choice(ALIGNMENTS)


def wrong(result: dict[str, Any], linear: dict[str, bool], page: int) -> bool:
    """Tell whether a round did not go as promised."""
    context, size, alignment = result["round"]
    attested, mapped, _ = result["addresses"]
    pattern = "CONTIGUOUS" if linear[context] else "UNVERIFIABLE"
    return not (
        result["size"] == -(-size // page) * page
        and result["verdict"] == "CONTIGUOUS"
        and result["agree"]
        and result["witnesses"] == ["CONTIGUOUS", "CONTIGUOUS", pattern]
        and attested == mapped
        and attested % alignment == 0
        and result["kept"]
    )


def test_a_thousand_rounds_end_as_they_began(
    module: Any, linear: dict[str, bool], page_size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every verdict CONTIGUOUS by all who can tell, aligned as asked, no retry, nothing lost."""
    seed = int(os.environ.get("CM_SEED", random.SystemRandom().randrange(1 << 32)))
    chance = random.Random(seed)
    rounds = [draw(chance, number) for number in range(ROUNDS)]
    before = module.call(counted)
    for done in range(0, ROUNDS, BATCH):
        with capsys.disabled():
            print(f"\rCM_SEED={seed}: round {done} of {ROUNDS}", end="", flush=True)
        results = module.call(one_batch, rounds=rounds[done : done + BATCH])
        bad = [result for result in results if wrong(result, linear, page_size)]
        assert not bad, f"CM_SEED={seed}: {len(bad)} rounds of {BATCH} went wrong: {bad[:3]}"
    after = module.call(counted)
    for name in CONTEXTS:
        shares = rounds[CONTEXTS.index(name) :: len(CONTEXTS)]
        expected = dict(before[name])
        expected["attempts"] += len(shares)
        expected["frees"] += len(shares)
        assert after[name] == expected, f"CM_SEED={seed}"


def side_by_side(rounds: int) -> list[str]:
    """Let two processes allocate in each context, sizes that always fit; return complaints."""
    import os
    import random
    import time

    from cm_agent.core.context import Context

    def work(name: str, seed: int) -> str:
        chance = random.Random(seed)
        with Context(name) as context:
            for _ in range(rounds):
                word = chance.randrange(1 << 64)
                size = chance.randrange(4096, 8 << 20, 4096)
                with context.alloc(size) as buffer:
                    context.pattern_fill(buffer, word)
                    time.sleep(chance.random() / 1000)
                    if not context.pattern_check(buffer, word):
                        return f"{name}: another one wrote into the chunk"
        return ""

    results = []
    for name in ("shared", "private", "shared", "private"):
        reader, writer = os.pipe()
        if not os.fork():
            try:
                result = work(name, os.getpid())
            except BaseException as error:
                result = f"{name}: {error!r}"
            os.write(writer, result.encode())
            os._exit(0)
        os.close(writer)
        results.append(reader)
    return [os.read(reader, 4096).decode() for reader in results]


def test_processes_allocate_in_both_contexts_side_by_side(module: Any) -> None:
    assert module.call(side_by_side, rounds=40) == [""] * 4
