# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What proves that one driver reads the memory that another one filled, and what does not."""

import pytest
from cm_agent.contiguity.verification import Verdict, Verification
from cm_agent.selftest.zero_copy import ChunkCheck, Sight
from unit.core.memfd_buffer import MemfdBuffer

SEEN = Verification(Verdict.CONTIGUOUS, (), True, 4096, "data")


def crossing(
    filled: list[Sight], read: list[Sight], *, seen: Verification = SEEN, changes: int = 2
) -> ChunkCheck:
    with MemfdBuffer.holding(bytes(4096)) as chunk:
        return ChunkCheck(0, 0, chunk, seen, 0, changes, filled, read)


def sights(*addresses: int | None, maps: int = 1) -> list[Sight]:
    return [Sight(address, maps) for address in addresses]


def test_one_address_on_both_sides_is_proof() -> None:
    entry = crossing(sights(16, 32), sights(16, 32))
    assert entry.proven and entry.same_place


def test_another_address_on_the_other_side_is_none() -> None:
    entry = crossing(sights(16, 32), sights(16, 48))
    assert not entry.proven and entry.same_place is False


def test_addresses_that_are_hidden_prove_and_disprove_nothing() -> None:
    entry = crossing(sights(None), sights(None))
    assert entry.same_place is None and entry.proven


@pytest.mark.parametrize(
    "entry",
    [
        crossing([], []),
        crossing(sights(16), sights(16), changes=0),
        crossing(sights(16), sights(16, maps=0)),
        crossing(
            sights(16),
            sights(16),
            seen=Verification(Verdict.UNVERIFIABLE, (), True, 4096, "data"),
        ),
        crossing(
            sights(16), sights(16), seen=Verification(Verdict.CONTIGUOUS, (), False, 4096, "data")
        ),
    ],
    ids=["not seen", "not filled", "not mapped", "not contiguous", "witnesses disagree"],
)
def test_what_is_missing_is_not_taken_for_granted(entry: ChunkCheck) -> None:
    assert not entry.proven


def test_what_the_last_device_filled_needs_no_reader() -> None:
    assert crossing(sights(16, maps=0), []).proven
