# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Free places of a board whose tree and zones are files of the test's."""

from __future__ import annotations

from mmap import PAGESIZE
from pathlib import Path

import pytest
from cm_agent.core import memory_map
from cm_agent.core.memory_map import MemoryMap

MIB = 1 << 20
BLOCK = 4 * MIB
RAM, END = 0x40000000, 0x80000000


def write(node: Path, **properties: bytes) -> None:
    """Write a node's properties as the kernel shows them."""
    node.mkdir(parents=True, exist_ok=True)
    for name, value in properties.items():
        (node / name.replace("__", ",")).write_bytes(value)


def cells(*numbers: int, width: int = 8) -> bytes:
    return b"".join(number.to_bytes(width, "big") for number in numbers)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a board with 1 GiB of RAM in one zone."""
    root = tmp_path / "tree"
    write(root, model=b"A board\0")
    for what in ("address", "size"):
        (root / f"#{what}-cells").write_bytes(cells(2, width=4))
    write(root / "memory@40000000", device_type=b"memory\0", reg=cells(RAM, END - RAM))
    monkeypatch.setattr(memory_map, "TREE", root)
    monkeypatch.setattr(memory_map, "ZONES", tmp_path / "zoneinfo")
    zone(tmp_path, RAM)
    return root


def zone(folder: Path, *starts: int) -> None:
    lines = [f"Node 0, zone  DMA\n  start_pfn:           {it // PAGESIZE}\n" for it in starts]
    (folder / "zoneinfo").write_text("".join(lines))


def place(size: int, *replaced: str) -> int | None:
    memory = MemoryMap.read(replaced)
    assert memory is not None
    return memory.place(size, BLOCK)


@pytest.mark.usefixtures("tree")
def test_the_highest_place_is_at_the_end_of_ram() -> None:
    assert place(64 * MIB) == END - 64 * MIB


def test_what_is_reserved_is_no_place(tree: Path) -> None:
    write(tree / "reserved-memory/vpu@7e000000", reg=cells(0x7E000000, 16 * MIB))
    assert (place(16 * MIB), place(17 * MIB)) == (0x7F000000, 0x7E000000 - 20 * MIB)


def test_a_bank_that_is_replaced_is_a_place(tree: Path) -> None:
    write(tree / "reserved-memory/left@7e000000", reg=cells(0x7E000000, 32 * MIB))
    assert place(32 * MIB, "left@7e000000") == 0x7E000000


def test_memory_without_a_place_of_its_own_is_left_to_the_kernel(tree: Path) -> None:
    write(tree / "reserved-memory/linux,cma", size=cells(64 * MIB))
    assert place(64 * MIB) == END - 64 * MIB


def test_a_place_lies_in_one_zone(tree: Path) -> None:
    zone(tree.parent, RAM, END - 32 * MIB)
    assert place(36 * MIB) == END - 68 * MIB


def test_the_lowest_zone_is_preferred_and_the_next_taken_when_it_is_full(tree: Path) -> None:
    zone(tree.parent, RAM, RAM + 32 * MIB)
    assert (place(32 * MIB), place(36 * MIB)) == (RAM, END - 36 * MIB)


def test_the_initramfs_is_no_place(tree: Path) -> None:
    bounds = {"linux__initrd-start": cells(END - MIB), "linux__initrd-end": cells(END)}
    write(tree / "chosen", **bounds)
    assert place(BLOCK) == END - 2 * BLOCK


def test_all_of_ram_is_not_enough_for_more(tree: Path) -> None:
    assert place(END - RAM) == RAM
    assert place(END - RAM + BLOCK) is None


def test_a_bank_that_the_module_would_refuse_has_no_place(tree: Path) -> None:
    write(tree / "memory@40000000", reg=cells(0, 8 << 30))
    assert place(2 << 30) is not None
    assert place((2 << 30) + BLOCK) is None


@pytest.mark.usefixtures("tree")
def test_a_place_that_is_taken_is_none_any_more() -> None:
    memory = MemoryMap.read()
    assert memory is not None
    left = memory.without(END - 8 * MIB, 8 * MIB)
    assert left.place(BLOCK, BLOCK) == END - 12 * MIB


def test_a_board_of_one_cell_is_read(tree: Path) -> None:
    for what in ("address", "size"):
        (tree / f"#{what}-cells").write_bytes(cells(1, width=4))
    write(tree / "memory@40000000", reg=cells(RAM, 256 * MIB, width=4))
    assert place(BLOCK) == RAM + 252 * MIB


def test_a_machine_without_a_tree_has_no_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_map, "TREE", tmp_path / "none")
    assert MemoryMap.read() is None


def test_what_the_header_of_the_tree_reserves_is_no_place(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = cells(0xD00DFEED, 64, 0, 0, 40, width=4).ljust(40, b"\0")
    (tree.parent / "fdt").write_bytes(header + cells(END - MIB, 4096, 0, 0, 7, 7))
    monkeypatch.setattr(memory_map, "BOOTED", tree.parent / "fdt")
    assert place(BLOCK) == END - 2 * BLOCK
