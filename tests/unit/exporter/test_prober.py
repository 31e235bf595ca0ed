# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The scheduled probe: when it runs, what it counts, and that nothing ends it.

What a probe does to a real context is the business of the tests on boards.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cm_agent.config.settings import VerificationConfig
from cm_agent.contiguity.verification import Verdict, Verification
from cm_agent.exporter.prober import ProbeFailure, Tally, Verifier
from unit.exporter.context_data import MIB, Board


def eventually(condition: Callable[[], bool]) -> None:
    """Fail unless the condition becomes true within some seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 10 s"
        time.sleep(0.01)


@contextmanager
def running(board: Board, config: VerificationConfig, tally: Tally) -> Iterator[Verifier]:
    """Run a verifier for the length of a block."""
    verifier = Verifier(board.contexts, config, tally)
    verifier.start()
    try:
        yield verifier
    finally:
        verifier.stop()


def test_the_tally_adds_up() -> None:
    tally = Tally(clock=lambda: 1000.0)
    good = Verification(Verdict.CONTIGUOUS, (), True, 1, "left")
    bad = Verification(Verdict.FRAGMENTED, (), False, 1, "left")
    for verification in (good, good, bad):
        tally.verified("left", verification)
    tally.failed("left", ProbeFailure.NO_SPACE)
    record = tally.record("left")
    assert record.verdicts == {Verdict.CONTIGUOUS: 2, Verdict.FRAGMENTED: 1}
    assert record.failures == {ProbeFailure.NO_SPACE: 1}
    assert (record.disagreements, record.last) == (1, 1000.0)
    assert record.last_verdict is Verdict.FRAGMENTED
    assert tally.record("right").last is None


def test_a_context_without_free_space_is_not_probed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board(tmp_path / "cm", largest_hole=MIB // 2)
    board.appear("left")
    tally = Tally()
    with running(board, VerificationConfig(), tally):
        eventually(lambda: bool(tally.record("left").failures))
    assert tally.record("left").failures == {ProbeFailure.NO_SPACE: 1}
    assert "no free space for the probe: largest hole 512 KiB, the probe takes 1 MiB" in caplog.text


@pytest.mark.parametrize(
    ("failure", "words"),
    [(OSError(errno.EIO, "does not answer"), "does not answer"), (RuntimeError("a bug"), "a bug")],
)
def test_whatever_a_probe_meets_the_next_one_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, failure: Exception, words: str
) -> None:
    board = Board(tmp_path / "cm")
    board.appear("left")
    board.opened[0].failure = failure
    tally = Tally()
    with running(board, VerificationConfig(interval=1.0), tally):
        eventually(lambda: tally.record("left").failures.get(ProbeFailure.VERIFICATION, 0) >= 2)
    assert words in caplog.text


def test_probes_what_the_schedule_covers_as_it_appears(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm", largest_hole=0)
    board.appear("left")
    tally = Tally()
    config = VerificationConfig(interval=3600, contexts=("right",))
    with running(board, config, tally) as verifier:
        board.appear("right")
        verifier.contexts_changed()
        eventually(lambda: bool(tally.record("right").failures))
        assert not tally.record("left").failures
        verifier.reconfigure(VerificationConfig(interval=3600))
        eventually(lambda: bool(tally.record("left").failures))
        eventually(lambda: tally.record("right").failures[ProbeFailure.NO_SPACE] == 2)


def test_interval_zero_never_probes_and_stops_at_once(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm", largest_hole=0)
    board.appear("left")
    tally = Tally()
    with running(board, VerificationConfig(interval=0), tally):
        time.sleep(0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 1
    assert not tally.record("left").failures


def test_stop_before_start_is_harmless(tmp_path: Path) -> None:
    Verifier(Board(tmp_path / "cm").contexts, VerificationConfig(), Tally()).stop()
