# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts and errors, as far as they go without a kernel module."""

import errno
import os
from pathlib import Path
from typing import Any, cast

import numpy
import pytest
from cm_agent.core import uapi
from cm_agent.core.context import Context, contexts
from cm_agent.core.errors import AllocationError, RequestError
from cm_agent.core.uapi import Reason


@pytest.fixture(autouse=True)
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes of contexts are plain files in a folder of the test's."""
    monkeypatch.setattr("cm_agent.core.context.DEV", tmp_path)


def test_names_are_sorted_and_without_control(tmp_path: Path) -> None:
    for name in ("right", "control", "left"):
        (tmp_path / name).touch()
    assert contexts() == ["left", "right"]


def test_there_are_no_names_without_the_module(tmp_path: Path) -> None:
    tmp_path.rmdir()
    assert contexts() == []


def test_unknown_context_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "left").touch()
    with pytest.raises(FileNotFoundError, match=r"'lefd'.*there: left") as caught:
        Context("lefd")
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("name", ["", ".", "..", "../null", "control"])
def test_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name of a context"):
        Context(name)


def test_a_path_is_refused_with_the_name_to_give(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"give its name alone, 'shared'$"):
        Context(f"{tmp_path}/shared")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="by its name, a str, not by PosixPath"):
        Context(tmp_path)  # type: ignore[arg-type]


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "text": ({"size": "8MiB"}, TypeError, r"use cm_agent.parse_size\('8MiB'\)"),
    "fraction": ({"size": 1.5}, TypeError, "size is bytes, a whole number, not 1.5 .float."),
    "negative": ({"size": -1}, ValueError, "size of -1 bytes: it is at least 0"),
    "too large": ({"size": 1 << 64}, ValueError, f"size of {1 << 64} bytes"),
    "alignment": ({"size": 1, "alignment": "4K"}, TypeError, "alignment is bytes, a whole number"),
    "seconds": ({"size": 1, "deadline": "1"}, TypeError, "a deadline is seconds, not '1' .str."),
    "forever": ({"size": 1, "deadline": float("inf")}, ValueError, "a deadline of inf s cannot be"),
    "never": ({"size": 1, "deadline": float("nan")}, ValueError, "a deadline of nan s cannot be"),
    "process": ({"size": 1, "owner_pid": "1"}, TypeError, "owner_pid is a whole number, not '1'"),
    "name": ({"size": 1, "name": 5}, TypeError, "5 cannot name a buffer"),
}


@pytest.mark.parametrize(("given", "kind", "text"), WRONG.values(), ids=WRONG)
def test_what_can_be_no_request_is_refused_with_a_sentence(
    tmp_path: Path, given: dict[str, Any], kind: type[Exception], text: str
) -> None:
    (tmp_path / "left").touch()
    with Context("left") as context, pytest.raises(kind, match=text):
        context.alloc(**given)


@pytest.mark.parametrize(
    "given", [{"size": "8MiB"}, {"size": 1.5}, {"alignment": -1}, {"deadline": "1"}]
)
def test_compaction_is_as_strict(tmp_path: Path, given: dict[str, Any]) -> None:
    (tmp_path / "left").touch()
    with Context("left") as context, pytest.raises((TypeError, ValueError), match=r"whole|-1|sec"):
        context.compact(**given)


def test_numpys_integers_are_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "left").touch()
    answer(monkeypatch, errno.EDQUOT, reason=Reason.CHUNKS.value)
    with Context("left") as context, pytest.raises(AllocationError) as caught:
        context.alloc(cast(int, numpy.uint32(8192)), alignment=cast(int, numpy.int64(4096)))
    assert (type(caught.value.size), caught.value.size) == (int, 8192)


def test_failed_call_names_the_context_and_keeps_errno(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        Context("file") as context,
        pytest.raises(OSError, match="'file'") as caught,
    ):
        context.query()
    assert caught.value.errno == errno.ENOTTY


def test_failure_that_has_no_reason_is_no_allocation_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        Context("file") as context,
        pytest.raises(OSError, match="8 KiB") as caught,
    ):
        context.alloc(8192)
    assert not isinstance(caught.value, AllocationError)


def test_deadline_that_has_passed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        Context("file") as context,
        pytest.raises(ValueError, match="deadline"),
    ):
        context.alloc(4096, deadline=0)


