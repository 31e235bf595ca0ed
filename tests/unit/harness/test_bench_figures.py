# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The goals of `make bench`, and what is written of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import pytest
from bench import figures, plot
from bench.goals import FULL_SIZES, Goal, goals, one_piece, ratio
from bench.noise import Noise
from bench.origin import Origin
from bench.samples import Sample, Samples, parse
from bench.scenes import FULL_BATCH, FULL_COUNTS, scenes
from boards.board import PROJECT

KIB, MIB = 1 << 10, 1 << 20
ORIGIN = Origin("virt", "6.12", "cma=128M", "0123abc", "2026-11-29 08:00 UTC", 0.5, 262144, False)
NOISE = Noise(1.25, 3.0, 1.0)


def goal(samples: Iterable[Sample], what: str, size: int) -> Goal:
    """Return the goal whose name begins so, of that size."""
    (found,) = (
        it for it in goals(Samples(samples)) if it.what.startswith(what) and it.size == size
    )
    return found


def latency(peer: str, size: int, *values: int) -> list[Sample]:
    return [Sample("latency", peer, size, value) for value in values]


def test_ratio_of_what_was_not_measured_is_none() -> None:
    assert ratio(1, 2) == 0.5
    assert ratio(None, 2) is ratio(1, None) is ratio(1, 0) is None


@pytest.mark.parametrize(
    ("measured", "met"), [(0.9, True), (1.0, True), (1.1, False), (None, None)]
)
def test_goal_is_met_up_to_its_limit(measured: float | None, met: bool | None) -> None:
    assert Goal("it", 4096, measured, 1.0).met is met


@pytest.mark.parametrize(("measured", "met"), [(1.7, False), (1.8, True), (1.9, True)])
def test_goal_that_is_a_least_is_met_from_its_limit_on(measured: float, met: bool) -> None:
    assert Goal("it", 4096, measured, 1.8, least=True).met is met


def test_without_samples_no_goal_is_known() -> None:
    assert {it.met for it in goals(Samples())} == {None}


def test_cold_is_compared_by_median_and_p99() -> None:
    samples = latency("cold", 4096, *[100] * 98, 900, 900) + latency("cma", 4096, *[200] * 100)
    assert goal(samples, "shared, cold / CMA heap, p50", 4096).measured == 0.5
    p99 = goal(samples, "shared, cold / CMA heap, p99", 4096)
    assert (p99.measured, p99.met) == (4.5, False)


@pytest.mark.parametrize(("size", "limit"), [(256 * KIB, 0.5), (1 * MIB, 0.8)])
def test_warm_has_limits_by_size(size: int, limit: float) -> None:
    samples = latency("warm", size, 60) + latency("cma", size, 100)
    found = goal(samples, "shared, warm", size)
    assert (found.measured, found.limit) == (0.6, limit)


def test_failures_in_a_full_bank_miss_the_goal() -> None:
    samples = [Sample("full", "shared", MIB, 5), Sample("full", "shared", MIB, -16, 16)]
    found = goal(samples, "bank full: failures of 2", MIB)
    assert (found.measured, found.met) == (1, False)


def test_rate_is_the_inverse_of_what_an_allocation_took() -> None:
    samples = [Sample("rate", "cma", 64 * KIB, 400), Sample("rate", "private", 64 * KIB, 100)]
    found = goal(samples, "alloc + free a second: private", 64 * KIB)
    assert (found.measured, found.met) == (4.0, True)


def test_cleared_memory_is_compared_with_a_page_of_it() -> None:
    samples = [Sample("cleared", "private", 4096, 100), Sample("cleared", "private", MIB, 160)]
    assert goal(samples, "private, cleared before", MIB).measured == 1.6


def test_load_counts_the_worst_round_and_all_times() -> None:
    samples = [
        *(Sample("load-hole", "shared", 0, it) for it in (100, 90)),
        *(Sample("load-free", "shared", 0, it) for it in (100, 100)),
        *(Sample("load", "shared", 0, it) for it in (10, 20)),
        *(Sample("load-copy", "shared", 0, it) for it in (5, 15)),
    ]
    assert one_piece(Samples(samples), "shared") == 0.9
    assert goal(samples, "75 % load: shared, free in one piece", 0).met is False
    assert goal(samples, "75 % load: shared, time", 0).measured == 1.5


