# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The set of open contexts: who is opened, who is closed, and when."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from unit.exporter.context_data import Board


def test_no_directory_is_no_context(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm")
    assert board.contexts.refresh() is False
    assert board.contexts.names() == () and board.contexts.observe() == []


def test_opens_what_appears_and_closes_what_goes(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm")
    board.appear("right", "left", "control")
    assert board.contexts.names() == ("left", "right")
    assert board.contexts.refresh() is False
    (board.dev / "left").unlink()
    assert board.contexts.refresh() is True
    assert board.contexts.names() == ("right",)
    assert [context.name for context in board.opened if context.closed] == ["left"]


def test_opens_a_node_that_was_made_anew_again(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm")
    board.appear("left")
    os.rename(board.dev / "left", tmp_path / "keeps the inode")
    (board.dev / "left").touch()
    assert board.contexts.refresh() is True
    assert [context.closed for context in board.opened] == [True, False]


def test_a_context_in_use_is_closed_by_its_last_user(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm")
    board.appear("left")
    with board.contexts.use("left") as outer, board.contexts.use("left") as inner:
        assert outer is inner is not None
        (board.dev / "left").unlink()
        board.contexts.refresh()
        assert not board.opened[0].closed
        with board.contexts.use("left") as gone:
            assert gone is None
    assert board.opened[0].closed


def test_close_closes_everything_once(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm")
    board.appear("left", "right")
    with board.contexts as contexts:
        assert len(contexts) == 2
    board.contexts.close()
    assert [context.closed for context in board.opened] == [True, True]


def test_keeps_trying_what_cannot_be_opened_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board(tmp_path / "cm")
    board.refusal = OSError(errno.EPERM, "may not be opened")
    board.appear("left")
    board.contexts.refresh()
    (seen,) = board.contexts.observe()
    assert (seen.opened, seen.state) == (False, None)
    assert seen.error is not None
    assert seen.error.startswith("may not be opened; the service was started before module cm")
    assert len(caplog.records) == 1
    board.refusal = None
    assert board.contexts.refresh() is True
    (seen,) = board.contexts.observe()
    assert seen.opened and seen.state is not None and seen.stats is not None


def test_observes_without_statistics_when_they_are_not_wanted(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm")
    board.appear("left")
    (seen,) = board.contexts.observe(stats=False)
    assert seen.state is not None and seen.stats is None


def test_a_context_that_does_not_answer_is_an_observation_too(tmp_path: Path) -> None:
    board = Board(tmp_path / "cm")
    board.appear("left")
    board.opened[0].failure = OSError(errno.EIO, "no state was reported")
    (seen,) = board.contexts.observe()
    assert (seen.opened, seen.state, seen.error) == (True, None, "no state was reported")
