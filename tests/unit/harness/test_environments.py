# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The environments of real boards: over SSH alone, with features that tests know."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from labgrid.config import Config

HIL = Path(__file__).parents[2] / "hil"
REAL = sorted(it for it in (HIL / "env").glob("*.yaml") if it.stem != "emulated")
# What a real board cannot have: it is not booted with other trees by a test.
EMULATED = "emulated"


def asked_for() -> set[str]:
    """Return the features that tests ask for."""
    texts = (path.read_text() for path in HIL.glob("*.py"))
    return {name for text in texts for name in re.findall(r'lg_feature\("([^"]+)"', text)}


@pytest.fixture(params=REAL, ids=lambda it: it.stem)
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What an environment says of its one board."""
    monkeypatch.setenv("LG_BOARD", "board.local")
    targets: dict[str, Any] = Config(str(request.param)).get_targets()
    assert list(targets) == ["main"]
    return dict(targets["main"])


def test_a_real_board_is_reached_over_ssh_and_by_nothing_else(target: dict[str, Any]) -> None:
    assert set(target["drivers"]) == {"SSHDriver", "BoardStrategy"}
    assert target["resources"]["NetworkService"]["address"] == "board.local"


def test_its_features_are_some_that_tests_ask_for(target: dict[str, Any]) -> None:
    assert set(target["features"]) <= asked_for() - {EMULATED}


@pytest.mark.parametrize("path", REAL, ids=lambda it: it.stem)
def test_the_way_to_run_it_is_in_its_head(path: Path) -> None:
    assert f"make test-board ENV={path.stem} LG_BOARD=" in path.read_text()


def test_the_page_explains_every_feature() -> None:
    explained = set(
        re.findall(r"^\| `([a-z0-9-]+)` \|", (HIL / "README.md").read_text(), re.MULTILINE)
    )
    assert explained == asked_for()


@pytest.mark.parametrize("path", sorted(HIL.glob("env/*.yaml")), ids=lambda it: it.stem)
def test_files_are_copied_without_a_progress_bar(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scp").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "scp").chmod(0o755)
    monkeypatch.setenv("LG_BOARD", "board.local")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    tool = Config(str(path)).get_tool("scp")
    done = subprocess.run([tool, "a file", "there:"], capture_output=True, text=True, check=True)
    assert done.stdout == "-q a file there:\n"
