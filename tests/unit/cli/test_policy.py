# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent policy`, and how other verbs take a context by policy; no context is there."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from cm_agent.cli import main
from cm_agent.cli._allocation import add_context, allocated
from cm_agent.cli._arguments import add_common
from cm_agent.policy.allocator import RefusedError
from unit.cli.schema import check


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """Return options that name a configuration."""
    config = tmp_path / "config.toml"
    config.write_text("[policy]\nmap = 's5p-mfc/f=fw;s5p-mfc/a=left,right'\n")
    return ["--config", str(config)]


def test_shows_the_rule_and_its_contexts_in_order(
    options: list[str], nodes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "s5p-mfc", "a", *options]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "device 's5p-mfc', type 'a': rule 2, s5p-mfc/a=left,right",
        "  left: not available",
        "  right: not available",
    ]
    assert [line.split(" has no such node")[0] for line in shown.err.splitlines()] == [
        f"cm-agent policy: context {name!r}: {nodes}" for name in ("left", "right")
    ]


def test_shows_programs_the_same(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "s5p-mfc", "f", "--json", *options]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["result"] == {
        "device": "s5p-mfc",
        "type": "f",
        "number": 1,
        "rule": "s5p-mfc/f=fw",
        "contexts": [{"name": "fw", "state": None}],
    }
    assert [(it["context"], it["errno"]) for it in document["errors"]] == [("fw", "ENOENT")]


def test_no_rule_is_a_failure_that_lists_the_rules(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "s5p-mfc", *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "device 's5p-mfc', type 'common': looked at 's5p-mfc/f=fw', " in captured.err


def test_without_a_device_all_rules_are_read_back(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", *options]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "rule 1: s5p-mfc/f=fw",
        "  fw: not available",
        "rule 2: s5p-mfc/a=left,right",
        "  left: not available",
        "  right: not available",
    ]
    assert len(shown.err.splitlines()) == 3


def test_programs_read_the_same_rules_back(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "--json", *options]) == 1
    rules = check(capsys.readouterr().out)["result"]["rules"]
    assert [(it["number"], it["rule"]) for it in rules] == [
        (1, "s5p-mfc/f=fw"),
        (2, "s5p-mfc/a=left,right"),
    ]
    assert rules[1]["contexts"][0] == {"name": "left", "state": None}


def test_a_policy_without_rules_is_read_back_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "empty.toml"
    file.touch()
    assert main(["policy", "--config", str(file)]) == 0
    assert capsys.readouterr().out.startswith("there are no rules, so no device is given a buffer")


def test_an_error_in_the_configuration_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[policy]\nmap = 's5p-mfc'\n")
    assert main(["policy", "s5p-mfc", "--config", str(file)]) == 2
    expected = f"cm-agent policy: {file}: policy.map: character 1 of the map: 's5p-mfc' is no"
    assert capsys.readouterr().err.startswith(expected)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_context(parser)
    add_common(parser)
    return parser.parse_args(words)


def test_a_verb_without_a_context_asks_those_of_the_policy(options: list[str]) -> None:
    with (
        pytest.raises(RefusedError, match=r"rule 's5p-mfc/a=left,right' served device 's5p-mfc'"),
        allocated(parse(*options), "s5p-mfc", lambda context, _: context.alloc(1), type="a"),
    ):
        pass


def test_a_verb_with_a_context_asks_that_one_only(options: list[str]) -> None:
    with (
        pytest.raises(FileNotFoundError, match="context 'right'"),
        allocated(parse("right", *options), "no device", lambda context, _: context.alloc(1)),
    ):
        pass
