# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The user's side of the pattern that CM_IOC_PATTERN fills and checks.

Every 64-bit word, in native byte order, is the seed plus the number of the 4096-byte cell that it
lies in, modulo 2^64.
"""

from __future__ import annotations

import sys

from cm_agent.records import PatternResult
from cm_agent.uapi import PATTERN_CELL

_WORD = 8
_MODULUS = 1 << 64


def fill(view: memoryview, seed: int) -> None:
    """Write the pattern over a view of bytes."""
    _check_size(view)
    for number, start in enumerate(range(0, view.nbytes, PATTERN_CELL)):
        cell = view[start : start + PATTERN_CELL]
        cell[:] = _cell(seed, number)[: cell.nbytes]


def check(view: memoryview, seed: int) -> PatternResult:
    """Compare a view of bytes with the pattern, up to the first word that differs."""
    _check_size(view)
    for number, start in enumerate(range(0, view.nbytes, PATTERN_CELL)):
        got = view[start : start + PATTERN_CELL].tobytes()
        expected = _cell(seed, number)[: len(got)]
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


def _cell(seed: int, number: int) -> bytes:
    word = (seed + number) % _MODULUS
    return word.to_bytes(_WORD, sys.byteorder) * (PATTERN_CELL // _WORD)


def _check_size(view: memoryview) -> None:
    if view.nbytes % _WORD:
        raise ValueError(f"{view.nbytes} bytes are not a whole number of {_WORD}-byte words")
