# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts as data: what the module could have answered, for the parts that only read it."""

from __future__ import annotations

import math
from pathlib import Path

from cm_agent.core.context import Context
from cm_agent.core.reports import ContextState, ContextStats, LatencyHistogram
from cm_agent.core.uapi import Reason
from cm_agent.exporter.registry import OpenContexts

MIB = 1 << 20


def state(
    name: str = "left", *, private: bool = False, largest_hole: int = 9 * MIB
) -> ContextState:
    """Return the state of a context of 16 MiB, 10 of them free."""
    return ContextState(
        name=name,
        version="0.1.0",
        features=0,
        size=16 * MIB,
        free=10 * MIB,
        largest_hole=largest_hole,
        pinned=4 * MIB,
        draining=4096,
        min_alignment=4096,
        chunks=3,
        page_size=4096,
        private=private,
    )


def stats() -> ContextStats:
    """Return statistics with two size classes; 7 of 10 allocations were granted."""
    small = LatencyHistogram(65536, 0.5, ((0.000131072, 4), (0.000262144, 2), (math.inf, 0)))
    large = LatencyHistogram(None, 9.25, ((0.000131072, 0), (0.000262144, 0), (math.inf, 1)))
    return ContextStats(
        attempts=10,
        successes=7,
        failures={Reason.FULL: 2, Reason.BUSY: 1},
        frees=4,
        retries=5,
        moves=0,
        moved_bytes=0,
        held=2 * MIB,
        lent=8 * MIB,
        latency=(small, large),
    )


class DataContext:
    """Answer with data; `failure` is raised instead when there is one."""

    def __init__(self, name: str, **shape: int) -> None:
        self.name, self.closed = name, False
        self.failure: Exception | None = None
        self._state = state(name, private=name == "right", **shape)

    def query(self) -> ContextState:
        """Return the state."""
        if self.failure:
            raise self.failure
        return self._state

    def stats(self) -> ContextStats:
        """Return the statistics."""
        return stats()

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class Board:
    """A directory of nodes, and the data contexts that were opened for them."""

    def __init__(self, dev: Path, **shape: int) -> None:
        self.dev, self.opened = dev, list[DataContext]()
        self.refusal: OSError | None = None
        self._shape = shape
        self.contexts = OpenContexts(self._open)

    def _open(self, name: str) -> Context:
        if self.refusal:
            raise self.refusal
        self.opened.append(DataContext(name, **self._shape))
        return self.opened[-1]  # type: ignore[return-value]

    def appear(self, *names: str) -> None:
        """Make nodes and let the contexts be opened."""
        self.dev.mkdir(exist_ok=True)
        for name in names:
            (self.dev / name).touch()
        self.contexts.refresh()
