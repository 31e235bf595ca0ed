# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Overlays that `cm-agent size` prints on a board, made of its tree, are right for that board."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from mmap import PAGESIZE
from pathlib import Path

import pytest
from boards import board as emulated
from boards import devicetree, dtbs
from cm_agent.cli import main
from cm_agent.cli.size import verb
from cm_agent.cli.size.report import Answers
from cm_agent.core import memory_map
from cm_agent.core.devicetree import context_nodes
from cm_agent.video.demand import Demand
from cm_agent.video.format import Format, PlaneFormat
from overlays import board, tree
from overlays.check import Result, check, merge
from overlays.kernel import KERNELS
from overlays.tree import Node
from unit.cli.schema import check as document

from .board_tree import BOARD, OVERLAY, compiled

Show = Callable[..., str]
NAMES = ["--camera", "1920x1080:NV12:4", "--encoder", "1280x720:NV12:H264:4+4"]


def unpack(node: Node, into: Path) -> None:
    """Write a node as the running kernel shows it."""
    into.mkdir()
    for name, value in node.properties.items():
        (into / name).write_bytes(value)
    for name, child in node.children.items():
        unpack(child, into / name)


def without_memory(root: Node) -> Node:
    """Leave out what the boot loader replaces."""
    left = {
        name: it for name, it in root.children.items() if it.strings("device_type") != ["memory"]
    }
    return replace(root, children=left)


def number(value: int, cells: int) -> bytes:
    return value.to_bytes(4 * cells, "big")


@pytest.fixture
def size_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Show:
    """Return what runs `cm-agent size` on a board of this tree, and returns the overlay or why not.

    The boot loader has filled in RAM, and the kernel has the zones that the checker knows.
    """

    def show(dtb: Path, *words: str) -> str:
        it = tree.read(dtb)
        root, memory, kernel = tmp_path / "tree", board.memory(it), KERNELS[it.architecture]
        unpack(without_memory(it.root), root)
        address, size = tree.widths(it.root)
        for at, span in enumerate(memory.ram):
            folder = root / f"memory@{at}"
            folder.mkdir()
            (folder / "device_type").write_bytes(b"memory\0")
            (folder / "reg").write_bytes(number(span.start, address) + number(span.size, size))
        zones = [memory.ram[0].start, *kernel.borders(memory.ram[0])]
        lines = [f"  start_pfn:           {start // PAGESIZE}\n" for start in zones]
        (tmp_path / "zoneinfo").write_text("".join(lines))
        monkeypatch.setattr(memory_map, "TREE", root)
        monkeypatch.setattr(memory_map, "BOOTED", dtb)
        monkeypatch.setattr(memory_map, "ZONES", tmp_path / "zoneinfo")
        monkeypatch.setattr(verb, "block_size", lambda: kernel.block)
        monkeypatch.setattr(verb, "context_nodes", lambda: context_nodes(root))
        assert main(["size", *NAMES, "--coded-size", "1MiB", *words, "--json"]) == 0
        result = document(capsys.readouterr().out)["result"]
        return str(result["overlay"] or result["no_overlay"])

    return show


def judged(dtb: Path, overlay: str, scratch: Path) -> Result:
    source = scratch / "size.dtso"
    source.write_text(overlay)
    return check(dtb, [source])


def trees() -> list[tuple[str, str]]:
    """List every board with its trees, Debian's or QEMU's."""
    table = board.table().items()
    return [(name, it) for name, entry in table for it in (*entry.dtbs, entry.emulated) if it]


def found(name: str, which: str, scratch: Path) -> Path:
    entry = board.table()[name]
    if which != entry.emulated:
        return dtbs.make(entry.architecture) / which
    path = scratch / "emulated.dtb"
    devicetree.merge(emulated.read(which), [], path)
    return path


@pytest.mark.parametrize(("name", "which"), trees())
def test_an_overlay_that_was_printed_is_right_for_its_board(
    name: str, which: str, size_on: Show, tmp_path: Path
) -> None:
    dtb = found(name, which, tmp_path)
    result = judged(dtb, size_on(dtb), tmp_path)
    assert result.complaints == ()
    (bank,) = result.banks
    needed = 4 * 3_112_960 + 4 * 1_384_448 + 4 * (1 << 20)
    assert bank.reusable and needed <= bank.span.size < needed + 8 * (1 << 20)


def test_what_a_board_of_one_s_own_reserves_is_kept_free(size_on: Show, tmp_path: Path) -> None:
    """The kernel's own area, and low memory, which ends below what the tree has at 0xaf000000."""
    dtb = compiled(BOARD, tmp_path)
    assert judged(dtb, size_on(dtb), tmp_path).complaints == ()


def test_the_text_as_it_is_printed_is_an_overlay(
    size_on: Show, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dtb = compiled(BOARD, tmp_path)
    overlay = size_on(dtb)
    main(["size", *NAMES, "--coded-size", "1MiB"])
    said = capsys.readouterr().out
    assert said[said.index("/*\n") :] == overlay


def test_banks_of_contexts_that_there_are_are_replaced(size_on: Show, tmp_path: Path) -> None:
    """The place where `shared` is now is the best one for it; that of `private` stays."""
    without, booted = compiled(BOARD, tmp_path), tmp_path / "booted.dtb"
    applied = tmp_path / "applied.dtso"
    applied.write_text(OVERLAY.replace("a0000000", "ac000000").replace("a8000000", "aa000000"))
    merge(without, [applied], booted)
    overlay = size_on(booted)
    assert "shared@ad800000" in overlay
    assert judged(without, overlay, tmp_path).complaints == ()


def test_the_reserve_is_explained(size_on: Show, tmp_path: Path) -> None:
    overlay = size_on(compiled(BOARD, tmp_path))
    assert " * shared: 22,183,936 bytes of chunks, 24 MiB reserved, " in overlay
    assert "whole blocks of 8 MiB" in overlay
    assert re.search(r"reg = <0x[0-9a-f]+ 0x1800000>", overlay)


def test_every_rule_s_context_has_a_bank_of_its_own(
    size_on: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Format(640, 480, "GREY", (PlaneFormat(1 << 20, 640),))
    device = Path("/dev/video0")
    demands = [Demand("camera", device, it, None, made, 0, 9) for it in ("vivid", "other")]
    monkeypatch.setattr(verb, "_named", lambda _: Answers(demands))
    config = tmp_path / "config.toml"
    config.write_text("[policy]\nmap = 'vivid=my-left,right;*=rest'\n")
    dtb = compiled(BOARD, tmp_path)
    result = judged(dtb, size_on(dtb, "--config", str(config)), tmp_path)
    assert result.complaints == ()
    assert [it.node.name.partition("@")[0] for it in result.banks] == ["rest", "my-left"]


def test_a_bank_that_fits_nowhere_is_named_in_place_of_an_overlay(
    size_on: Show, tmp_path: Path
) -> None:
    why = size_on(compiled(BOARD, tmp_path), "--camera", "10000x10000:RGB3:4")
    assert why.startswith("there is no free place for 1.1 GiB in one piece, which context 'shared'")
