# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The metrics: one golden scrape, and what holds for every one."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

from cm_agent.config.settings import VerificationConfig
from cm_agent.contiguity.verification import Verdict, Verification
from cm_agent.exporter.metrics import AgentCollector, make_registry
from cm_agent.exporter.prober import ProbeFailure, Tally, Verifier
from prometheus_client import CollectorRegistry, generate_latest
from unit.exporter.context_data import Board

GOLDEN = Path(__file__).parent / "golden" / "metrics.txt"


def board_of_three(tmp_path: Path) -> tuple[Board, AgentCollector]:
    """Return a board where left was verified, right was not, and silent does not answer."""
    board = Board(tmp_path / "cm")
    board.appear("left", "right", "silent")
    board.opened[2].failure = OSError(errno.EIO, "no state was reported")
    tally = Tally(clock=lambda: 1_790_000_000.25)
    tally.verified("left", Verification(Verdict.CONTIGUOUS, (), True, 1, "left"))
    tally.verified("left", Verification(Verdict.BOUNCED, (), False, 1, "left"))
    tally.failed("left", ProbeFailure.NO_SPACE)
    config = VerificationConfig(interval=60, contexts=("left",))
    verifier = Verifier(board.contexts, config, tally)
    return board, AgentCollector(board.contexts, tally, verifier, "0.1.0")


def scrape(collector: AgentCollector) -> str:
    """Return the exposition text of this collector alone, less the one value that varies."""
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("cm_scrape_duration_seconds "))


def test_a_scrape_is_the_golden_one(tmp_path: Path) -> None:
    _, collector = board_of_three(tmp_path)
    assert scrape(collector) == GOLDEN.read_text()


def test_without_contexts_the_agent_still_has_its_own_metrics(tmp_path: Path) -> None:
    contexts = Board(tmp_path / "cm").contexts
    verifier = Verifier(contexts, VerificationConfig(), Tally())
    registry = make_registry(AgentCollector(contexts, Tally(), verifier, "0.1.0"))
    assert registry.get_sample_value("cm_agent_info", {"version": "0.1.0"}) == 1
    assert registry.get_sample_value("process_open_fds") is not None
    assert registry.get_sample_value("cm_scrape_duration_seconds") is not None
    values = [sample for family in registry.collect() for sample in family.samples]
    assert {sample.name for sample in values if "context" in sample.labels} == set()


def test_a_context_that_goes_takes_its_series_along(tmp_path: Path) -> None:
    board, collector = board_of_three(tmp_path)
    assert 'context="left"' in scrape(collector)
    (board.dev / "left").unlink()
    board.contexts.refresh()
    assert 'context="left"' not in scrape(collector)


def test_series_stay_few(tmp_path: Path) -> None:
    """Eighteen buckets, six size classes: what one context of the real module may cost."""
    _, collector = board_of_three(tmp_path)
    series = Counter(
        sample.labels.get("context")
        for family in collector.collect()
        for sample in family.samples
        if not sample.name.startswith("cm_allocation_duration")
    )
    assert series["left"] <= 35


def test_registering_reads_nothing(tmp_path: Path) -> None:
    board, collector = board_of_three(tmp_path)
    for context in board.opened:
        context.failure = AssertionError("was read")
    make_registry(collector)
