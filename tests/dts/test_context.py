# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts with one mistake each are refused, with the reason and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .board_tree import OVERLAY, changed, complaints, everything, judged

REGION = "memory-region = <&camera>;"
LABEL = 'label = "shared";'
KIND = f'compatible = "cm-agent,context";\n\t\t{LABEL}'
ALIGNMENT = "cm,min-alignment = <0x100000>;"
POOL = 'compatible = "shared-dma-pool";'
CAMERA = POOL + "\n\t\t\treg = <0xa0000000 0x04000000>;\n\t\t\treusable;"
PLAIN = CAMERA.replace(POOL, "").replace("reusable;", "")
USER = "\tother: other { };\n\tvpu { memory-region = <&other>, <&camera>; };\n\tcontext-shared"
DEEPER = "};\n\tcontext-private"

MISTAKES = {
    "no bank": ([(REGION, "")], r"context /context-shared has no memory-region: it must name"),
    "a bank that is none": (
        [
            (REGION, "memory-region = <&other>;"),
            ("\tcontext-shared", "\tother: other { };\n\tcontext-shared"),
        ],
        r"context /context-shared: its memory-region leads to /other: it must be a child of /res",
    ),
    "a bank that is nowhere": (
        [(REGION, "memory-region = <0x1234>;")],
        r"context /context-shared: its memory-region leads to nothing",
    ),
    "two banks": (
        [(REGION, "memory-region = <&camera>, <&codec>;")],
        r"context /context-shared names 2 banks in its memory-region",
    ),
    "another's bank": (
        [("<&codec>", "<&camera>")],
        r"contexts /context-\w+ and /context-\w+ have the same bank, camera@a0000000",
    ),
    "another's name": (
        [(LABEL, 'label = "private";')],
        r"contexts /context-\w+ and /context-\w+ have the same name, 'private'",
    ),
    "a name that no node can have": (
        [(LABEL, 'label = "Bad Name!";')],
        r"context /context-shared is called 'Bad Name!': a name is 1 to 31 of a-z",
    ),
    "the name of the control node": (
        [(LABEL, 'label = "control";')],
        r"context /context-shared is called 'control'",
    ),
    "a node's name that no node can have": (
        [(LABEL, ""), ("context-shared", "Context")],
        r"context /Context is called 'Context'",
    ),
    "an alignment that is no power of two": (
        [(ALIGNMENT, "cm,min-alignment = <12288>;")],
        r"context /context-shared: cm,min-alignment is <0x3000>: one power of two of at least 4096",
    ),
    "an alignment below a page": (
        [(ALIGNMENT, "cm,min-alignment = <2048>;")],
        r"cm,min-alignment is <0x800>",
    ),
    "an alignment of 64 bits": (
        [(ALIGNMENT, "cm,min-alignment = <0x1 0x0>;")],
        r"cm,min-alignment is <0x1 0x0>",
    ),
    "shared, in a bank that is not": (
        [(CAMERA, PLAIN)],
        r"context /context-shared: bank camera@a0000000 is not reusable.*add cm,private to the con",
    ),
    "a bank without struct pages": (
        [(CAMERA, CAMERA.replace("reusable", "no-map"))],
        r"context /context-shared: bank camera@a0000000 is no-map.*remove no-map",
    ),
    "the kernel's own bank": (
        [(CAMERA, CAMERA + " linux,cma-default;")],
        r"context /context-shared: bank camera@a0000000 is the kernel's own \(linux,cma-default\)",
    ),
    "another driver's bank": (
        [(CAMERA, PLAIN + 'compatible = "ramoops";')],
        r"context /context-shared: bank camera@a0000000 has another use: .* of its own",
    ),
    "another device's bank": (
        [("\tcontext-shared", USER)],
        r"context /context-shared: bank camera@a0000000 is the memory-region of /vpu, .*of its own",
    ),
    "a bank that is switched off": (
        [(CAMERA, CAMERA + ' status = "disabled";')],
        r"context /context-shared: bank camera@a0000000 is disabled",
    ),
    "a compatible with a letter missing": (
        [(KIND, KIND.replace("context", "contxt")), (ALIGNMENT, "")],
        r'node /context-shared is no context: its compatible is "cm-agent,contxt", and the modul',
    ),
    "a compatible of ours that there is not": (
        [(KIND, KIND.replace("context", "pool")), (ALIGNMENT, "")],
        r'node /context-shared is no context: its compatible is "cm-agent,pool"',
    ),
    "a compatible of a vendor that is not": (
        [(KIND, KIND.replace("cm-agent", "cm_agent")), (ALIGNMENT, "")],
        r'node /context-shared is no context: its compatible is "cm_agent,context"',
    ),
    "no compatible": (
        [(KIND, LABEL)],
        r"node /context-shared is no context: its compatible is missing",
    ),
    "below another device": (
        [("\tcontext-shared {", "\tbus {\n\tcontext-shared {"), ("\tcontext-private", DEEPER)],
        r"context /bus/context-shared is not at the root of the tree",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_its_reason(tmp_path: Path, mistake: str) -> None:
    changes, reason = MISTAKES[mistake]
    (only,) = complaints(tmp_path, changed(OVERLAY, *changes))
    assert re.search(reason, only), only


def test_a_private_context_may_have_a_plain_bank(tmp_path: Path) -> None:
    assert everything(tmp_path, changed(OVERLAY, (CAMERA, PLAIN), (LABEL, "cm,private;"))) == ()


def test_a_device_that_is_switched_off_uses_no_bank(tmp_path: Path) -> None:
    off = USER.replace("vpu {", 'vpu { status = "disabled";')
    assert complaints(tmp_path, changed(OVERLAY, ("\tcontext-shared", off))) == ()


def test_a_context_that_is_switched_off_claims_nothing(tmp_path: Path) -> None:
    off = changed(OVERLAY, ("<&codec>", "<&camera>"), ("cm,private", 'status = "disabled"'))
    assert complaints(tmp_path, off) == ()


def test_a_bank_without_a_context_is_noted(tmp_path: Path) -> None:
    off = changed(OVERLAY, ("cm,private", 'status = "disabled"'))
    (only,) = judged(tmp_path, off).notes
    assert only.startswith("bank codec@a8000000 has no context: no memory-region of a node with")


def test_a_bank_that_only_a_stranger_names_is_noted(tmp_path: Path) -> None:
    without = changed(OVERLAY, ('compatible = "cm-agent,context";\n\t\tlabel = "private";', ""))
    (only,) = judged(tmp_path, without).notes
    assert only.startswith("bank codec@a8000000 has no context")


def test_banks_with_contexts_are_not_noted(tmp_path: Path) -> None:
    assert judged(tmp_path).notes == ()


@pytest.mark.parametrize("kind", ['compatible = "ramoops";', "no-map;"])
def test_a_bank_that_no_context_can_have_is_not_noted(tmp_path: Path, kind: str) -> None:
    more = changed(OVERLAY, ("codec: codec", f"log@a6000000 {{ {kind} }};\n\t\tcodec: codec"))
    assert judged(tmp_path, more).notes == ()


def test_a_bank_of_another_driver_is_not_noted(tmp_path: Path) -> None:
    other = changed(OVERLAY, ("cm-agent,context", "acme,vpu"), ("cm,min-alignment", "alignment"))
    assert judged(tmp_path, changed(other, ("cm,private;", ""))).notes == ()


def test_an_overlay_that_asks_for_nothing_is_refused(tmp_path: Path) -> None:
    nothing = "/dts-v1/;\n/plugin/;\n\n&{/} {\n\tcontext { };\n};\n"
    assert complaints(tmp_path, nothing) == ("there is neither a bank nor a context",)