def test_load_that_fails_is_not_known_to_be_in_one_piece() -> None:
    samples = [
        Sample("load", "shared", 0, 10, 110),
        Sample("load-hole", "shared", 0, 100),
        Sample("load-free", "shared", 0, 100),
    ]
    assert goal(samples, "75 % load: shared, free in one piece", 0).met is None


def test_cost_is_what_was_not_counted_for_each_allocation() -> None:
    samples = Samples(
        [
            *(Sample("counted", "ioctl", MIB, it) for it in (1000, 2000, 1000)),
            *(Sample("counted", "cma", MIB, it) for it in (900, 1800, 1000)),
            *(Sample("allocated", "cma", MIB, it) for it in (100, 100, 100)),
        ]
    )
    assert figures.cost(samples, "cma", MIB) == pytest.approx(1000)


def test_cost_of_what_was_not_measured_is_none() -> None:
    assert figures.cost(Samples(), "cma", MIB) is None


def test_text_names_board_kernel_commit_and_noise() -> None:
    text = figures.text(ORIGIN, NOISE, Samples(), goals(Samples()))
    for part in ("board virt", "kernel 6.12", "cm 0123abc", "cma=128M", "p99 1.25"):
        assert part in text


def test_text_shows_each_peer_by_size_and_what_failed() -> None:
    samples = Samples(
        [
            *latency("private", 4096, 70_000),
            *latency("cma", 4096, 274_000),
            Sample("latency", "cma", 8192, -12, 12),
        ]
    )
    head, first, second = figures.percentiles(samples, "latency")
    assert head == ["", "private", "CMA heap"]
    assert first == ["4 KiB", "70 / 70", "274 / 274"]
    assert second == ["8 KiB", figures.MISSING, f"{figures.MISSING} (1 failed)"]


def test_goals_as_csv_say_where_they_come_from() -> None:
    text = figures.goals_csv(
        ORIGIN, NOISE, [Goal("it", 4096, None, 1.0), Goal("it", 0, 2, 1, True)]
    )
    unknown, met = csv.DictReader(io.StringIO(text))
    assert (unknown["measured"], unknown["met"], met["met"]) == ("", "", "true")
    assert (met["board"], met["kernel"], met["commit"]) == ("virt", "6.12", "0123abc")


def test_samples_as_csv_are_read_again() -> None:
    samples = [Sample("latency", "cma", 4096, 7), Sample("full", "cma", 4096, -12, 12)]
    assert parse(figures.samples_csv(Samples(samples))) == samples


def test_plot_has_a_line_for_each_peer_and_says_where_it_comes_from(tmp_path: Path) -> None:
    samples = Samples([*latency("private", 4096, 7), *latency("cma", 4096, 9)])
    plot.plot(ORIGIN, NOISE, samples, "latency", tmp_path / "latency.svg")
    text = (tmp_path / "latency.svg").read_text()
    for part in ("private", "CMA heap", "board virt", "cm 0123abc", "p99 1.25"):
        assert f"<!-- {part}" in text or part in text


def test_every_scene_has_fewer_rounds_when_it_is_quick() -> None:
    assert all(0 < scene.quick < scene.rounds for scene in scenes())


def test_full_run_asks_for_3000_allocations_in_full_banks() -> None:
    asked = sum(it.rounds * FULL_BATCH // it.size for it in scenes() if it.name == "full")
    assert asked == 3000


def test_goals_in_full_banks_are_of_sizes_that_are_measured() -> None:
    assert tuple(FULL_COUNTS) == FULL_SIZES


def test_every_scene_and_peer_is_one_that_the_program_knows() -> None:
    source = PROJECT / "tests/bench/measure"
    main, peer = ((source / name).read_text() for name in ("main.c", "peer.c"))
    for scene in scenes():
        assert f'{{ "{scene.name}", scene_' in main
        assert all(f'{{ "{it}", ' in peer for it in scene.peers)
