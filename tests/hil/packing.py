# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whether chunks can be rearranged for a request: a judge that shares no code with cm.ko.

Chunks that are fixed divide a context into bins. A request has room in one of them if and only if
all other chunks fit into what is left of the bins: bin packing, decided here by trying everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple


class Chunk(NamedTuple):
    """One entry of a layout; bytes, or any other unit."""

    offset: int
    size: int
    alignment: int
    fixed: bool


def bins(size: int, chunks: Sequence[Chunk]) -> list[int]:
    """Return how long each run between neighbouring fixed chunks, or the context's ends, is."""
    found, start = [], 0
    for chunk in sorted(chunks):
        if chunk.fixed:
            found.append(chunk.offset - start)
            start = chunk.offset + chunk.size
    return [*found, size - start]


def fit(sizes: Sequence[int], room: Sequence[int]) -> bool:
    """Return whether every size finds a bin with room."""
    largest_first = sorted(sizes, reverse=True)

    @cache
    def rest_fits(first: int, room: tuple[int, ...]) -> bool:
        if first == len(largest_first):
            return True
        size = largest_first[first]
        return any(
            rest_fits(first + 1, tuple(sorted((*room[:i], left - size, *room[i + 1 :]))))
            for i, left in enumerate(room)
            if left >= size and left not in room[:i]
        )

    return sum(sizes) <= sum(room) and rest_fits(0, tuple(sorted(room)))


def has_room(size: int, chunks: Sequence[Chunk], wanted: int) -> bool:
    """Return whether an arrangement of the chunks leaves `wanted` in a row; what is fixed stays.

    Says nothing of how to get there. Time and memory are exponential in the number of chunks, and
    small where sizes are multiples of a coarse unit. Alignments must not matter: ValueError when
    something is no multiple of the largest.
    """
    alignment = max((chunk.alignment for chunk in chunks), default=1)
    numbers = [size, wanted, *(n for chunk in chunks for n in (chunk.offset, chunk.size))]
    if any(number % alignment for number in numbers):
        raise ValueError(f"not all of {numbers} are multiples of {alignment}")
    room = bins(size, chunks)
    loose = [chunk.size for chunk in chunks if not chunk.fixed]
    return any(
        fit(loose, [*room[:i], length - wanted, *room[i + 1 :]])
        for i, length in enumerate(room)
        if length >= wanted
    )
