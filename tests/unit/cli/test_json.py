# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What every verb prints with --json: one document, as agent/command.schema.json has it.

tests/hil/test_cli.py has the verbs on a board, where they do something.
"""

from __future__ import annotations

import errno
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from cm_agent.cli import VERBS, main
from cm_agent.contiguity.verification import Verdict, Verification, Witness
from cm_agent.core.errors import AllocationError
from cm_agent.core.reports import ChunkInfo
from cm_agent.core.uapi import Reason
from unit.cli.schema import check
from unit.exporter.context_data import DataContext, state

FULL = AllocationError(
    errno.ENOMEM,
    context="left",
    size=1 << 20,
    alignment=4096,
    reason=Reason.FULL,
    free=4096,
    largest_hole=4096,
)
WITNESS = Witness("attestation", Verdict.CONTIGUOUS, "one run", 1, 0x70000000, True)
VERIFICATION = Verification(Verdict.CONTIGUOUS, (WITNESS,), True, 4096, "left")


class Chunks(DataContext):
    """A context whose second chunk does not fit."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._allocated = 0

    def __enter__(self) -> Chunks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def alloc(self, *_: object, **__: object) -> Any:
        """Return the first chunk."""
        self._allocated += 1
        if self._allocated == 2:
            raise FULL
        return nullcontext()

    def info(self, _: object) -> ChunkInfo:
        """Return what is known of every chunk."""
        return ChunkInfo(7, 4096, 4096, 0, 0, 0, 1000, 42, "python3", "camera")


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have verbs use a context that is data, and verify it as contiguous."""
    for verb in ("alloc", "verify"):
        monkeypatch.setattr(f"cm_agent.cli.{verb}.Context", Chunks)
        monkeypatch.setattr(f"cm_agent.cli.{verb}.verify", lambda *_, **__: VERIFICATION)


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Run a verb and return its exit code and its document, which the schema describes."""
    code = main(line.split())
    shown = capsys.readouterr()
    assert shown.err == ""
    return code, check(shown.out)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("alloc left 4KiB --json", 1),
        ("alloc left --json", 2),
        ("bench left --json", 1),
        ("chunks --json", 1),
        ("chunks left --json", 1),
        ("compact left --json", 1),
        ("info left --json", 1),
        ("info --json", 1),
        ("layout left --json", 1),
        ("policy --config /nowhere.toml --json", 2),
        ("create left bank --json", 1),
        ("destroy left --json", 1),
        ("list --json", 1),
        ("policy vivid --json", 1),
        ("policy vivid --config /nowhere.toml --json", 2),
        ("quota left --json", 1),
        ("quota left 1MiB --json", 1),
        ("size --camera nosuch --json", 2),
        ("stream nosuch left --json", 2),
        ("verify left 4KiB --json", 1),
        ("verify --json", 2),
        ("conjure --json", 2),
        ("--json", 2),
        *((f"{verb} --conjure --json", 2) for verb in VERBS),
    ],
)
def test_a_failure_is_a_document_with_the_exit_code_of_text(
    line: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    got, document = run(line, capsys)
    assert (got, document["ok"], len(document["errors"])) == (code, False, 1)
    assert main(line.replace("--json", "").split()) == code


def test_every_error_in_a_configuration_is_an_entry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[policy]\nmap = 's5p-mfc'\n[verification]\nsize = '1 furlong'\n")
    code, document = run(f"policy vivid --json --config {file}", capsys)
    messages = [it["message"] for it in document["errors"]]
    assert (code, [message.split(":")[1] for message in messages]) == (
        2,
        [" verification.size", " policy.map"],
    )


@pytest.mark.usefixtures("left")
def test_alloc_has_chunks_verifications_and_state(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run("alloc left 4KiB --verify --json", capsys)
    result = document["result"]
    assert (code, document["ok"], document["verb"]) == (0, True, "alloc")
    assert [chunk["id"] for chunk in result["chunks"]] == [7]
    assert [it["verdict"] for it in result["verifications"]] == ["CONTIGUOUS"]
    assert result["state"]["name"] == "left"


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize(
    "line", ["alloc left 4KiB --count 2 --json", "verify left 4KiB 1MiB --json"]
)
def test_a_failure_has_the_figures_and_what_was_done_before(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = run(line, capsys)
    (error,) = document["errors"]
    done = document["result"]
    assert (code, document["ok"]) == (1, False)
    assert len(done if isinstance(done, list) else done["chunks"]) == 1
    assert (error["errno"], error["reason"], error["context"]) == ("ENOMEM", "FULL", "left")
    assert (error["size"], error["free"], error["quota"]) == (1 << 20, 4096, None)


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize(("hole", "size"), [(9 << 20, 1 << 20), (3 << 12, 3 << 12), (0, 1 << 20)])
def test_verify_takes_what_fits_of_1_mib_when_no_size_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hole: int, size: int
) -> None:
    """Without any hole, 1 MiB, so that the error has a size that somebody knows."""
    asked: list[object] = []

    def alloc(_: object, *words: object, **__: object) -> Any:
        asked.append(words)
        return nullcontext()

    monkeypatch.setattr(Chunks, "alloc", alloc)
    monkeypatch.setattr(Chunks, "query", lambda _: state(largest_hole=hole))
    code, _ = run("verify left --json", capsys)
    assert (code, asked) == (0, [(size, 0)])


@pytest.mark.usefixtures("left")
def test_a_bad_verdict_is_a_result_without_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Verification(Verdict.FRAGMENTED, (WITNESS,), True, 4096, "left")
    monkeypatch.setattr("cm_agent.cli.verify.verify", lambda *_, **__: bad)
    code, document = run("verify left 4KiB --json", capsys)
    assert (code, document["ok"], document["errors"]) == (1, False, [])
    assert document["result"][0]["verdict"] == "FRAGMENTED"


@pytest.mark.usefixtures("left")
def test_witnesses_that_disagree_are_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Verification(Verdict.FRAGMENTED, (WITNESS,), False, 4096, "left")
    monkeypatch.setattr("cm_agent.cli.verify.verify", lambda *_, **__: bad)
    _, document = run("verify left 4KiB --json", capsys)
    assert document["errors"][0]["message"].startswith("THE WITNESSES DISAGREE")


def test_doctor_has_its_findings(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run("doctor --json", capsys)
    assert document["errors"] == []
    assert (code, document["ok"]) in ((0, True), (1, False))


class Root:
    """A control node that does what it is asked for."""

    def create(self, *_: object, **__: object) -> None:
        """Make a context."""

    def destroy(self, name: str) -> None:
        """Remove one."""


@pytest.mark.parametrize(
    ("line", "result"),
    [("create left bank --json", "name"), ("destroy left --json", "context")],
)
def test_contexts_made_and_removed_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, result: str
) -> None:
    monkeypatch.setattr("cm_agent.cli.create.Context", Chunks)
    for verb in ("create", "destroy"):
        monkeypatch.setattr(f"cm_agent.cli.{verb}.Control", lambda: nullcontext(Root()))
    code, document = run(line, capsys)
    assert (code, document["result"][result]) == (0, "left")


def test_the_schema_knows_every_verb_that_has_a_result() -> None:
    text = (Path(__file__).parents[3] / "agent/command.schema.json").read_text()
    known = {
        rule["if"]["properties"]["verb"]["const"]
        for rule in json.loads(text)["allOf"]
        if "verb" in rule["if"]["properties"]
    }
    assert known == set(VERBS) - {"exec", "serve", "shell"}
