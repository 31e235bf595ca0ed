# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""kmod/stats.c, the same file that the kernel runs, against the bounds that cm.h documents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kmod.kernel.host import load

LIMIT = (1 << 64) - 1
SIZE_BOUNDS = [65536 << (2 * i) for i in range(5)]  # the sixth class has none
LATENCY_BOUNDS = [1 << (17 + j) for j in range(17)]  # nor has the eighteenth bucket
REASONS = 10


class Stats:
    """The C structure of a context that has done nothing yet."""

    def __init__(self) -> None:
        self.ffi, self._lib = load("stats")
        self.data: Any = self.ffi.new("struct cm_stats *")

    def success(self, size: int = 1, ns: int = 1, retries: int = 0) -> None:
        self._lib.cm_stats_success(self.data, size, ns, retries)

    def failure(self, reason: int, retries: int = 0) -> None:
        self._lib.cm_stats_failure(self.data, reason, retries)

    def counted(self) -> list[tuple[int, int]]:
        """Return (class, bucket) of every bucket that is not zero."""
        return [
            (i, j)
            for i, latency in enumerate(self.data.latency)
            for j, count in enumerate(latency.buckets)
            if count
        ]


def smallest(bounds: list[int], value: int) -> int:
    """Return the index of the smallest bound that holds a value, or one behind the last."""
    return next((i for i, bound in enumerate(bounds) if value <= bound), len(bounds))


def edges(bounds: list[int]) -> list[int]:
    """Return what lies at and around the bounds and the limits."""
    around = {bound + step for bound in bounds for step in (-1, 0, 1)}
    return sorted({0, 1, 2, 4096, bounds[-1] * 2, bounds[-1] * 8, LIMIT - 1, LIMIT} | around)


def test_layout_has_one_class_and_one_bucket_more_than_bounds() -> None:
    data = Stats().data
    assert len(data.latency) == len(SIZE_BOUNDS) + 1
    assert len(data.latency[0].buckets) == len(LATENCY_BOUNDS) + 1


@pytest.mark.parametrize("size", edges(SIZE_BOUNDS))
def test_size_class(size: int) -> None:
    stats = Stats()
    stats.success(size=size)
    assert stats.counted() == [(smallest(SIZE_BOUNDS, size), 0)]


@pytest.mark.parametrize("ns", edges(LATENCY_BOUNDS))
def test_latency_bucket(ns: int) -> None:
    stats = Stats()
    stats.success(ns=ns)
    assert stats.counted() == [(0, smallest(LATENCY_BOUNDS, ns))]
    assert stats.data.latency[0].sum_ns == ns


VALUES = st.integers(0, LIMIT) | st.integers(0, 63).flatmap(
    lambda bits: st.integers(max(0, (1 << bits) - 2), (1 << bits) + 2)
)
RETRIES = st.integers(0, (1 << 32) - 1)
SUCCESSES = st.tuples(VALUES, VALUES, RETRIES)
FAILURES = st.tuples(st.integers(1, REASONS - 1), RETRIES)


@given(st.lists(SUCCESSES | FAILURES))
def test_counters_add_up(calls: list[tuple[int, ...]]) -> None:
    stats = Stats()
    buckets: dict[tuple[int, int], int] = {}
    sums = [0] * 6
    failures = [0] * len(stats.data.failures)
    for call in calls:
        if len(call) == 3:
            stats.success(*call)
            size_class = smallest(SIZE_BOUNDS, call[0])
            place = size_class, smallest(LATENCY_BOUNDS, call[1])
            buckets[place] = buckets.get(place, 0) + 1
            sums[size_class] += call[1]
        else:
            stats.failure(*call)
            failures[call[0]] += 1
    data = stats.data
    assert stats.counted() == sorted(buckets)
    assert all(data.latency[i].buckets[j] == count for (i, j), count in buckets.items())
    assert [latency.sum_ns for latency in data.latency] == [total & LIMIT for total in sums]
    assert list(data.failures) == failures
    assert data.successes == sum(buckets.values())
    assert data.attempts == data.successes + sum(data.failures) == len(calls)
    assert data.retries == sum(call[-1] for call in calls)
    assert data.frees == 0


def test_every_reason_has_its_own_counter() -> None:
    stats = Stats()
    assert stats.ffi.typeof("enum cm_reason").relements["CM_REASON_COUNT"] == REASONS
    for reason in range(1, REASONS):
        for _ in range(reason):
            stats.failure(reason)
    assert list(stats.data.failures)[:REASONS] == list(range(REASONS))
