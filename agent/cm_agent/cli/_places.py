# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A context from its first byte to its last: chunks, and the holes between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cm_agent.core.reports import LayoutEntry


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes `start` to `end` of a context: a chunk's, or with None a hole."""

    start: int
    end: int
    chunk: LayoutEntry | None


def places(chunks: Sequence[LayoutEntry], size: int) -> list[Place] | None:
    """Return all places of a context of this size in order; None: offsets are not shown."""
    found, end = list[Place](), 0
    for chunk in chunks:
        if chunk.offset is None:
            return None
        if chunk.offset > end:
            found.append(Place(end, chunk.offset, None))
        end = chunk.offset + chunk.size
        found.append(Place(chunk.offset, end, chunk))
    return [*found, Place(end, size, None)] if size > end else found


def describe_state(chunk: LayoutEntry) -> str:
    """Return what others do with a chunk, and whether it is on its way back."""
    states = {
        "pinned": chunk.pins,
        "mapped": chunk.maps,
        "imported": chunk.imports and not chunk.maps,
        "immovable": chunk.immovable and not chunk.pins and not chunk.maps,
        "draining": chunk.draining,
    }
    return ", ".join(word for word, holds in states.items() if holds)


def describe_offset(offset: int | None) -> str:
    """Return bytes from the start of a context; `?`: only root may know."""
    return "?" if offset is None else f"{offset:#x}"