def test_allocation_error_has_the_numbers_and_what_to_do() -> None:
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
def test_a_request_larger_than_the_context_is_not_advised_to_free_chunks(
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


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        (
            16,
            "CHUNKS; you have 16 of your 16 chunks; free chunks of yours, or have root raise your "
            "limit (cm-agent quota --chunks) or the module's limit (/sys/",
        ),
        (
            3,
            "CHUNKS; you have 3 of your 16 chunks, and all users together have as many as the "
            "context may have; have others free chunks, or have root raise the module's limit (",
        ),
    ],
)
def test_too_many_chunks_are_counted_and_the_error_says_whose_limit_it_is(
    chunks: int, text: str
) -> None:
    error = AllocationError(
        errno.EDQUOT,
        context="camera",
        size=8 << 20,
        alignment=0,
        reason=Reason.CHUNKS,
        free=4096,
        largest_hole=4096,
        max_chunks=16,
        chunks=chunks,
    )
    assert text in str(error)
    assert (error.max_chunks, error.chunks) == (16, chunks)


def answer(monkeypatch: pytest.MonkeyPatch, number: int, **members: int) -> None:
    """Have every call fail; an allocation or a compaction writes these members back."""

    def submit(fd: int, request: str, argument: Any) -> None:
        for name, value in members.items():
            if request in ("CM_IOC_ALLOC", "CM_IOC_COMPACT"):
                setattr(argument, name, value)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("cm_agent.core.uapi.submit", submit)


def test_an_allocation_error_has_what_the_kernel_wrote_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "left").touch()
    reason = Reason.CHUNKS.value
    answer(monkeypatch, errno.EDQUOT, reason=reason, max_chunks=16, chunks=16, quota=9, used=5)
    with Context("left") as context, pytest.raises(AllocationError) as caught:
        context.alloc(8192)
    error = caught.value
    assert (error.errno, error.reason) == (errno.EDQUOT, Reason.CHUNKS)
    assert (error.max_chunks, error.chunks, error.quota, error.used) == (16, 16, 9, 5)


@pytest.mark.parametrize(
    ("size", "what"),
    [(8192, "compaction for a hole of 8 KiB failed: BUSY"), (0, "for the largest hole failed: B")],
)
def test_a_compaction_that_fails_is_called_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, what: str
) -> None:
    (tmp_path / "left").touch()
    answer(monkeypatch, errno.EBUSY, reason=Reason.BUSY.value)
    with Context("left") as context, pytest.raises(AllocationError, match=what):
        context.compact(size)


OWNER_ERRORS = {
    errno.EPERM: (PermissionError, "process 4711, which needs CAP_SYS_RESOURCE (root has it): "),
    errno.ESRCH: (ProcessLookupError, "process 4711, which has ended, is a thread, or has no"),
}


@pytest.mark.parametrize("number", OWNER_ERRORS)
def test_a_process_that_cannot_own_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "left").touch()
    answer(monkeypatch, number, reason=Reason.INVALID.value)
    kind, text = OWNER_ERRORS[number]
    with Context("left") as context, pytest.raises(kind) as caught:
        context.alloc(8192, owner_pid=4711)
    assert text in str(caught.value)


def test_an_error_of_the_callers_own_is_no_allocation_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "left").touch()
    answer(monkeypatch, errno.EMFILE, reason=Reason.INVALID.value)
    with Context("left") as context, pytest.raises(OSError) as caught:
        context.alloc(8192)
    assert type(caught.value) is RequestError and caught.value.errno == errno.EMFILE


@pytest.mark.parametrize("pid", [-1, 1 << 31])
def test_what_can_be_no_process_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    (tmp_path / "left").touch()
    answer(monkeypatch, errno.EIO)
    with Context("left") as context, pytest.raises(ValueError, match=str(pid)):
        context.alloc(8192, owner_pid=pid)


def test_a_quota_on_behalf_is_the_other_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "left").touch()
    answer(monkeypatch, errno.EDQUOT, reason=Reason.QUOTA.value, quota=9 << 20, used=5 << 20)
    with Context("left") as context, pytest.raises(AllocationError) as caught:
        context.alloc(8 << 20, owner_pid=4711)
    text = "QUOTA; the user of process 4711 has 5 MiB of their 9 MiB; free chunks of theirs, or"
    assert text in str(caught.value)


def test_users_are_all_asked_for_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, and whatever the order that the kernel knows them in."""
    (tmp_path / "left").touch()
    there = 200

    def submit(fd: int, request: str, argument: Any) -> None:
        entries = uapi.ffi.cast("struct cm_user *", argument.entries)
        for number in range(min(there, argument.capacity)):
            entries[number].uid = there - number
        argument.count = there

    monkeypatch.setattr("cm_agent.core.uapi.submit", submit)
    with Context("left") as context:
        assert [user.uid for user in context.users()] == list(range(1, there + 1))
