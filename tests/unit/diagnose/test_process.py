# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whether the process that asked for a chunk is there, in a small tree that looks like /proc."""

from __future__ import annotations

from pathlib import Path

import pytest
from cm_agent.diagnose import process
from cm_agent.diagnose.process import is_gone

PID = 1234


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a /proc in which process PID is `camera`, without a dma-buf."""
    namespace = tmp_path / "self/ns/pid"
    namespace.parent.mkdir(parents=True)
    namespace.touch()
    (tmp_path / f"{PID}/fd").mkdir(parents=True)
    (tmp_path / f"{PID}/comm").write_text("camera\n")
    (tmp_path / f"{PID}/maps").write_text("00010000-00020000 rw-s 0 00:0b 7 /dev/zero\n")
    (tmp_path / f"{PID}/fd/0").symlink_to("/dev/null")
    monkeypatch.setattr(process, "PROC", tmp_path)
    monkeypatch.setattr(process, "_INITIAL_NAMESPACE", namespace.stat().st_ino)
    return tmp_path


def test_a_process_of_that_number_and_name_is_there(proc: Path) -> None:
    assert is_gone(PID, "camera") is False


def test_a_process_that_ended_is_gone(proc: Path) -> None:
    assert is_gone(PID + 1, "camera") is True


def test_a_number_that_is_another_processs_by_now_is_gone(proc: Path) -> None:
    assert is_gone(PID, "gst-launch-1.0") is True


def test_a_process_that_has_changed_its_name_is_there_by_its_descriptor(proc: Path) -> None:
    (proc / f"{PID}/fd/7").symlink_to("/dmabuf:frames")
    assert is_gone(PID, "cm-agent") is False


def test_a_process_that_has_changed_its_name_is_there_by_its_mapping(proc: Path) -> None:
    (proc / f"{PID}/maps").write_text("00010000-00020000 rw-s 0 00:0b 7   /dmabuf:frames\n")
    assert is_gone(PID, "cm-agent") is False


def test_in_another_pid_namespace_it_is_not_known(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_INITIAL_NAMESPACE", 0)
    assert is_gone(PID, "camera") is None


def test_what_may_not_be_read_is_not_known(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert is_gone(PID, "gst-launch-1.0") is None


def test_a_name_that_does_not_print_is_compared_as_it_is_shown(proc: Path) -> None:
    (proc / f"{PID}/comm").write_bytes(b"co\x1b\xff\n")
    assert is_gone(PID, r"co\x1b\xff") is False
