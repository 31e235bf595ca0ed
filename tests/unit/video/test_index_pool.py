# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Who gets which of a driver's buffer numbers."""

import pytest
from cm_agent.video.index_pool import IndexPool
from hypothesis import given
from hypothesis import strategies as st


def test_who_comes_back_gets_his_number_again() -> None:
    slots: IndexPool[str] = IndexPool(3)
    numbers = {name: slots.take(name) for name in "abc"}
    for name in "cab":
        assert slots.give(numbers[name]) == name
    assert {name: slots.take(name) for name in "bca"} == numbers


def test_another_gets_the_number_that_was_out_of_use_the_longest() -> None:
    slots: IndexPool[str] = IndexPool(2)
    first, second = slots.take("a"), slots.take("b")
    slots.give(second)
    slots.give(first)
    assert slots.take("c") == second


def test_there_are_no_more_than_there_are() -> None:
    slots: IndexPool[str] = IndexPool(1)
    slots.take("a")
    assert (slots.free, slots.busy) == (0, 1)
    with pytest.raises(IndexError):
        slots.take("b")


def test_a_number_that_nobody_has_cannot_be_given_back() -> None:
    slots: IndexPool[str] = IndexPool(1)
    with pytest.raises(KeyError):
        slots.give(0)
    slots.give(slots.take("a"))
    with pytest.raises(KeyError):
        slots.give(0)


def test_stopping_takes_back_all() -> None:
    slots: IndexPool[str] = IndexPool(3)
    slots.take("a")
    slots.take("b")
    assert sorted(slots.give_all()) == ["a", "b"]
    assert slots.free == 3


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), st.integers(0, 5))))
def test_a_number_has_one_user_at_a_time(count: int, steps: list[tuple[bool, int]]) -> None:
    slots: IndexPool[str] = IndexPool(count)
    taken: dict[int, str] = {}
    for take, who in steps:
        name = f"user {who}"
        if take and len(taken) < count and name not in taken.values():
            number = slots.take(name)
            assert number not in taken and 0 <= number < count
            taken[number] = name
        elif taken and not take:
            number = sorted(taken)[who % len(taken)]
            assert slots.give(number) == taken.pop(number)
        assert slots.busy == len(taken)
