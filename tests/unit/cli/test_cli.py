# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The command line: what it takes, what it refuses, and with which exit code."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cm_agent.cli import VERBS, main, parsers
from cm_agent.cli._arguments import alarms, request
from cm_agent.contiguity.verification import (
    ATTESTATION,
    PAGEMAP,
    PATTERN,
    Verdict,
    Verification,
    Witness,
)
from cm_agent.core.errors import AllocationError, Error, UnverifiableError, explained
from cm_agent.core.uapi import Reason


@pytest.mark.parametrize("verb", VERBS)
def test_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"cm-agent {verb}" in capsys.readouterr().out


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_verb_has_a_description(verb: str) -> None:
    assert parsers()[1].choices[verb].description


@pytest.mark.parametrize("verb", VERBS)
def test_arguments_are_written_in_upper_case(verb: str) -> None:
    actions = [it for it in parsers()[1].choices[verb]._actions if it.nargs != 0]
    assert all(str(it.metavar).split(".")[0].isupper() for it in actions)


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"exec", "serve", "shell"}))
def test_verb_prints_json(verb: str) -> None:
    assert "--json" in parsers()[1].choices[verb]._option_string_actions


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_answered_with_the_usage_of_the_verb(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--conjure"]) == 2
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith(f"usage: cm-agent {verb} ")
    assert last.startswith(f"cm-agent {verb}: ")


def test_an_option_is_written_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--js"]) == 2
    assert "--js" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "advice"),
    [("lsit", "did you mean 'list'?"), ("conjure", f"the verbs are {', '.join(VERBS)}")],
)
def test_an_unknown_verb_is_answered_with_the_nearest_or_with_all(
    word: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err == f"cm-agent: there is no verb {word!r}; {advice}\n"


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
        ("alloc Camera 4KiB", "'Camera' cannot be a context's name"),
        ("alloc camera 4KiB --count 0", "--count"),
        ("alloc camera 4KiB --deadline -1", "--deadline"),
        ("alloc camera 4KiB --hold nan", "--hold"),
        ("alloc camera 4KiB --name " + "x" * 32, "--name"),
        ("bench", "CONTEXT"),
        ("bench camera 8MB", "'8MB'"),
        ("bench camera 0", "'0'"),
        ("bench camera 4KiB --count 0", "--count"),
        ("verify camera 4KiB --dma-bits 65", "--dma-bits"),
        ("verify camera 4KiB --dma-bits 0", "--dma-bits"),
        ("alloc camera", "SIZE[/ALIGN]"),
        ("banks camera", "camera"),
        ("chunks Camera", "'Camera' cannot be a context's name"),
        ("chunks --sort age", "--sort"),
        ("compact", "CONTEXT"),
        ("compact camera 8MB", "'8MB'"),
        ("compact camera 8MiB/3KiB", "'3KiB'"),
        ("compact camera --deadline 0", "--deadline"),
        ("exec -- true", "--alloc"),
        ("exec --alloc 4KiB", "COMMAND"),
        ("exec --alloc 8MB -- true", "'8MB'"),
        ("exec --alloc 4KiB,nam=x -- true", "write SIZE[/ALIGN] or SIZE[/ALIGN],name=TEXT"),
        ("exec --alloc 4KiB, -- true", "write SIZE[/ALIGN] or SIZE[/ALIGN],name=TEXT"),
        ("exec --alloc 4KiB,name=a:b -- true", "'a:b'"),
        ("exec --alloc 4KiB,name=a,name=b -- true", "neither ',' nor ':'"),
        ("exec --alloc 4KiB,name=" + "x" * 32 + " -- true", "x" * 32),
        ("exec --alloc 4KiB --alloc 4KiB,name=1 -- true", "two chunks are called '1'"),
        ("exec --alloc 4KiB -- true", "give --context"),
        ("info Camera", "'Camera' cannot be a context's name"),
        ("layout", "CONTEXT"),
        ("shell", "CONTEXT"),
        ("shell camera --deadline 0", "--deadline"),
        ("verify", "give CONTEXT, or"),
        ("verify --pid 1", "--fd"),
        ("verify --fd 3", "--pid"),
        ("verify camera 4KiB --pid 1 --fd 3", "SIZE"),
        ("verify camera 4KiB --pattern", "--pattern"),
    ],
)
def test_a_wrong_argument_is_named_and_ends_with_2(
    line: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    assert named in capsys.readouterr().err


def test_size_and_alignment_are_read() -> None:
    assert request("8MiB/64KiB") == (8 << 20, 64 << 10)
    assert request("4096") == (4096, 0)


OF_A_CONTEXT = [
    "alloc camera 4KiB",
    "bench camera",
    "chunks camera",
    "compact camera",
    "exec --context camera --alloc 4KiB -- true",
    "info camera",
    "layout camera",
    "list camera",
    "shell camera",
    "verify camera",
]


@pytest.mark.parametrize("line", OF_A_CONTEXT)
def test_an_unknown_context_ends_with_2_and_is_named(
    line: str, nodes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes.mkdir()
    (nodes / "control").touch()
    assert main(line.split()) == 2
    assert f"cm-agent {line.split()[0]}: context 'camera'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", [*OF_A_CONTEXT, "create camera bank", "destroy camera", "quota camera"]
)
def test_without_the_module_it_is_no_fault_of_the_callers(line: str) -> None:
    assert main(line.split()) == 1


def raising(error: BaseException) -> Callable[..., None]:
    def run(*_: object) -> None:
        raise error

    return run


FULL = AllocationError(
    errno.ENOMEM,
    context="camera",
    size=4096,
    alignment=0,
    reason=Reason.FULL,
    free=0,
    largest_hole=0,
)


@pytest.mark.parametrize("option", [[], ["--json"]])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FULL, 1),
        (explained(OSError(errno.EIO, ""), "device"), 1),
        (explained(OSError(errno.EPERM, ""), "device"), 1),
        (UnverifiableError("nothing can be seen"), 1),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda it: type(it).__name__,
)
def test_the_exit_code_is_that_of_the_error(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, option: list[str]
) -> None:
    monkeypatch.setattr("cm_agent.cli.list._ask", raising(error))
    assert main(["list", *option]) == code


