# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent banks`, of a device tree and a sysfs that are small folders."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cm_agent.cli import main
from cm_agent.core import devicetree
from unit.cli.schema import check

MIB = 1 << 20


class Tree:
    """Make banks and contexts."""

    def __init__(self, root: Path, dev: Path) -> None:
        self.root, self._dev = root / "tree", dev
        self._sysfs = root / "sys/class/cm"
        self._memory = self.root / "reserved-memory"
        self.write(self._memory / "#address-cells", struct.pack(">I", 2))
        self.write(self._memory / "#size-cells", struct.pack(">I", 1))

    def write(self, path: Path, content: bytes) -> None:
        """Write a file, below folders that need not be there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def bank(self, name: str, mib: int, **properties: bytes) -> None:
        """Make a bank with an address of 64 bits."""
        node = self._memory / name
        self.write(node / "reg", struct.pack(">QI", 0x70000000, mib * MIB))
        for key, value in properties.items():
            self.write(node / key.replace("_", "-"), value)

    def context(self, name: str, bank: str, mib: int, offset: int | None) -> None:
        """Make a context; with an offset that only root may know, None."""
        self.write(self._dev / name, b"")
        self.write(self._sysfs / name / "bank", f"{bank}\n".encode())
        self.write(self._sysfs / name / "size", f"{mib * MIB}\n".encode())
        if offset is not None:
            self.write(self._sysfs / name / "offset", f"{offset * MIB}\n".encode())


@pytest.fixture
def tree(tmp_path: Path, nodes: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = Tree(tmp_path, nodes)
    monkeypatch.setattr("cm_agent.core.attributes.SYSFS", tmp_path / "sys")
    monkeypatch.setattr("cm_agent.cli.banks.banks", partial(devicetree.banks, tree.root))
    return tree


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["banks"]) == 0
    return capsys.readouterr().out.splitlines()


def result(capsys: pytest.CaptureFixture[str]) -> Any:
    assert main(["banks", "--json"]) == 0
    return check(capsys.readouterr().out)["result"]


def test_a_bank_is_shown_with_its_contexts_and_what_makes_one_of_the_rest(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.bank("camera@70000000", 64, reusable=b"")
    tree.context("left", "camera@70000000", 16, 8)
    tree.context("elsewhere", "another", 16, 0)
    assert told(capsys) == [
        "camera@70000000: 64 MiB, for shared and private contexts",
        "     0 B   8 MiB  free: cm-agent create NAME camera@70000000 --size 8MiB",
        "   8 MiB  16 MiB  context 'left'",
        "  24 MiB  40 MiB  free: cm-agent create NAME camera@70000000 --offset 24MiB",
    ]


def test_a_plain_bank_is_for_private_contexts(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.bank("vpu@70000000", 3)
    assert told(capsys) == [
        "vpu@70000000: 3 MiB, for private contexts only",
        "  0 B  3 MiB  free: cm-agent create NAME vpu@70000000 --private",
    ]


def test_who_may_not_know_offsets_is_shown_how_much_is_free(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.bank("camera@70000000", 64, reusable=b"")
    tree.context("left", "camera@70000000", 16, None)
    assert told(capsys)[1:] == ["  ?  16 MiB  context 'left'", "  ?  48 MiB  free"]
    assert result(capsys)[0]["free"] is None


OBSTACLES: dict[str, tuple[dict[str, bytes], str]] = {
    "no-map": ({"no_map": b""}, "it is no-map, so it has no struct pages"),
    "default": ({"linux,cma_default": b""}, "it is linux,cma-default, from which the kernel"),
    "compatible": ({"compatible": b"acme,fw\0"}, "its compatible is 'acme,fw'"),
    "driver": ({"phandle": b"\0\0\0\7"}, "it is the memory-region of /vpu"),
}


@pytest.mark.parametrize("case", OBSTACLES)
def test_a_bank_that_cannot_be_used_has_the_reason_and_nothing_free(
    tree: Tree, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    properties, reason = OBSTACLES[case]
    tree.bank("it@70000000", 3, **properties)
    tree.write(tree.root / "vpu/memory-region", b"\0\0\0\6\0\0\0\7")
    (line,) = told(capsys)
    assert line.startswith(f"it@70000000: 3 MiB, for no contexts: {reason}")
    assert result(capsys)[0]["free"] == []


@pytest.mark.parametrize(("node", "file"), [("status", b"disabled\0"), ("compatible", b"")])
def test_a_node_that_is_no_driver_is_no_obstacle(
    tree: Tree, capsys: pytest.CaptureFixture[str], node: str, file: bytes
) -> None:
    """One that is disabled, and a context."""
    tree.bank("it@70000000", 3, phandle=b"\0\0\0\7")
    tree.write(tree.root / "user/memory-region", b"\0\0\0\7")
    tree.write(tree.root / "user" / node, file or b"cm-agent,context\0")
    assert told(capsys)[0] == "it@70000000: 3 MiB, for private contexts only"


def test_memory_whose_place_the_kernel_picks_has_a_size_too(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.bank("it", 3, size=struct.pack(">I", 5 * MIB), reg=b"")
    assert told(capsys)[0] == "it: 5 MiB, for private contexts only"


def test_without_reserved_memory_it_ends_with_1_and_points_to_the_doctor(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["banks"]) == 1
    assert "has no reserved memory; `cm-agent doctor` shows" in capsys.readouterr().err
