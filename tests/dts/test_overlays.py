# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Every overlay in dts/ merges into its boards' trees, Debian's or QEMU's, and nothing is wrong."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import board as emulated
from boards import devicetree, dtbs
from boards.board import PROJECT
from hil.test_devicetree import GOOD, OVERLAY, REFUSED
from overlays import board, report
from overlays.check import check

SOURCES = sorted(board.OVERLAYS.glob("*.dtso"))


def boards() -> Iterator[tuple[Path, str]]:
    """Yield each overlay with each tree that it is for, or with an emulated board's name."""
    for source in SOURCES:
        if entry := board.table().get(source.stem):
            for tree in [*entry.dtbs, *filter(None, [entry.emulated])]:
                yield source, tree


def found(source: Path, tree: str, scratch: Path) -> Path:
    """Return a tree of Debian's, or the one that QEMU makes."""
    entry = board.table()[source.stem]
    if tree != entry.emulated:
        return dtbs.make(entry.architecture) / tree
    path = scratch / f"{tree}.dtb"
    devicetree.merge(emulated.read(tree), [], path)
    return path


def test_every_overlay_has_an_entry_in_the_table() -> None:
    assert [it.stem for it in SOURCES if it.stem not in board.table()] == []


@pytest.mark.parametrize(
    ("source", "tree"), [pytest.param(*it, id=f"{it[0].stem} on {it[1]}") for it in boards()]
)
def test_an_overlay_is_right_for_its_board(source: Path, tree: str, tmp_path: Path) -> None:
    result = check(found(source, tree, tmp_path), [source])
    assert board.find(result.merged) == board.table()[source.stem]
    assert len(result.banks) == 2
    assert result.complaints == ()


def test_the_readme_has_the_banks_where_they_are() -> None:
    """By its table's rows, `| `file` | board | RAM | addresses |`."""
    rows = re.findall(
        r"^\| `([\w-]+)\.dtso` \|[^|]+\|[^|]+\| (0x\S+), (0x\S+) \|$",
        (board.OVERLAYS / "README.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) >= 7
    for name, *addresses in rows:
        text = (board.OVERLAYS / f"{name}.dtso").read_text()
        assert re.findall(r"@([0-9a-f]+) {", text) == [it.removeprefix("0x") for it in addresses]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_readmes_dtc_has_no_warning_about_an_overlay(source: Path, tmp_path: Path) -> None:
    readme = (board.OVERLAYS / "README.md").read_text()
    (command,) = re.findall(r"^ +(dtc -@ .*dtso)\b.*$", readme, re.MULTILINE)
    *words, _ = shlex.split(command.replace("cm.dtbo", str(tmp_path / "cm.dtbo")))
    done = subprocess.run([*words, str(source)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_overlay_of_another_board_is_refused(tmp_path: Path) -> None:
    """The BeagleBone Black's has one cell where the X15 has two."""
    x15 = dtbs.make("armhf") / "am57xx-beagle-x15.dtb"
    address, size = check(x15, [board.OVERLAYS / "am335x-boneblack.dtso"]).complaints
    assert "#address-cells <1>, the root of the tree <2>" in address
    assert "#size-cells <1>, the root of the tree <2>" in size


def test_what_the_x15_reserves_for_its_dsp_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "wrong.dtso"
    right = (board.OVERLAYS / "am57xx-beagle-x15.dtso").read_text()
    source.write_text(right.replace("a0000000", "98000000"))
    own, dsps = check(dtbs.make("armhf") / "am57xx-beagle-x15.dtb", [source]).complaints
    assert "overlaps 0x95800000..0x98ffffff, /reserved-memory/ipu2-memory@95800000" in own
    assert "overlaps 0x99000000..0x9cffffff, /reserved-memory/dsp1-memory@99000000" in dsps


def test_debians_trees_are_found_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    source = board.OVERLAYS / "bcm2711-rpi-4-b.dtso"
    assert report.show("bcm2711-rpi-4-b.dtb", [source]) == 0
    assert capsys.readouterr().out.startswith("Raspberry Pi 4 Model B, arm64, 948 MiB of RAM")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What is said of the overlay whose mistakes the module refuses one by one (tests/hil)."""
    base = tmp_path_factory.mktemp("broken") / "base.dtb"
    devicetree.merge(emulated.read("arm64-virt"), [], base)
    return check(base, [PROJECT / OVERLAY]).complaints


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_module_refuses_is_refused_here_too(broken: tuple[str, ...], name: str) -> None:
    assert any(f"context-{name}" in it or f"bank {name}@" in it for it in broken)


@pytest.mark.parametrize("name", GOOD)
def test_what_the_module_takes_is_refused_for_another_s_sake_only(
    broken: tuple[str, ...], name: str
) -> None:
    assert [it for it in broken if f"context-{name}" in it and "have the same" not in it] == []
