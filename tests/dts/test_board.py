# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What dts/boards.toml adds to a tree, and what happens with a board that it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest
from boards.error import BoardError
from overlays import board, tree
from overlays.span import Span

from .board_tree import BOARD, changed, compiled

RPI = [("cm-agent,test", "brcm,bcm2711"), ("cortex-a8", "cortex-a72")]
RAM = "<0x80000000 0x40000000>"


def memory_of(text: str, scratch: Path) -> board.Memory:
    """Return the memory of a board, by its source."""
    return board.memory(tree.read(compiled(text, scratch)))


def test_ram_that_the_boot_loader_fills_in_is_assumed(tmp_path: Path) -> None:
    memory = memory_of(changed(BOARD, *RPI, (RAM, "<0x0 0x0>")), tmp_path)
    assert memory.ram == (Span(0, 0x3B400000),)
    assert memory.source == "dts/boards.toml, [bcm2711-rpi-4-b]"


def test_ram_that_the_boot_loader_has_filled_in_is_believed(tmp_path: Path) -> None:
    filled = changed(BOARD, *RPI, (RAM, "<0x0 0x3b400000>, <0x40000000 0x40000000>"))
    memory = memory_of(filled, tmp_path)
    assert memory.ram == (Span(0, 0x3B400000), Span(0x40000000, 0x40000000))


def test_ranges_of_ram_that_touch_are_one(tmp_path: Path) -> None:
    two = changed(BOARD, (RAM, "<0xa0000000 0x20000000>, <0x80000000 0x20000000>"))
    assert memory_of(two, tmp_path).ram == (Span(0x80000000, 0x40000000),)


def test_a_board_is_known_by_its_architecture_too(tmp_path: Path) -> None:
    """One that runs 32-bit kernels is not the Raspberry Pi 4 of the table."""
    old = tree.read(compiled(changed(BOARD, ("cm-agent,test", "brcm,bcm2711")), tmp_path))
    assert board.find(old) is None


def test_a_board_that_nobody_knows_gets_a_guess(tmp_path: Path) -> None:
    memory = memory_of(BOARD, tmp_path)
    assert [it.span for it in memory.taken] == [Span(0x80000000, 256 << 20)]
    assert memory.source.startswith("a guess: dts/boards.toml does not know")


def test_where_the_initramfs_was_no_bank_may_be(tmp_path: Path) -> None:
    chosen = (
        "chosen {\n linux,initrd-start = <0xb8000000>;\n linux,initrd-end = <0x0 0xb9000000>;\n};"
    )
    memory = memory_of(changed(BOARD, ("\tsoc {", f"\t{chosen}\n\tsoc {{")), tmp_path)
    assert memory.taken[1].span == Span(0xB8000000, 0x1000000)


def test_a_board_that_nobody_knows_and_that_has_no_ram_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"has no RAM.*/sys/firmware/fdt"):
        memory_of(changed(BOARD, (RAM, "<0x0 0x0>")), tmp_path)
