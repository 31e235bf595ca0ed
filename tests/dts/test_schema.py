# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The bindings are bindings, and dt-validate refuses by them what breaks them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from overlays import schema

from .board_tree import BOARD, OVERLAY, changed, everything

MISTAKES = {
    "a property that there is not": (
        [("cm,private", "cm,exclusive")],
        r"/context-private: 'cm,exclusive' does not match",
    ),
    "a flag with a value": ([("cm,private", "cm,private = <1>")], r"/context-private: 1 is not of"),
    "a name that no node can have": ([('"shared"', '"Shared"')], r"/context-shared: 'Shared' does"),
    "no bank": (
        [("memory-region = <&camera>;", "")],
        r"/context-shared: 'memory-region' is a required property",
    ),
    "an odd alignment": ([("<0x100000>", "<0x3000>")], r"/context-shared: 12288 is not one of"),
    "no-map and reusable": (
        [("<0xa8000000 0x01000000>;", "<0xa8000000 0x01000000>;\n\t\t\tno-map;")],
        r"/reserved-memory/codec@a8000000: .*no-map",
    ),
    "a bank without a place": (
        [("reg = <0xa8000000 0x01000000>", "size = <0x01000000>")],
        r"/reserved-memory/codec@a8000000: 'reg' is a required property",
    ),
}


def test_the_bindings_obey_the_rules_for_bindings() -> None:
    assert schema.judge_bindings() == ""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused(tmp_path: Path, mistake: str) -> None:
    changes, reason = MISTAKES[mistake]
    said = everything(tmp_path, changed(OVERLAY, *changes))
    assert any(re.match(f"dt-validate: {reason}", it) for it in said), said


def test_a_board_is_not_blamed_for_what_it_has_itself(tmp_path: Path) -> None:
    odd = changed(BOARD, ("\t\tdisplay {", "\t\tdisplay {\n\t\t\treusable;"))
    assert everything(tmp_path, board=odd) == ()
