# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The metrics: what the open contexts and the scheduled probe say, as Prometheus families.

A scrape reads and does nothing else. Labels are small closed sets: names of contexts, reasons,
verdicts, size classes; never a buffer, never an address.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cm_agent.contiguity.verification import Verdict
from cm_agent.core.reports import ContextState, ContextStats, LatencyHistogram
from cm_agent.core.size import format_size
from cm_agent.core.uapi import Reason
from cm_agent.exporter.prober import ProbeFailure, Record, Tally, Verifier
from cm_agent.exporter.registry import Observation, OpenContexts

_CONTEXT: Final = ("context",)
REASONS: Final = tuple(reason for reason in Reason if reason)

_STATE_GAUGES: Final[tuple[tuple[str, str, Callable[[ContextState], int]], ...]] = (
    ("cm_size_bytes", "Size of the context.", lambda s: s.size),
    ("cm_free_bytes", "Bytes that no chunk occupies.", lambda s: s.free),
    ("cm_largest_hole_bytes", "Largest free range.", lambda s: s.largest_hole),
    ("cm_pinned_bytes", "Bytes of chunks pinned or mapped by a driver.", lambda s: s.pinned),
    (
        "cm_draining_bytes",
        "Bytes of freed chunks whose pages somebody still holds.",
        lambda s: s.draining,
    ),
    ("cm_chunks", "Live chunks.", lambda s: s.chunks),
)
_STATS_GAUGES: Final[tuple[tuple[str, str, Callable[[ContextStats], int]], ...]] = (
    ("cm_held_bytes", "Bytes taken from the system, and in no chunk.", lambda s: s.held),
    ("cm_lent_bytes", "Bytes of the context that the system uses.", lambda s: s.lent),
)


@dataclass(frozen=True, slots=True)
class Sight:
    """All that one scrape reports of one context; `interval` is its schedule, 0 = none."""

    observation: Observation
    record: Record
    interval: float


def families(sights: Sequence[Sight], version: str) -> Iterator[Metric]:
    """Yield every family of the agent but the scrape's duration; pure, from data to data."""
    agent = InfoMetricFamily("cm_agent", "The agent.")
    agent.add_metric([], {"version": version})
    yield agent
    up = GaugeMetricFamily("cm_up", "Whether the context answers (1) or not (0).", labels=_CONTEXT)
    for sight in sights:
        up.add_metric([sight.observation.name], sight.observation.state is not None)
    yield up
    yield from _states(sights)
    yield from _usages(sights)
    yield from _counters(sights)
    yield _latencies(sights)
    yield from _verifications(sights)


def _states(sights: Sequence[Sight]) -> Iterator[Metric]:
    states = [(s.observation.name, s.observation.state) for s in sights if s.observation.state]
    info = InfoMetricFamily("cm_context", "What the context is.", labels=_CONTEXT)
    for name, state in states:
        info.add_metric([name], {"private": "true" if state.private else "false"})
    yield info
    for metric, words, read in _STATE_GAUGES:
        gauge = GaugeMetricFamily(metric, words, labels=_CONTEXT)
        for name, state in states:
            gauge.add_metric([name], read(state))
        yield gauge


def _usages(sights: Sequence[Sight]) -> Iterator[Metric]:
    stats = [(s.observation.name, s.observation.stats) for s in sights if s.observation.stats]
    for metric, words, read in _STATS_GAUGES:
        gauge = GaugeMetricFamily(metric, words, labels=_CONTEXT)
        for name, numbers in stats:
            gauge.add_metric([name], read(numbers))
        yield gauge


