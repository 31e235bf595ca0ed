# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Who has the most of a context when an allocation fails; of a kernel that is data."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cm_agent.core import uapi
from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError
from cm_agent.core.holders import MOST_CHUNKS
from cm_agent.core.uapi import Reason

MIB = 1 << 20
ALICE, BOB, CAROL, DAVE = 4_000_000_001, 4_000_000_002, 4_000_000_003, 4_000_000_004
"""Numbers that no user of this machine has."""


class Chunk(NamedTuple):
    """A chunk as CM_IOC_LAYOUT has it."""

    uid: int
    size: int
    pid: int = 1
    comm: bytes = b"camera"
    state: int = 0


class Kernel:
    """Refuse every allocation for a reason; note what is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.chunks: list[Chunk] = []
        self.refused: dict[str, int] = {"reason": Reason.FULL}
        self.failure: Exception | None = None
        self.size = 64 * MIB

    def submit(self, fd: int, request: str, argument: Any) -> None:
        """Do a request."""
        self.asked.append(request)
        if request in ("CM_IOC_ALLOC", "CM_IOC_COMPACT"):
            for name, value in self.refused.items():
                setattr(argument, name, value)
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        if request == "CM_IOC_QUERY":
            argument.size = self.size
        if request == "CM_IOC_LAYOUT":
            self._describe(argument)

    def _describe(self, argument: Any) -> None:
        if self.failure:
            raise self.failure
        entries = uapi.ffi.cast("struct cm_layout_entry *", argument.entries)
        for number, chunk in enumerate(self.chunks[: argument.capacity]):
            for name, value in chunk._asdict().items():
                setattr(entries[number], name, value)
        argument.count = len(self.chunks)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr("cm_agent.core.context.DEV", tmp_path)
    monkeypatch.setattr("cm_agent.core.uapi.submit", kernel.submit)
    (tmp_path / "left").touch()
    return kernel


def refused(size: int = MIB, **more: int) -> AllocationError:
    """Return the error of an allocation from `left`."""
    with Context("left") as context, pytest.raises(AllocationError) as caught:
        context.alloc(size, **more)  # type: ignore[arg-type]
    return caught.value


def holders(error: AllocationError) -> str:
    """Return what the error says of holders."""
    return str(error.strerror).partition("; largest holders")[2]


@pytest.mark.parametrize("reason", [Reason.FULL, Reason.FRAGMENTED])
def test_the_largest_three_are_named_with_their_processes(kernel: Kernel, reason: Reason) -> None:
    kernel.refused = {"reason": reason}
    kernel.chunks = [
        Chunk(ALICE, 3 * MIB, 7, b"small"),
        Chunk(BOB, 16 * MIB, 0, b"", uapi.CHUNK_HIDDEN),
        Chunk(ALICE, 36 * MIB, 1234, b"gst-launch-1.0"),
        Chunk(CAROL, 2 * MIB, 9, b"c"),
        Chunk(DAVE, MIB, 10, b"d"),
    ]
    assert holders(refused()) == (
        f": {ALICE} 39 MiB (gst-launch-1.0 1234, small 7), {BOB} 16 MiB, {CAROL} 2 MiB (c 9)"
    )


def test_they_cost_one_request(kernel: Kernel) -> None:
    """The size of the context, which does not change, is asked for once."""
    kernel.chunks = [Chunk(ALICE, MIB)]
    with Context("left") as context:
        for _ in range(3):
            with pytest.raises(AllocationError):
                context.alloc(MIB)
    once = ["CM_IOC_ALLOC", "CM_IOC_LAYOUT"]
    assert kernel.asked == ["CM_IOC_ALLOC", "CM_IOC_QUERY", "CM_IOC_LAYOUT", *once, *once]


@pytest.mark.parametrize("reason", [Reason.BUSY, Reason.DEADLINE, Reason.NO_MEMORY])
def test_they_are_not_asked_for_when_nobody_holds_what_is_missing(
    kernel: Kernel, reason: Reason
) -> None:
    kernel.refused = {"reason": reason}
    assert refused().holders is None and kernel.asked == ["CM_IOC_ALLOC"]


def test_more_than_there_is_at_all_is_held_by_nobody(kernel: Kernel) -> None:
    kernel.chunks = [Chunk(ALICE, MIB)]
    assert refused(65 * MIB).holders is None and "CM_IOC_LAYOUT" not in kernel.asked


@pytest.mark.parametrize("failure", [OSError(errno.ENOTTY, ""), MemoryError(), ValueError()])
def test_the_error_is_the_first_one_when_nobody_can_be_named(
    kernel: Kernel, failure: Exception
) -> None:
    kernel.failure = failure
    error = refused()
    assert (error.reason, error.holders) == (Reason.FULL, None)


def test_an_empty_context_has_no_holders(kernel: Kernel) -> None:
    assert "holders" not in str(refused())


def test_a_quota_is_used_by_the_user_alone(kernel: Kernel) -> None:
    kernel.refused = {"reason": Reason.QUOTA, "quota": 4 * MIB, "used": 4 * MIB}
    kernel.chunks = [Chunk(ALICE, 60 * MIB), Chunk(os.geteuid(), 4 * MIB, 5, b"mine")]
    found = refused().holders
    assert found and [it.uid for it in found.largest] == [os.geteuid()]


def test_the_quota_of_another_process_is_not_looked_into(kernel: Kernel) -> None:
    kernel.refused = {"reason": Reason.QUOTA, "quota": 4 * MIB, "used": 4 * MIB}
    assert refused(owner_pid=4711).holders is None


def test_too_many_chunks_are_counted(kernel: Kernel) -> None:
    """Of all users, when it is the context that has too many."""
    kernel.refused = {"reason": Reason.CHUNKS, "max_chunks": 9, "chunks": 0}
    kernel.chunks = [Chunk(ALICE, 60 * MIB, 7), *[Chunk(BOB, 4096, 8)] * 2]
    assert holders(refused()) == f": {BOB} 2 chunks (camera 8), {ALICE} 1 chunk (camera 7)"


def test_of_very_many_chunks_some_are_looked_at(kernel: Kernel) -> None:
    kernel.chunks = [Chunk(ALICE, 4096)] * (MOST_CHUNKS + 1)
    assert holders(refused()).startswith(f" of 1,024 of its 1,025 chunks: {ALICE} 4 MiB ")


def test_what_others_wrote_is_escaped(kernel: Kernel) -> None:
    kernel.chunks = [Chunk(ALICE, MIB, 7, b"co\x1b[7mme\n")]
    assert holders(refused()) == rf": {ALICE} 1 MiB (co\x1b[7mme\n 7)"


def test_a_compaction_that_fails_names_them_and_what_was_moved(kernel: Kernel) -> None:
    kernel.refused = {"reason": Reason.FRAGMENTED, "moves": 3}
    kernel.chunks = [Chunk(ALICE, MIB, 7)]
    with Context("left") as context, pytest.raises(AllocationError) as caught:
        context.compact(MIB)
    assert holders(caught.value) == f": {ALICE} 1 MiB (camera 7); chunks moved until then: 3"


def test_they_are_there_after_pickling(kernel: Kernel) -> None:
    kernel.chunks = [Chunk(ALICE, MIB, 7)]
    error = refused()
    assert pickle.loads(pickle.dumps(error)).holders == error.holders
