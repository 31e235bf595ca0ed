# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is asked of a context at a hand-over, and what counts as moved."""

import errno
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cm_agent.core.errors import AllocationError
from cm_agent.core.uapi import Reason
from cm_agent.selftest.compaction_stress import CompactionStress

MIB = 1 << 20
FULL = AllocationError(
    errno.ENOMEM,
    context="data",
    size=1,
    alignment=0,
    reason=Reason.FRAGMENTED,
    free=0,
    largest_hole=0,
)


class MovableContext:
    """A context of 64 MiB with one chunk, which moves on when it is asked to."""

    def __init__(self, *, immovable: bool = False, full: bool = False) -> None:
        self.immovable, self.full = immovable, full
        self.offset = 0
        self.asked: list[tuple[int, int]] = []

    def query(self) -> Any:
        """Say how large it is."""
        return SimpleNamespace(size=64 * MIB)

    def layout(self) -> list[Any]:
        """Say where the chunk is."""
        return [SimpleNamespace(offset=self.offset, size=MIB, immovable=self.immovable)]

    def compact(self, size: int, alignment: int) -> Any:
        """Move it."""
        self.asked.append((size, alignment))
        if self.full:
            raise FULL
        self.offset += MIB
        return SimpleNamespace(moves=1)

    def attest(self, chunk: object) -> Any:
        """Say where it is in memory, as far as the caller may know."""
        return SimpleNamespace(runs=(SimpleNamespace(address=self.offset),))


FRAME = cast(Any, SimpleNamespace(buffers=("chunk",)))


def moved(context: MovableContext, times: int = 1) -> CompactionStress:
    mover = CompactionStress(cast(Any, context))
    for _ in range(times):
        mover.filled(0, FRAME)
    return mover


def test_room_is_asked_for_where_the_first_chunk_lies() -> None:
    context = MovableContext()
    mover = moved(context, times=2)
    assert context.asked == [(MIB, 64 * MIB), (2 * MIB, 64 * MIB)]
    assert (mover.moves, mover.moved_frames) == (2, 2)


def test_a_chunk_that_a_driver_has_is_left_alone() -> None:
    context = MovableContext(immovable=True)
    mover = moved(context)
    assert (context.asked, mover.moves) == ([], 0)


def test_no_room_is_no_error_and_no_move() -> None:
    mover = moved(MovableContext(full=True))
    assert (mover.moves, mover.moved_frames) == (0, 0)


def test_who_is_not_told_places_cannot_move(monkeypatch: pytest.MonkeyPatch) -> None:
    context = MovableContext()
    hidden = SimpleNamespace(offset=None, size=MIB, immovable=False)
    monkeypatch.setattr(context, "layout", lambda: [hidden])
    with pytest.raises(PermissionError, match="become root"):
        moved(context)