def test_an_error_of_the_system_names_its_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(errno.EROFS, "Read-only file system", "/etc/x.png")
    monkeypatch.setattr("cm_agent.cli.list._ask", raising(error))
    main(["list"])
    assert capsys.readouterr().err == "cm-agent list: /etc/x.png: Read-only file system\n"


def test_an_error_does_not_reach_the_terminal_raw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cm_agent.cli.list._ask", raising(Error("\x1b[2J\nnext")))
    main(["list"])
    assert capsys.readouterr().err == "cm-agent list: \\x1b[2J\nnext\n"


def test_list_without_contexts_ends_with_1_and_points_to_the_doctor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list"]) == 1
    assert "cm-agent doctor" in capsys.readouterr().err


def test_list_as_json_has_what_cannot_be_asked(
    nodes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes.mkdir()
    (nodes / "file").touch()
    assert main(["list", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["result"], [it["context"] for it in document["errors"]]) == ([], ["file"])


def test_list_shows_what_cannot_be_asked(nodes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes.mkdir()
    (nodes / "file").touch()
    assert main(["list"]) == 1
    assert "context 'file'" in capsys.readouterr().err


def test_doctor_ends_with_1_when_something_is_to_be_fixed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["result"]
    assert code == int(any(finding["ok"] is False for finding in findings))
    assert {"ok", "what", "fix"} == set(findings[0])


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "cm-agent 0.1.0\n"


WITNESSES = (
    Witness(ATTESTATION, Verdict.CONTIGUOUS, "one run", 1, 0x70000000, True),
    Witness(PAGEMAP, Verdict.UNVERIFIABLE, "hidden"),
    Witness(PATTERN, Verdict.UNVERIFIABLE, "same bytes", consistent=True),
)


def test_verification_is_shown_with_all_witnesses() -> None:
    verification = Verification(Verdict.CONTIGUOUS, WITNESSES, True, 16 << 20, "camera")
    assert alarms([verification]) == []
    assert verification.describe().splitlines() == [
        "context 'camera': 16 MiB: CONTIGUOUS",
        "  attestation  CONTIGUOUS    one run (at 0x70000000)",
        "  pagemap      UNVERIFIABLE  hidden",
        "  pattern      matches       same bytes",
    ]


def test_disagreement_is_an_alarm() -> None:
    verification = Verification(Verdict.FRAGMENTED, WITNESSES, False, 4096, None)
    (alarm,) = alarms([verification])
    assert alarm.message.startswith("THE WITNESSES DISAGREE")
