# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Where contexts lie, of a tree that looks like /sys, and how large banks are."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from cm_agent.core.devicetree import bank_sizes
from cm_agent.core.place import Place, places

FILES = {"bank": "b@1\n", "offset": "8\n", "size": "64\n", "kind": "private\n"}


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_a_context_is_read(tmp_path: Path) -> None:
    write(tmp_path / "class/cm/left", **FILES, min_alignment="4096\n")
    assert places(tmp_path) == {"left": Place("left", "b@1", 8, 64, True, 4096)}


def test_one_that_goes_meanwhile_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "class/cm/left", **FILES)
    assert places(tmp_path) == {}


def test_without_the_module_there_are_none(tmp_path: Path) -> None:
    assert places(tmp_path) == {}


def test_the_offset_is_for_root_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def refuse(path: Path) -> str:
        if path.name == "offset":
            raise PermissionError
        return read(path)

    write(tmp_path / "class/cm/left", **FILES, min_alignment="4096\n")
    monkeypatch.setattr(Path, "read_text", refuse)
    assert places(tmp_path)["left"].offset is None


@pytest.mark.parametrize(
    ("cells", "reg", "size"),
    [((1, 1), ">II", 4096), ((2, 2), ">QQ", 1 << 32), ((2, 1), ">QI", 4096)],
)
def test_the_size_of_a_bank_is_in_its_reg(
    tmp_path: Path, cells: tuple[int, int], reg: str, size: int
) -> None:
    memory = tmp_path / "reserved-memory"
    for name, packed in {"b@1": struct.pack(reg, 1, size), "placed-at-boot": b""}.items():
        (memory / name).mkdir(parents=True)
        if packed:
            (memory / name / "reg").write_bytes(packed)
    for what, count in zip(("address", "size"), cells, strict=True):
        (memory / f"#{what}-cells").write_bytes(struct.pack(">I", count))
    assert bank_sizes(tmp_path) == {"b@1": size, "placed-at-boot": None}
