# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Verdicts: the table of what witnesses can say, and what a witness makes of what it saw."""

import json
from dataclasses import replace
from itertools import product

import pytest
from cm_agent.contiguity.verification import (
    ATTESTATION,
    PAGEMAP,
    PATTERN,
    Verdict,
    Verification,
    Witness,
    attested,
    crossed,
    judge,
)
from cm_agent.core.reports import Attestation, PatternResult, Run

C, F, B, U = Verdict.CONTIGUOUS, Verdict.FRAGMENTED, Verdict.BOUNCED, Verdict.UNVERIFIABLE
MATCH = Witness(PATTERN, U, "", consistent=True)
SEEN = Witness(PATTERN, C, "", consistent=True)
MISMATCH = Witness(PATTERN, F, "", consistent=False)
BLIND = Witness(PATTERN, U, "")
WHOLE = Attestation(8192, (Run(0, 8192, 0x1000),), 8192, "camera", False, True, True)


def say(name: str, verdict: Verdict, address: int | None = None) -> Witness:
    return Witness(name, verdict, "", address=address, consistent=True)


TABLE = [
    # attestation, pagemap, pattern, verdict, agree
    (C, C, MATCH, C, True),
    (C, U, MATCH, C, True),
    (U, C, MATCH, C, True),
    (C, C, SEEN, C, True),
    (C, U, SEEN, C, True),
    (F, U, SEEN, F, False),
    (U, U, SEEN, U, True),
    (C, C, BLIND, C, True),
    (C, U, BLIND, C, True),
    (U, U, MATCH, U, True),
    (U, U, BLIND, U, True),
    (F, F, MATCH, F, True),
    (F, U, MATCH, F, True),
    (U, F, BLIND, F, True),
    (F, C, MATCH, F, False),
    (C, F, MATCH, F, False),
    (B, C, MATCH, B, True),
    (B, U, BLIND, B, True),
    (B, F, MATCH, F, True),
    (C, C, MISMATCH, F, False),
    (U, U, MISMATCH, F, False),
    (B, C, MISMATCH, F, False),
]


@pytest.mark.parametrize(("attestation", "pagemap", "pattern", "verdict", "agree"), TABLE)
def test_table_of_verdicts(
    attestation: Verdict, pagemap: Verdict, pattern: Witness, verdict: Verdict, agree: bool
) -> None:
    witnesses = (say(ATTESTATION, attestation), say(PAGEMAP, pagemap), pattern)
    assert judge(witnesses) == (verdict, agree)


@pytest.mark.parametrize(
    ("attestation", "pagemap", "pattern"),
    [*product(Verdict, Verdict, (MATCH, SEEN, MISMATCH, BLIND))],
)
def test_contiguous_needs_a_witness_who_knows_addresses_and_no_contradiction(
    attestation: Verdict, pagemap: Verdict, pattern: Witness
) -> None:
    verdict, agree = judge((say(ATTESTATION, attestation), say(PAGEMAP, pagemap), pattern))
    if verdict is C:
        assert agree
        assert C in (attestation, pagemap)
        assert {attestation, pagemap} <= {C, U}
        assert pattern is not MISMATCH


def test_pattern_alone_never_makes_contiguous() -> None:
    assert judge((say(PATTERN, C),)) == (U, True)


def test_different_addresses_are_a_contradiction() -> None:
    assert judge((say(ATTESTATION, C, 0x1000), say(PAGEMAP, C, 0x2000), MATCH)) == (U, False)


def test_same_address_agrees() -> None:
    assert judge((say(ATTESTATION, C, 0x1000), say(PAGEMAP, C, 0x1000), MATCH)) == (C, True)


def test_address_that_is_not_told_differs_from_none() -> None:
    assert judge((say(ATTESTATION, C), say(PAGEMAP, C, 0x2000), MATCH)) == (C, True)


def test_one_run_attested_is_contiguous() -> None:
    witness = attested(WHOLE, own=True)
    assert (witness.verdict, witness.runs, witness.address) == (C, 1, 0x1000)


def test_two_runs_attested_are_fragmented() -> None:
    runs = (Run(0, 4096, 0x1000), Run(4096, 4096, 0x9000))
    witness = attested(replace(WHOLE, runs=runs), own=True)
    assert (witness.verdict, witness.runs) == (F, 2)


def test_what_a_device_cannot_reach_is_bounced() -> None:
    witness = attested(replace(WHOLE, bounced=True), own=True, dma_bits=31)
    assert witness.verdict is B
    assert "31 address bits" in witness.detail


def test_own_chunk_outside_every_bank_is_an_alarm() -> None:
    outside = attested(replace(WHOLE, in_bank=False, context=None), own=True)
    assert judge((outside, say(PAGEMAP, C), MATCH)) == (U, False)


def test_foreign_buffer_needs_no_bank() -> None:
    assert attested(replace(WHOLE, in_bank=False, context=None), own=False).verdict is C


@pytest.mark.parametrize("runs", [(), (Run(0, 4096, 0x1000),)])
def test_attestation_that_leaves_bytes_out_is_an_alarm(runs: tuple[Run, ...]) -> None:
    witness = attested(replace(WHOLE, runs=runs), own=True)
    assert (witness.verdict, witness.consistent) == (U, False)


GOOD = PatternResult(8192, 8192, 0, 0)
BAD = PatternResult(4096, 8192, 0xAA, 0xBB)


LINEAR = replace(GOOD, linear=True)


def test_pattern_through_the_linear_mapping_shows_one_run() -> None:
    witness = crossed(LINEAR, LINEAR)
    assert (witness.verdict, witness.runs, witness.consistent) == (C, 1, True)


@pytest.mark.parametrize("results", [(GOOD, GOOD), (GOOD, LINEAR), (LINEAR, GOOD)])
def test_pattern_through_another_mapping_tells_no_places(
    results: tuple[PatternResult, PatternResult],
) -> None:
    witness = crossed(*results)
    assert (witness.verdict, witness.consistent) == (U, True)


@pytest.mark.parametrize(
    ("results", "writer"), [((BAD, GOOD), "the kernel wrote"), ((GOOD, BAD), "the user wrote")]
)
def test_pattern_that_differs_says_who_where_and_what(
    results: tuple[PatternResult, PatternResult], writer: str
) -> None:
    witness = crossed(*results)
    assert (witness.verdict, witness.consistent) == (F, False)
    assert writer in witness.detail
    assert "at byte 4096 0xbb instead of 0xaa" in witness.detail


def test_verification_becomes_json() -> None:
    verification = Verification(C, (say(PAGEMAP, C, 0x1000),), True, 8192, "camera")
    document = json.loads(json.dumps(verification.to_json()))
    assert document["verdict"] == "CONTIGUOUS"
    assert document["witnesses"][0]["address"] == 0x1000
