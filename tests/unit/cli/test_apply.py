# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent apply`: what it prints, and its exit codes."""

from __future__ import annotations

import errno
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from cm_agent.cli import main
from cm_agent.core.errors import request_error
from unit.cli.schema import check
from unit.config.test_setup import BANKS, DataControl

CONTEXTS = """
[[contexts]]
name = "left"
bank = "bank@1"
size = "16MiB"
[[contexts]]
name = "right"
bank = "bank@1"
offset = "16MiB"
private = true
"""
QUOTAS = """
[[quotas]]
context = "left"
user = "root"
size = "4MiB"
[[quotas]]
context = "left"
user = "anybody"
size = "1MiB"
chunks = 7
"""
MADE = """\
left: shared, 16 MiB of bank@1: made
right: private, the rest of bank@1 from 16 MiB on: made
left: anybody may have 1 MiB in at most 7 chunks: set
left: root may have 4 MiB: set
"""


class Board:
    """A board that is data, and a configuration for it."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.control, self._config, self._capsys = DataControl(), config, capsys

    def apply(self, text: str, *words: str) -> tuple[int, str, str]:
        """Apply a configuration, and return exit code, output and errors."""
        self._config.write_text(text)
        code = main(["apply", "--config", str(self._config), *words])
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err


@pytest.fixture
def machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Board:
    machine = Board(tmp_path / "config.toml", capsys)
    monkeypatch.setattr("cm_agent.cli.apply.Control", lambda: nullcontext(machine.control))
    monkeypatch.setattr("cm_agent.cli.apply.places", dict)
    monkeypatch.setattr("cm_agent.cli.apply.bank_sizes", lambda: BANKS)
    return machine


def test_contexts_are_made_then_the_quotas_of_anybody_then_those_of_users(machine: Board) -> None:
    assert machine.apply(CONTEXTS + QUOTAS) == (0, MADE, "")
    assert [name for name, *_ in machine.control.made] == ["left", "right"]
    assert list(machine.control.quotas) == [("left", None), ("left", 0)]


def test_a_dry_run_says_what_would_be_made(machine: Board) -> None:
    would = MADE.replace(": made", ": would be made").replace(": set", ": would be set")
    assert machine.apply(CONTEXTS + QUOTAS, "--dry-run") == (0, would, "")
    assert (machine.control.made, machine.control.quotas) == ([], {})


def test_json_has_every_entry_and_what_was_done(machine: Board) -> None:
    code, out, _ = machine.apply(CONTEXTS + QUOTAS, "--json")
    result = check(out)["result"]
    assert (code, result["dry_run"]) == (0, False)
    assert [(it["name"], it["size"], it["done"]) for it in result["contexts"]] == [
        ("left", 16 << 20, "made"),
        ("right", None, "made"),
    ]
    assert [(it["user"], it["uid"], it["quota"]) for it in result["quotas"]] == [
        ("anybody", None, 1 << 20),
        ("root", 0, 4 << 20),
    ]


def test_without_anything_configured_the_module_is_not_needed(
    machine: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cm_agent.cli.apply.Control", lambda: 1 / 0)
    said = "nothing to do: no contexts and no quotas are configured\n"
    assert machine.apply("") == (0, said, "")


BAD: dict[str, tuple[str, str]] = {
    "bank": (CONTEXTS.replace("bank@1", "gone@7", 1), "there is no bank 'gone@7'"),
    "size": (CONTEXTS.replace("16MiB", "65MiB", 1), "end beyond bank"),
    "overlap": (CONTEXTS.replace("16MiB", "17MiB", 1), "would overlap context 'left' of"),
    "user": (CONTEXTS + QUOTAS.replace("root", "no-such-user"), "no user 'no-such-user'"),
    "context": (QUOTAS, "there is no context 'left'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_the_board_ends_with_2_and_does_not_stop_the_rest(
    machine: Board, case: str
) -> None:
    text, problem = BAD[case]
    other = "[[contexts]]\nname = 'other'\nbank = 'late'\n"
    code, out, err = machine.apply(text + other)
    assert code == 2
    assert err.startswith("cm-agent apply: ") and problem in err.splitlines()[0]
    assert "config.toml: " in err
    assert "other: shared, the rest of late: made" in out


def test_a_failure_of_the_kernel_ends_with_1_and_names_the_context(machine: Board) -> None:
    text = "did not create context 'left': no memory"
    machine.control.refused["left"] = request_error(errno.ENOMEM, text)
    code, out, _ = machine.apply(CONTEXTS, "--json")
    document: dict[str, Any] = check(out)
    (error,) = document["errors"]
    assert (code, error["errno"], error["context"]) == (1, "ENOMEM", "left")
    assert error["message"].endswith(f"config.toml: contexts[0]: {text}")
    assert [it["done"] for it in document["result"]["contexts"]] == ["failed", "made"]


def test_an_error_in_the_configuration_makes_nothing(machine: Board) -> None:
    code, out, err = machine.apply(CONTEXTS.replace("true", "1"))
    assert (code, out, machine.control.made) == (2, "", [])
    assert "contexts[1].private: 1 is neither true nor false" in err
