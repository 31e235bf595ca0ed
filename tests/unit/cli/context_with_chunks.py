# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A context as data that has chunks, for verbs that show them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from cm_agent.core.reports import Compaction, LayoutEntry
from unit.exporter.context_data import DataContext

MIB = 1 << 20
NOBODYS = 4_000_000_000
"""A number that no user of this machine has."""
FIRST = LayoutEntry(100, 2 * MIB, 4096, 0, 0, 0, 0, 42, "camera", "frames", 0, False, False, False)
PINNED = replace(FIRST, id=101, size=4 * MIB, pins=1, name="", offset=8 * MIB, immovable=True)
OTHERS = replace(
    FIRST, id=102, size=MIB, uid=NOBODYS, pid=0, comm="", name="", offset=12 * MIB, hidden=True
)
CHUNKS = [FIRST, PINNED, OTHERS]


class ContextWithChunks(DataContext):
    """A context of 16 MiB in which CHUNKS lie; without their places for one of no privileges."""

    chunks: ClassVar = CHUNKS

    def __enter__(self) -> ContextWithChunks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def layout(self) -> list[LayoutEntry]:
        """Return the chunks."""
        return self.chunks

    def compact(self, size: int, alignment: int, *, deadline: float | None) -> Compaction:
        """Move two chunks."""
        return Compaction(2, 3 * MIB, 9 * MIB, 9 * MIB)


class Unprivileged(ContextWithChunks):
    """As a user without CAP_SYS_RAWIO sees it."""

    chunks: ClassVar = [replace(it, offset=None) for it in CHUNKS]
