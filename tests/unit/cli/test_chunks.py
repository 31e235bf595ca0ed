# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent chunks`, `layout`, `compact` and `info`, of a context that is data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cm_agent.cli import main
from cm_agent.cli._places import describe_state, places
from unit.cli.context_with_chunks import (
    CHUNKS,
    FIRST,
    MIB,
    NOBODYS,
    ContextWithChunks,
    Unprivileged,
)
from unit.cli.schema import check


@pytest.fixture
def left(nodes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have verbs ask a context `left`, which lies in bank `camera@0` from 32 MiB on."""
    nodes.mkdir()
    (nodes / "left").touch()
    attributes = tmp_path / "sys/class/cm/left"
    attributes.mkdir(parents=True)
    (attributes / "bank").write_text("camera@0\n")
    (attributes / "offset").write_text(f"{32 * MIB}\n")
    monkeypatch.setattr("cm_agent.core.attributes.SYSFS", tmp_path / "sys")
    monkeypatch.setattr("cm_agent.cli.chunks.is_gone", lambda pid, comm: True)
    use(monkeypatch, ContextWithChunks)


def use(monkeypatch: pytest.MonkeyPatch, kind: type[ContextWithChunks]) -> None:
    for module in ("_contexts", "layout", "compact", "info"):
        monkeypatch.setattr(f"cm_agent.cli.{module}.Context", kind)


def told(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(line.split()) == 0
    return capsys.readouterr().out.splitlines()


def result(line: str, capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*line.split(), "--json"]) == 0
    return check(capsys.readouterr().out)["result"]


@pytest.mark.usefixtures("left")
def test_chunks_are_shown_with_who_has_them_and_the_sum_of_each_user(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told("chunks", capsys) == [
        "CONTEXT  USER        PROCESS           NAME     SIZE  STATE     OFFSET  BANK",
        "left     root        camera[42], gone  frames  2 MiB               0x0  camera@0",
        "left     root        camera[42], gone          4 MiB  pinned  0x800000  camera@0",
        "left     4000000000  hidden                    1 MiB          0xc00000  camera@0",
        "",
        "USER        CHUNKS   SIZE  IMMOVABLE",
        "root             2  6 MiB      4 MiB",
        "4000000000       1  1 MiB        0 B",
    ]


@pytest.mark.usefixtures("left")
def test_chunks_are_in_the_order_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    by_size = result("chunks left --sort size", capsys)["chunks"]
    assert [it["size"] for it in by_size] == [4 * MIB, 2 * MIB, MIB]


@pytest.mark.usefixtures("left")
def test_whether_a_hidden_process_is_gone_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    found = result("chunks", capsys)
    assert [it["gone"] for it in found["chunks"]] == [True, True, None]
    assert [it["uid"] for it in found["users"]] == [0, NOBODYS]


@pytest.mark.usefixtures("left")
def test_a_context_without_chunks_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ContextWithChunks, "chunks", [])
    assert told("chunks left", capsys) == ["no chunks"]


@pytest.mark.usefixtures("left")
def test_a_layout_is_a_picture_in_proportion_and_a_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of 16 MiB, a row of 64 characters has 4."""
    assert told("layout left", capsys) == [
        "left: 16 MiB, a character is 64 KiB",
        "         0x0 |" + "a" * 32 + "." * 32 + "|",
        "    0x400000 |" + "." * 64 + "|",
        "    0x800000 |" + "B" * 64 + "|",
        "    0xc00000 |" + "c" * 16 + "." * 48 + "|",
        "IN PICTURE    OFFSET   SIZE  STATE   USER        PROCESS     NAME",
        "a                0x0  2 MiB          root        camera[42]  frames",
        ".           0x200000  6 MiB  free",
        "B           0x800000  4 MiB  pinned  root        camera[42]",
        "c           0xc00000  1 MiB          4000000000  hidden",
        ".           0xd00000  3 MiB  free",
    ]


@pytest.mark.usefixtures("left")
def test_a_layout_without_offsets_has_neither_picture_nor_holes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Unprivileged)
    head, _, first, *_ = told("layout left", capsys)
    assert head.startswith("There is no picture: offsets are shown with CAP_SYS_RAWIO only")
    assert first.split()[0] == "?"
    assert result("layout left", capsys)["holes"] is None


@pytest.mark.usefixtures("left")
def test_a_layout_as_json_has_the_holes(capsys: pytest.CaptureFixture[str]) -> None:
    found = result("layout left", capsys)
    assert [chunk["id"] for chunk in found["chunks"]] == [100, 101, 102]
    assert found["holes"] == [
        {"offset": 2 * MIB, "size": 6 * MIB},
        {"offset": 13 * MIB, "size": 3 * MIB},
    ]


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({}, ""),
        ({"pins": 2, "immovable": True}, "pinned"),
        ({"imports": 1}, "imported"),
        ({"imports": 1, "maps": 1, "immovable": True}, "mapped"),
        ({"immovable": True}, "immovable"),
        ({"pins": 1, "immovable": True, "draining": True}, "pinned, draining"),
    ],
)
def test_a_state_says_what_others_do_with_a_chunk(members: dict[str, Any], state: str) -> None:
    assert describe_state(replace(FIRST, **members)) == state


def test_places_cover_all_of_a_context() -> None:
    found = places(CHUNKS, 16 * MIB) or []
    assert [it.end for it in found[:-1]] == [it.start for it in found[1:]]
    assert (found[0].start, found[-1].end) == (0, 16 * MIB)


def test_a_context_that_is_one_chunk_has_no_hole() -> None:
    found = places([FIRST], FIRST.size) or []
    assert [it.chunk for it in found] == [FIRST]


@pytest.mark.usefixtures("left")
def test_compact_shows_what_was_moved_and_what_is_free(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told("compact left 8MiB", capsys) == [
        "left: chunks moved: 2, copied: 3 MiB",
        "free: 9 MiB, largest hole 9 MiB",
    ]
    assert result("compact left", capsys)["moves"] == 2


@pytest.mark.usefixtures("left")
def test_info_of_a_context_has_its_place_and_what_it_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = dict(line.split("  ", 1) for line in told("info left", capsys))
    known = {name: value.strip() for name, value in shown.items()}
    assert (known["bank"], known["offset in bank"]) == ("camera@0", "32 MiB")
    assert known["allocations"] == "10, of which 7 succeeded"
    assert known["failures"] == "FULL 2, BUSY 1"
    assert result("info left", capsys)["context"]["offset"] == 32 * MIB


@pytest.mark.usefixtures("left")
def test_info_of_the_module_has_version_features_and_parameters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parameters = tmp_path / "sys/module/cm/parameters"
    parameters.mkdir(parents=True)
    (parameters / "linger_ms").write_text("1000\n")
    found = result("info", capsys)["module"]
    assert (found["version"], found["features"]) == ("0.1.0", [])
    assert (found["parameters"], found["contexts"]) == ({"linger_ms": "1000"}, ["left"])
