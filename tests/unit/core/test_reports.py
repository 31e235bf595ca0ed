# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The binding: reasons, texts, and values made of the kernel's structures."""

import pytest
from cm_agent.core import uapi
from cm_agent.core.reports import (
    Attestation,
    ContextState,
    ContextStats,
    LayoutEntry,
    PatternResult,
    Quota,
    User,
)
from cm_agent.core.uapi import Reason, ffi
from hypothesis import given
from hypothesis import strategies as st


def test_reasons_are_those_of_the_header() -> None:
    enumerators = ffi.typeof("enum cm_reason").relements
    expected = {name.removeprefix("CM_REASON_"): value for name, value in enumerators.items()}
    del expected["COUNT"]
    assert {reason.name: reason.value for reason in Reason} == expected


def test_reason_of_a_newer_module_keeps_its_number() -> None:
    reason = Reason(13)
    assert (reason.name, reason.value, int(reason)) == ("UNKNOWN_13", 13, 13)


@given(st.binary(max_size=31))
def test_any_bytes_of_a_name_can_be_shown(raw: bytes) -> None:
    query = ffi.new("struct cm_query *")
    query.name = raw
    shown = uapi.text(query.name)
    assert shown.isprintable()
    if (plain := raw.partition(b"\0")[0]).isascii() and plain.decode().isprintable():
        assert shown == plain.decode()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"co\x1b[7mm\n", "co\\x1b[7mm\\n"),
        (b"\x1b[2J\x1b]0;pwned\x07x\nfake 9 9", "\\x1b[2J\\x1b]0;pwned\\x07x\\nfake 9 9"),
        ("left \u202e right".encode(), "left \\u202e right"),
        ("Kamera fürs Dach".encode(), "Kamera fürs Dach"),
        (b"\xff", "\\xff"),
    ],
)
def test_text_of_others_gives_no_orders_to_a_terminal(raw: bytes, shown: str) -> None:
    query = ffi.new("struct cm_query *")
    query.name = raw
    assert uapi.text(query.name) == shown


def test_address_is_the_memorys_own() -> None:
    memory = bytearray(b"before")
    ffi.memmove(ffi.cast("void *", uapi.address_of(memory)), b"after!", 6)
    assert memory == b"after!"


def test_private_flag_is_read() -> None:
    query = ffi.new("struct cm_query *", {"flags": uapi.CONTEXT_PRIVATE})
    assert ContextState.read(query).private
    query.flags = 0
    assert not ContextState.read(query).private


def test_histogram_bounds_are_those_the_header_describes() -> None:
    stats = ContextStats.read(ffi.new("struct cm_stats *"))
    sizes = [histogram.upper_bound_size for histogram in stats.latency]
    assert sizes == [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, None]
    bounds = [bound for bound, _ in stats.latency[0].buckets]
    assert bounds[0] == 131072e-9
    assert bounds[-2:] == [8589934592e-9, float("inf")]
    assert len(bounds) == 18


def test_latency_counts_stay_in_their_bucket_and_class() -> None:
    got = ffi.new("struct cm_stats *")
    got.latency[2].buckets[5] = 7
    got.latency[2].sum_ns = 1_500_000_000
    histogram = ContextStats.read(got).latency[2]
    assert [count for _, count in histogram.buckets] == [0] * 5 + [7] + [0] * 12
    assert histogram.sum_seconds == 1.5


def test_failures_have_every_known_reason_and_others_that_occurred() -> None:
    got = ffi.new("struct cm_stats *")
    got.failures[Reason.FRAGMENTED] = 3
    got.failures[12] = 1
    failures = ContextStats.read(got).failures
    assert set(failures) == {*Reason, Reason(12)} - {Reason.NONE}
    assert failures[Reason.FRAGMENTED] == 3


def test_attestation_without_addresses_has_none() -> None:
    runs = uapi.new_runs(1)
    runs[0].length, runs[0].address = 4096, 0
    got = ffi.new("struct cm_attest *", {"run_count": 1, "size": 4096})
    assert Attestation.read(got, runs).runs[0].address is None


def test_attestation_with_addresses_keeps_address_zero() -> None:
    runs = uapi.new_runs(1)
    got = ffi.new("struct cm_attest *", {"run_count": 1, "found": uapi.ATTEST_ADDRESSES})
    assert Attestation.read(got, runs).runs[0].address == 0


def test_states_of_a_chunk_are_distinguished() -> None:
    names = ("immovable", "draining", "hidden")
    flags = (uapi.CHUNK_FIXED, uapi.CHUNK_DRAINING, uapi.CHUNK_HIDDEN)
    for flag, field in zip(flags, names, strict=True):
        got = LayoutEntry.read(ffi.new("struct cm_layout_entry *", {"state": flag}))
        assert [name for name in names if getattr(got, name)] == [field]


def test_no_limit_of_a_quota_is_none_and_zero_is_zero() -> None:
    got = ffi.new("struct cm_get_quota *", {"used": 4096, "used_chunks": 1})
    assert Quota.read(got) == Quota(0, 0, 4096, 1)
    got.quota.bytes, got.quota.chunks = uapi.QUOTA_NONE, uapi.QUOTA_NO_CHUNKS
    assert Quota.read(got) == Quota(None, None, 4096, 1)


def test_no_limit_of_a_user_is_none_and_zero_is_zero() -> None:
    got = ffi.new("struct cm_user *", {"uid": 7, "bytes": 4096, "chunks": 1})
    assert User.read(got) == User(7, 4096, 0, 1, 0)
    got.quota_bytes, got.max_chunks = uapi.QUOTA_NONE, uapi.QUOTA_NO_CHUNKS
    assert User.read(got) == User(7, 4096, None, 1, None)


def test_held_and_lent_bytes_are_distinguished() -> None:
    got = ContextStats.read(ffi.new("struct cm_stats *", {"held": 4096, "lent": 8192}))
    assert (got.held, got.lent) == (4096, 8192)


def test_linear_pattern_is_distinguished() -> None:
    for found, linear in ((0, False), (uapi.PATTERN_LINEAR, True)):
        got = ffi.new("struct cm_pattern *", {"found": found, "matched": 8, "size": 8})
        assert PatternResult.read(got) == PatternResult(8, 8, 0, 0, linear)


def test_attestation_flags_are_distinguished() -> None:
    runs = uapi.new_runs(0)
    for flag, field in (
        (uapi.ATTEST_BOUNCED, "bounced"),
        (uapi.ATTEST_IN_BANK, "in_bank"),
        (uapi.ATTEST_ADDRESSES, "has_addresses"),
    ):
        got = Attestation.read(ffi.new("struct cm_attest *", {"found": flag}), runs)
        names = ("bounced", "in_bank", "has_addresses")
        assert [name for name in names if getattr(got, name)] == [field]
