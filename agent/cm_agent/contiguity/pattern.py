# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The user's side of the pattern that CM_IOC_PATTERN fills and checks.

Every 64-bit word, in native byte order, is the seed plus the number of the 4096-byte cell that it
lies in, modulo 2^64.
"""

from __future__ import annotations

import sys

from cm_agent.core.reports import PatternResult
from cm_agent.core.uapi import PATTERN_CELL

_WORD = 8
_MODULUS = 1 << 64
_BLOCK = 32 * PATTERN_CELL


def fill(view: memoryview, seed: int) -> None:
    """Write the pattern over a view of bytes."""
    _check_size(view)
    for start in range(0, view.nbytes, _BLOCK):
        block = view[start : start + _BLOCK]
        block[:] = _block(seed, start)[: block.nbytes]


def check(view: memoryview, seed: int) -> PatternResult:
    """Compare a view of bytes with the pattern, up to the first word that differs."""
    _check_size(view)
    for start in range(0, view.nbytes, _BLOCK):
        got = view[start : start + _BLOCK].tobytes()
        expected = _block(seed, start)[: len(got)]
        if got != expected:
            at = next(
                i
                for i in range(0, len(got), _WORD)
                if got[i : i + _WORD] != expected[i : i + _WORD]
            )
            return PatternResult(
                matched=start + at,
                size=view.nbytes,
                expected=int.from_bytes(expected[at : at + _WORD], sys.byteorder),
                actual=int.from_bytes(got[at : at + _WORD], sys.byteorder),
            )
    return PatternResult(view.nbytes, view.nbytes, 0, 0)


def _block(seed: int, start: int) -> bytes:
    """Return the pattern of one block. One call a block: slow boards feel a call a cell."""
    first = seed + start // PATTERN_CELL
    words = range(first, first + _BLOCK // PATTERN_CELL)
    repeat = PATTERN_CELL // _WORD
    return b"".join([(word % _MODULUS).to_bytes(_WORD, sys.byteorder) * repeat for word in words])


def _check_size(view: memoryview) -> None:
    if view.nbytes % _WORD:
        raise ValueError(f"{view.nbytes} bytes are not a whole number of {_WORD}-byte words")
