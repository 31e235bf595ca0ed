# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Merging: what cannot be merged is told in words, and the report ends as it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from boards.error import BoardError
from overlays import report
from overlays.check import check, merge

from .board_tree import BOARD, OVERLAY, changed, compiled


def written(text: str, scratch: Path, name: str = "overlay.dtso") -> Path:
    """Write an overlay's source and return its path."""
    path = scratch / name
    path.write_text(text)
    return path


def test_a_label_that_the_board_does_not_have_is_named(tmp_path: Path) -> None:
    overlay = written(changed(OVERLAY, ("&{/}", "&ocp")), tmp_path)
    with pytest.raises(BoardError, match=r"overlay.dtso refers to &ocp, and board.dtb has no labe"):
        check(compiled(BOARD, tmp_path), [overlay])


def test_a_label_of_an_overlay_before_it_is_there(tmp_path: Path) -> None:
    second = '/dts-v1/;\n/plugin/;\n\n&camera {\n\tstatus = "disabled";\n};\n'
    overlays = [written(OVERLAY, tmp_path), written(second, tmp_path, "second.dtso")]
    (only,) = check(compiled(BOARD, tmp_path), overlays).complaints
    assert "bank camera@a0000000 is disabled" in only


def test_an_overlay_for_a_place_that_the_board_does_not_have_is_refused(tmp_path: Path) -> None:
    overlay = written(changed(OVERLAY, ("&{/}", "&{/ocp}")), tmp_path)
    with pytest.raises(BoardError, match=r"merging into board\.dtb"):
        check(compiled(BOARD, tmp_path), [overlay])


def test_a_file_that_is_no_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"overlay.dtso is no device tree that can be read"):
        check(written(OVERLAY, tmp_path), [])


def test_a_tree_that_is_merged_already_is_judged_as_it_is(tmp_path: Path) -> None:
    merged = tmp_path / "merged.dtb"
    crooked = changed(OVERLAY, ("a0000000", "a0400000"))
    merge(compiled(BOARD, tmp_path), [written(crooked, tmp_path)], merged)
    (only,) = check(merged, []).complaints
    assert "its base 0xa0400000 is no multiple of 0x800000" in only


def test_the_report_says_what_there_is_and_that_nothing_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = report.show(str(compiled(BOARD, tmp_path)), [written(OVERLAY, tmp_path)])
    assert (code, capsys.readouterr().out.splitlines()) == (
        0,
        [
            "A board of the tests, armhf, 1,024 MiB of RAM: 0x80000000..0xbfffffff",
            "kept free of banks: 0x80000000..0x8fffffff, most boot loaders",
            "source: a guess: dts/boards.toml does not know this board",
            "bank camera@a0000000 (0xa0000000..0xa3ffffff): 64 MiB, reusable",
            "bank codec@a8000000 (0xa8000000..0xa8ffffff): 16 MiB, reusable",
            "nothing is wrong, as far as a tree can tell",
        ],
    )


def test_the_report_ends_with_every_complaint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = changed(OVERLAY, ("a0000000", "a0400000"), ('"private"', '"control"'))
    code = report.show(str(compiled(BOARD, tmp_path)), [written(wrong, tmp_path)])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WRONG  ")]
    assert code == 1
    assert [line.split()[1] for line in said] == ["bank", "context", "dt-validate:"]


def test_a_bank_without_a_context_is_reported_and_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = changed(OVERLAY, ("cm,private", 'status = "disabled"'))
    assert report.show(str(compiled(BOARD, tmp_path)), [written(off, tmp_path)]) == 0
    assert "NOTE   bank codec@a8000000 has no context" in capsys.readouterr().out
