# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Who has the most of a context, for the error of an allocation that failed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cm_agent.core import uapi
from cm_agent.core.login import user_name
from cm_agent.core.size import format_size

MOST_CHUNKS = 1_024
"""So that a service whose allocations fail does not spend its time on the reasons."""
_MOST = 3


@dataclass(frozen=True, slots=True)
class Process:
    """A process that asked for chunks: their bytes and number; it may have ended since."""

    pid: int
    comm: str
    bytes: int
    chunks: int

    def __str__(self) -> str:
        return f"{self.comm} {self.pid}"


@dataclass(frozen=True, slots=True)
class Holder:
    """A user with bytes in chunks, and the processes that asked for most of them, at most three.

    `processes` is empty where the caller may not know them: of others, without CAP_SYS_ADMIN.
    """

    uid: int
    bytes: int
    chunks: int
    processes: tuple[Process, ...]

    def describe(self, *, by_number: bool = False) -> str:
        """Return it as in `alice 40 MiB (gst-launch-1.0 1234)`, or with the number of chunks."""
        amount = count_chunks(self.chunks) if by_number else format_size(self.bytes)
        asked = f" ({', '.join(map(str, self.processes))})" if self.processes else ""
        return f"{user_name(self.uid)} {amount}{asked}"


@dataclass(frozen=True, slots=True)
class Holders:
    """The largest holders, at most three, of the first `seen` of `chunks` chunks of a context.

    `by_number`: those with the most chunks instead of bytes.
    """

    largest: tuple[Holder, ...]
    seen: int
    chunks: int
    by_number: bool = False

    @classmethod
    def ask(cls, fd: int, *, uid: int | None = None, by_number: bool = False) -> Holders:
        """Ask the context of a descriptor, by one request; OSError. uid: that user alone."""
        entries = uapi.new_entries(MOST_CHUNKS)
        got = uapi.call(fd, "CM_IOC_LAYOUT", capacity=MOST_CHUNKS, entries=uapi.address_of(entries))
        seen = min(got.count, MOST_CHUNKS)
        chunks = (entries[i] for i in range(seen))
        wanted = (it for it in chunks if uid is None or it.uid == uid)
        return cls(tuple(_largest(wanted, by_number)), seen, got.count, by_number)

    def __str__(self) -> str:
        """Return them as the end of a sentence; empty when there are none."""
        if not self.largest:
            return ""
        of = f" of {self.seen:,} of its {self.chunks:,} chunks" if self.seen < self.chunks else ""
        listed = (it.describe(by_number=self.by_number) for it in self.largest)
        return f"largest holders{of}: {', '.join(listed)}"


def count_chunks(number: int) -> str:
    """Return `1 chunk`, `2 chunks`."""
    return "1 chunk" if number == 1 else f"{number} chunks"


def _largest(chunks: Iterable[Any], by_number: bool) -> Iterator[Holder]:
    """Yield the largest holders of chunks, which are a struct cm_layout_entry each."""
    order = operator.attrgetter("chunks" if by_number else "bytes")
    users = _grouped(chunks, lambda it: it.uid)
    found = [Holder(uid, *_sums(of), _processes(of, order)) for uid, of in users.items()]
    yield from sorted(found, key=order, reverse=True)[:_MOST]


def _processes(chunks: list[Any], order: Callable[[Any], int]) -> tuple[Process, ...]:
    known = (it for it in chunks if not it.state & uapi.CHUNK_HIDDEN)
    found = [
        Process(pid, uapi.text(of[0].comm), *_sums(of))
        for pid, of in _grouped(known, lambda it: it.pid).items()
    ]
    return tuple(sorted(found, key=order, reverse=True)[:_MOST])


def _grouped(chunks: Iterable[Any], key: Callable[[Any], int]) -> dict[int, list[Any]]:
    groups: dict[int, list[Any]] = {}
    for chunk in chunks:
        groups.setdefault(key(chunk), []).append(chunk)
    return groups


def _sums(chunks: list[Any]) -> tuple[int, int]:
    return sum(it.size for it in chunks), len(chunks)
