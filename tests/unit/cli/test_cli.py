# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The command line: what it takes, what it refuses, and with which exit code."""

import json
from pathlib import Path

import pytest
from cm_agent.cli import VERBS, main
from cm_agent.cli._arguments import request, show_verification
from cm_agent.contiguity.verification import (
    ATTESTATION,
    PAGEMAP,
    PATTERN,
    Verdict,
    Verification,
    Witness,
)


@pytest.mark.parametrize(
    "verb", ["alloc", "bench", "doctor", "list", "policy", "serve", "stream", "verify"]
)
def test_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"cm-agent {verb}" in capsys.readouterr().out


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "VERB"),
        ("lits", "lits"),
        ("alloc", "CONTEXT"),
        ("alloc camera 8MB", "'8MB'"),
        ("alloc camera 0", "'0'"),
        ("alloc camera 8MiB/3KiB", "'3KiB'"),
        ("alloc ../null 4KiB", "'../null'"),
        ("alloc camera 4KiB --count 0", "--count"),
        ("alloc camera 4KiB --deadline -1", "--deadline"),
        ("alloc camera 4KiB --hold nan", "--hold"),
        ("alloc camera --interactive --replay file", "--replay"),
        ("alloc camera 4KiB --name " + "x" * 32, "--name"),
        ("bench", "CONTEXT"),
        ("bench camera 8MB", "'8MB'"),
        ("bench camera 0", "'0'"),
        ("bench camera 4KiB --count 0", "--count"),
        ("verify camera 4KiB --dma-bits 65", "--dma-bits"),
        ("verify camera 4KiB --dma-bits 0", "--dma-bits"),
    ],
)
def test_bad_argument_is_named_and_ends_with_2(
    line: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("alloc camera", "give SIZE, or --interactive or --replay"),
        ("alloc camera 4KiB --interactive", "SIZE"),
        ("alloc camera 4KiB --replay file", "SIZE"),
        ("alloc camera --interactive --count 2", "--count"),
        ("alloc camera --replay file --json", "--json"),
        ("verify", "CONTEXT and SIZE"),
        ("verify camera", "CONTEXT and SIZE"),
        ("verify --pid 1", "--fd"),
        ("verify --fd 3", "--pid"),
        ("verify camera 4KiB --pid 1 --fd 3", "SIZE"),
        ("verify camera 4KiB --pattern", "--pattern"),
    ],
)
def test_arguments_that_do_not_go_together_end_with_2(
    line: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    assert named in capsys.readouterr().err


def test_size_and_alignment_are_read() -> None:
    assert request("8MiB/64KiB") == (8 << 20, 64 << 10)
    assert request("4096") == (4096, 0)


@pytest.mark.parametrize("verb", ["alloc", "bench", "verify"])
def test_unknown_context_ends_with_1_and_says_which(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "camera", "4KiB"]) == 1
    assert f"cm-agent {verb}: context 'camera'" in capsys.readouterr().err


def test_list_without_contexts_ends_with_1_and_points_to_the_doctor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list"]) == 1
    assert "cm-agent doctor" in capsys.readouterr().err


def test_list_as_json_without_contexts_is_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == []


def test_list_shows_what_cannot_be_asked(nodes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes.mkdir()
    (nodes / "file").touch()
    assert main(["list"]) == 1
    assert "context 'file'" in capsys.readouterr().err


def test_doctor_ends_with_1_when_something_is_to_be_fixed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)
    assert code == int(any(finding["ok"] is False for finding in findings))
    assert {"ok", "what", "fix"} == set(findings[0])


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == "cm-agent 0.1.0\n"


WITNESSES = (
    Witness(ATTESTATION, Verdict.CONTIGUOUS, "one run", 1, 0x70000000, True),
    Witness(PAGEMAP, Verdict.UNVERIFIABLE, "hidden"),
    Witness(PATTERN, Verdict.UNVERIFIABLE, "same bytes", consistent=True),
)


def test_verification_is_shown_with_all_witnesses(capsys: pytest.CaptureFixture[str]) -> None:
    verification = Verification(Verdict.CONTIGUOUS, WITNESSES, True, 16 << 20, "camera")
    show_verification(verification, as_json=False)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "context 'camera': 16 MiB: CONTIGUOUS",
        "  attestation  CONTIGUOUS    one run (at 0x70000000)",
        "  pagemap      UNVERIFIABLE  hidden",
        "  pattern      matches       same bytes",
    ]
    assert shown.err == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_disagreement_is_shouted(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    verification = Verification(Verdict.FRAGMENTED, WITNESSES, False, 4096, None)
    show_verification(verification, as_json=as_json)
    assert "THE WITNESSES DISAGREE" in capsys.readouterr().err
