# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""One boot with every mistake an overlay can hold: each is refused, with the reason, alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.lg_feature("emulated")

OVERLAY = "tests/boards/broken.dtso"
MIB = 1 << 20
EVIDENCE = pytest.StashKey[dict[str, Any]]()
REFUSED = {
    "no-map": "bank unmapped is no-map: .*remove no-map from the bank",
    "no-region": "memory-region is missing or points nowhere",
    "not-reserved": "bank ordinary was not reserved at boot",
    "bad-label": 'label "Bad Name!": must be 1 to 31 of a-z, 0-9, - and _',
    "control": 'label "control": .*not "control"',
    "same-label": 'another context is called "good-shared"',
    "odd-alignment": r"min-alignment\) is 12288: must be a power of two",
    "not-reusable": r"bank lonely\S* is not reusable: .*add cm,private to the context",
    "foreign": 'bank foreign has another use: its compatible is not "shared-dma-pool"',
    "lent": "bank lent is the memory-region of /ordinary; give the context a bank of its own",
    "same-bank": r"bank pool\S*: \d+ bytes from 0 on already belong to another context",
    # 7.2 refuses it itself, at boot: "Reserved memory: incorrect alignment of CMA region".
    "crooked": r"bank crooked (.*base and size must be multiples of \d+ bytes"
    r'|was not reserved at boot: see "Reserved memory" in the kernel log)',
}
PARAMETER = "extra=spare@74000000/private/size=8M/align=64K;rest=spare@74000000/offset=8M"
PAGE = 0
"""Stands for the board's own, as the least alignment."""
EXTRA = {"extra": (8 * MIB, 64 << 10, True), "rest": (24 * MIB, PAGE, False)}
GOOD = {"good-private": (MIB, PAGE), "good-shared": (32 * MIB, MIB)}


def use(context: str) -> dict[str, Any]:
    """Allocate, map, verify and free in a context; tell what it is."""
    import mmap
    from dataclasses import asdict

    from cm_agent.contiguity.verification import verify
    from cm_agent.core.context import Context

    with Context(context) as pool:
        before = pool.query()
        with pool.alloc(12345) as small, pool.alloc(8192) as other:
            with small.cpu_access("rw") as view:
                view[:5] = b"hello"
                written = bytes(view[:6])
            return {
                "state": asdict(before),
                "written": written,
                "verdicts": [str(verify(it, pool).verdict) for it in (small, other)],
                "addresses": [pool.pin(it).address for it in (small, other)],
                "page": mmap.PAGESIZE,
                "alignments": [pool.info(it).alignment for it in (small, other)],
            }


@pytest.fixture
def evidence(request: pytest.FixtureRequest, other_board: Callable[..., Any]) -> dict[str, Any]:
    """What the board with the broken overlay said and did; it is booted once."""
    stash = request.config.stash
    if EVIDENCE not in stash:
        with other_board(overlays=[OVERLAY], state="module") as broken:
            stash[EVIDENCE] = look_at(broken)
    return stash[EVIDENCE]


def look_at(broken: Any) -> dict[str, Any]:
    """Ask the board all that the tests want to know; at last load the module with a parameter."""
    doctor = broken.run("cm-agent doctor --json")
    seen = {
        "log": broken.check("dmesg | grep cm-context").splitlines(),
        "nodes": broken.check("ls /dev/cm").split(),
        "doctor": [doctor.code, json.loads(doctor.stdout)["result"]],
        "used": {name: broken.call(use, context=name) for name in GOOD},
        "free": [it["free"] for it in json.loads(broken.check("cm-agent list --json"))["result"]],
    }
    broken.check(f"rmmod cm && modprobe cm 'contexts={PARAMETER}'")
    return seen | {"extra": {name: broken.call(use, context=name) for name in EXTRA}}


def test_only_the_right_contexts_are_there(evidence: dict[str, Any]) -> None:
    assert evidence["nodes"] == sorted([*GOOD, "control"])


@pytest.mark.parametrize("node", REFUSED)
def test_a_mistake_is_refused_with_node_property_and_reason(
    evidence: dict[str, Any], node: str
) -> None:
    """In one line, besides the one that the kernel's driver core adds to every failure."""
    said = [line for line in evidence["log"] if f"cm-context context-{node}: " in line]
    ours = [line for line in said if "probe with driver cm-context failed" not in line]
    assert len(ours) == 1, said
    assert re.search(REFUSED[node], ours[0]), ours[0]


@pytest.mark.parametrize("name", GOOD)
def test_a_right_one_among_them_works(evidence: dict[str, Any], name: str) -> None:
    size, alignment = GOOD[name]
    used = evidence["used"][name]
    state = used["state"]
    assert (state["size"], state["min_alignment"]) == (size, alignment or used["page"])
    assert state["private"] == (name == "good-private")
    assert used["verdicts"] == ["CONTIGUOUS"] * 2
    assert used["written"] == b"hello\0"


def test_the_minimum_alignment_is_honoured(evidence: dict[str, Any]) -> None:
    used = evidence["used"]["good-shared"]
    assert used["alignments"] == [MIB, MIB]
    assert [address % MIB for address in used["addresses"]] == [0, 0]


@pytest.mark.parametrize("name", EXTRA)
def test_the_modules_parameter_makes_contexts_of_a_bank_that_nobody_has(
    evidence: dict[str, Any], name: str
) -> None:
    size, alignment, private = EXTRA[name]
    used = evidence["extra"][name]
    state = used["state"]
    assert (state["size"], state["private"]) == (size, private)
    assert state["min_alignment"] == (alignment or used["page"])
    assert used["verdicts"] == ["CONTIGUOUS"] * 2


def test_all_is_free_again(evidence: dict[str, Any]) -> None:
    assert evidence["free"] == [GOOD[name][0] for name in sorted(GOOD)]


@pytest.mark.parametrize("node", sorted(REFUSED))
def test_doctor_names_what_was_refused(evidence: dict[str, Any], node: str) -> None:
    code, findings = evidence["doctor"]
    wrong = [it for it in findings if it["ok"] is False]
    assert code == 1
    assert any(f" at /context-{node}" in it["what"] and it["fix"] for it in wrong), wrong
