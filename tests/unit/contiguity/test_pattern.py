# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The pattern as the header describes it, word for word."""

import sys

import pytest
from cm_agent.contiguity import pattern
from hypothesis import given
from hypothesis import strategies as st

CELL = 4096
seeds = st.integers(0, (1 << 64) - 1)


def word(memory: bytearray, index: int) -> int:
    return int.from_bytes(memory[8 * index : 8 * index + 8], sys.byteorder)


@given(seeds, st.integers(1, 3 * CELL // 8))
def test_every_word_is_seed_plus_cell_modulo_2_64(seed: int, words: int) -> None:
    memory = bytearray(8 * words)
    pattern.fill(memoryview(memory), seed)
    assert all(word(memory, i) == (seed + 8 * i // CELL) % (1 << 64) for i in range(words))


@given(seeds, st.integers(1, 3 * CELL // 8))
def test_what_was_filled_is_matched_whole(seed: int, words: int) -> None:
    memory = memoryview(bytearray(8 * words))
    pattern.fill(memory, seed)
    result = pattern.check(memory, seed)
    assert result
    assert (result.matched, result.size, result.expected, result.actual) == (8 * words,) * 2 + (
        0,
    ) * 2


@given(seeds, st.integers(1, 3 * CELL // 8), st.data())
def test_first_wrong_word_is_told(seed: int, words: int, data: st.DataObject) -> None:
    memory = bytearray(8 * words)
    pattern.fill(memoryview(memory), seed)
    wrong = data.draw(st.integers(0, words - 1))
    memory[8 * wrong + data.draw(st.integers(0, 7))] ^= data.draw(st.integers(1, 255))
    memory[8 * wrong + 8 :] = bytes(8 * (words - wrong - 1))
    result = pattern.check(memoryview(memory), seed)
    assert not result
    assert result.matched == 8 * wrong
    assert result.expected == (seed + 8 * wrong // CELL) % (1 << 64)
    assert result.actual == word(memory, wrong)


def test_word_wraps_around_in_the_next_cell() -> None:
    memory = bytearray(2 * CELL)
    pattern.fill(memoryview(memory), (1 << 64) - 1)
    assert (word(memory, 511), word(memory, 512)) == ((1 << 64) - 1, 0)


def test_swapped_cells_are_noticed() -> None:
    memory = bytearray(3 * CELL)
    pattern.fill(memoryview(memory), 5)
    memory[:CELL], memory[CELL : 2 * CELL] = memory[CELL : 2 * CELL], memory[:CELL]
    assert pattern.check(memoryview(memory), 5).matched == 0


def test_half_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number"):
        pattern.check(memoryview(bytearray(12)), 0)