def _counters(sights: Sequence[Sight]) -> Iterator[Metric]:
    asked = CounterMetricFamily(
        "cm_allocations", "Allocations asked for, granted or not.", labels=_CONTEXT
    )
    failed = CounterMetricFamily(
        "cm_allocation_failures", "Allocations refused.", labels=("context", "reason")
    )
    retried = CounterMetricFamily(
        "cm_allocation_retries",
        "Places that were busy: pages in them would not leave.",
        labels=_CONTEXT,
    )
    freed = CounterMetricFamily("cm_frees", "Chunks whose memory is free again.", labels=_CONTEXT)
    moved = CounterMetricFamily(
        "cm_moves", "Chunks that were moved to make a hole.", labels=_CONTEXT
    )
    copied = CounterMetricFamily(
        "cm_moved_bytes", "Bytes that were copied to move chunks.", labels=_CONTEXT
    )
    for sight in sights:
        name, stats = sight.observation.name, sight.observation.stats
        if stats is None:
            continue
        moved.add_metric([name], stats.moves)
        copied.add_metric([name], stats.moved_bytes)
        asked.add_metric([name], stats.attempts)
        retried.add_metric([name], stats.retries)
        freed.add_metric([name], stats.frees)
        for reason, count in {**dict.fromkeys(REASONS, 0), **stats.failures}.items():
            failed.add_metric([name, reason.name], count)
    yield from (asked, failed, retried, freed, moved, copied)


def _latencies(sights: Sequence[Sight]) -> Metric:
    family = HistogramMetricFamily(
        "cm_allocation_duration_seconds",
        "Time that granted allocations took, by size of the request.",
        labels=("context", "size_class"),
    )
    for sight in sights:
        if sight.observation.stats is not None:
            for histogram in sight.observation.stats.latency:
                labels = [sight.observation.name, _size_class(histogram)]
                family.add_metric(labels, _cumulative(histogram), histogram.sum_seconds)
    return family


def _size_class(histogram: LatencyHistogram) -> str:
    bound = histogram.upper_bound_size
    return "+Inf" if bound is None else format_size(bound).replace(" ", "")


def _cumulative(histogram: LatencyHistogram) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in histogram.buckets:
        total += count
        buckets.append(("+Inf" if bound == math.inf else repr(bound), float(total)))
    return buckets


def _verifications(sights: Sequence[Sight]) -> Iterator[Metric]:
    checks = CounterMetricFamily(
        "cm_contiguity_checks",
        "Scheduled verifications, by verdict.",
        labels=("context", "verdict"),
    )
    failures = CounterMetricFamily(
        "cm_verification_failures",
        "Scheduled verifications that came to no verdict.",
        labels=("context", "reason"),
    )
    disagreements = CounterMetricFamily(
        "cm_witness_disagreements",
        "Verifications in which two witnesses contradicted each other.",
        labels=_CONTEXT,
    )
    last = GaugeMetricFamily(
        "cm_last_verification_timestamp_seconds",
        "Unix time of the last verdict; absent before the first.",
        labels=_CONTEXT,
    )
    interval = GaugeMetricFamily(
        "cm_verification_interval_seconds",
        "Time between scheduled verifications; 0 when the context has no schedule.",
        labels=_CONTEXT,
    )
    for sight in sights:
        name, record = sight.observation.name, sight.record
        for verdict in Verdict:
            checks.add_metric([name, verdict.name], record.verdicts.get(verdict, 0))
        for why in ProbeFailure:
            failures.add_metric([name, why.name], record.failures.get(why, 0))
        disagreements.add_metric([name], record.disagreements)
        interval.add_metric([name], sight.interval)
        if record.last is not None:
            last.add_metric([name], record.last)
    yield from (checks, failures, disagreements, last, interval)


class AgentCollector(Collector):
    """Read the open contexts at each scrape. Synchronization: scrapes may run side by side."""

    def __init__(
        self, contexts: OpenContexts, tally: Tally, verifier: Verifier, version: str
    ) -> None:
        self._contexts, self._tally = contexts, tally
        self._verifier, self._version = verifier, version

    def collect(self) -> Iterable[Metric]:
        """Return new families, every one read now."""
        start = time.perf_counter()
        schedule = self._verifier.config
        sights = [
            Sight(seen, self._tally.record(seen.name), schedule.interval_of(seen.name))
            for seen in self._contexts.observe()
        ]
        yield GaugeMetricFamily(
            "cm_scrape_duration_seconds",
            "Time that reading all contexts took in this scrape.",
            time.perf_counter() - start,
        )
        yield from families(sights, self._version)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not read."""
        return []


def make_registry(collector: Collector) -> CollectorRegistry:
    """Return a registry of this collector and of the process' own metrics."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry
