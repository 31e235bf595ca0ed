# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts and errors, as far as they go without a kernel module."""

import errno
from pathlib import Path

import pytest
from cm_agent.context import Context, names
from cm_agent.errors import AllocationError
from cm_agent.uapi import Reason


def test_names_are_sorted_and_without_control(tmp_path: Path) -> None:
    for name in ("right", "control", "left"):
        (tmp_path / name).touch()
    assert names(tmp_path) == ["left", "right"]


def test_there_are_no_names_without_the_module(tmp_path: Path) -> None:
    assert names(tmp_path / "absent") == []


def test_unknown_context_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "left").touch()
    with pytest.raises(FileNotFoundError, match=r"'lefd'.*there: left") as caught:
        Context("lefd", dev=tmp_path)
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("name", ["", ".", "..", "../null", "control"])
def test_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name of a context"):
        Context(name, dev=tmp_path)


def test_failed_call_names_the_context_and_keeps_errno(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        Context("file", dev=tmp_path) as context,
        pytest.raises(OSError, match="'file'") as caught,
    ):
        context.query()
    assert caught.value.errno == errno.ENOTTY


def test_failure_that_has_no_reason_is_no_allocation_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        Context("file", dev=tmp_path) as context,
        pytest.raises(OSError, match="8 KiB") as caught,
    ):
        context.alloc(8192)
    assert not isinstance(caught.value, AllocationError)


def test_deadline_that_has_passed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        Context("file", dev=tmp_path) as context,
        pytest.raises(ValueError, match="deadline"),
    ):
        context.alloc(4096, deadline=0)


def test_allocation_error_tells_the_numbers_and_what_to_do() -> None:
    error = AllocationError(
        errno.ENOMEM,
        context="camera",
        size=8 << 20,
        alignment=1 << 20,
        reason=Reason.FRAGMENTED,
        free=12 << 20,
        largest_hole=4 << 20,
    )
    assert error.errno == errno.ENOMEM
    for part in ("'camera'", "8 MiB aligned to 1 MiB", "FRAGMENTED", "12 MiB free", "hole 4 MiB"):
        assert part in str(error)
    assert "ask for less" in str(error)


@pytest.mark.parametrize(
    ("size", "total", "advice"),
    [
        (8 << 20, 8 << 20, "free chunks of it, or make the context's bank larger"),
        (9 << 20, 8 << 20, "all of it is 8 MiB: ask for less, or make its bank larger"),
        (9 << 20, None, "free chunks of it, or make the context's bank larger"),
    ],
)
def test_who_asks_for_more_than_there_ever_is_is_not_told_to_free_chunks(
    size: int, total: int | None, advice: str
) -> None:
    error = AllocationError(
        errno.ENOMEM,
        context="camera",
        size=size,
        alignment=0,
        reason=Reason.FULL,
        free=4096,
        largest_hole=4096,
        total=total,
    )
    assert str(error).endswith(f"largest hole 4 KiB; {advice}")
