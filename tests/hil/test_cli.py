# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The command on a board with contexts: what it prints, and what it ends with."""

from __future__ import annotations

from typing import Any

import pytest
from unit.cli.schema import check as document

MIB = 1 << 20


pytestmark = pytest.mark.usefixtures("module")


# -- list


def test_list_shows_each_context_on_a_line(board: Any) -> None:
    head, *rows = board.check("cm-agent list").splitlines()
    assert head.split() == ["NAME", "KIND", "SIZE", "FREE", "LARGEST", "HOLE", "PINNED", "CHUNKS"]
    full = ["64", "MiB"] * 3 + ["0", "B", "0"]
    assert [row.split() for row in rows] == [
        ["private", "private", *full],
        ["shared", "shared", *full],
    ]


def test_list_as_json_has_bytes(board: Any, page_size: int) -> None:
    private, shared = document(board.check("cm-agent list --json"))["result"]
    for state, name in ((private, "private"), (shared, "shared")):
        assert (state["name"], state["private"]) == (name, name == "private")
        assert state["size"] == state["free"] == state["largest_hole"] == 64 * MIB
        assert (state["pinned"], state["draining"], state["chunks"]) == (0, 0, 0)
        assert state["min_alignment"] == state["page_size"] == page_size


# -- alloc


def test_alloc_tells_the_chunks_and_what_is_left(board: Any) -> None:
    got = board.run("cm-agent alloc private 8MiB/1MiB --count 3")
    first, second, third, left = got.stdout.splitlines()
    for line in (first, second, third):
        assert line.startswith("chunk ") and line.endswith(": 8 MiB, aligned to 1 MiB")
    assert (left, got.code) == ("free: 40 MiB, largest hole 40 MiB", 0)


def test_alloc_as_json_tells_who_asked(board: Any) -> None:
    got = board.check("cm-agent alloc shared 1MiB/2MiB --count 2 --name camera --verify --json")
    told = document(got)["result"]
    assert [chunk["name"] for chunk in told["chunks"]] == ["camera"] * 2
    assert [chunk["alignment"] for chunk in told["chunks"]] == [2 * MIB] * 2
    assert [chunk["uid"] for chunk in told["chunks"]] == [0] * 2
    assert [it["verdict"] for it in told["verifications"]] == ["CONTIGUOUS"] * 2
    assert told["state"]["free"] == 62 * MIB


def test_alloc_that_fails_ends_with_1_and_frees_what_it_had(board: Any) -> None:
    """Every number that matters is in the sentence."""
    got = board.run("cm-agent alloc private 24MiB --count 3")
    assert got.code == 1
    assert "alloc: context 'private': allocation of 24 MiB failed: FULL;" in got.stderr
    assert "16 MiB free, largest hole 16 MiB" in got.stderr
    assert got.stdout.count("chunk ") == 2
    assert document(board.check("cm-agent list --json"))["result"][0]["free"] == 64 * MIB


def test_alloc_that_fails_tells_the_reason_in_json(board: Any) -> None:
    got = board.run("cm-agent alloc private 65MiB --json")
    (error,) = document(got.stdout)["errors"]
    assert (got.code, error["errno"], error["reason"]) == (1, "ENOMEM", "FULL")
    assert (error["size"], error["free"], got.stderr) == (65 * MIB, 64 * MIB, "")


def test_a_deadline_can_be_given(board: Any) -> None:
    assert board.run("cm-agent alloc private 1MiB --deadline 5").code == 0


# -- bench


def test_bench_measures_each_size_and_leaves_nothing(board: Any) -> None:
    told = document(board.check("cm-agent bench private 64KiB 1MiB --count 5 --json"))["result"]
    assert [(it["size"], it["count"]) for it in told["measured"]] == [(64 << 10, 5), (MIB, 5)]
    for it in told["measured"]:
        assert all(0 < it[what]["p50"] <= it[what]["p99"] for what in ("alloc", "memset", "ioctl"))
    assert told["private"] is True
    assert document(board.check("cm-agent list --json"))["result"][0]["chunks"] == 0


def test_bench_prints_a_line_for_each_size(board: Any) -> None:
    head, *rows = board.check("cm-agent bench shared 64KiB 8MiB --count 3").splitlines()
    assert head.split()[:3] == ["SIZE", "ALLOC", "p50"]
    assert [row.split()[:2] for row in rows] == [["64", "KiB"], ["8", "MiB"]]


def test_bench_of_more_than_there_is_ends_with_1_and_tells_why(board: Any) -> None:
    got = board.run("cm-agent bench private 64KiB 65MiB --count 2")
    assert got.code == 1
    assert "bench: context 'private': allocation of 65 MiB failed: FULL;" in got.stderr
    assert len(got.stdout.splitlines()) == 2


# -- verify


def test_verify_names_three_witnesses(board: Any, linear: dict[str, bool]) -> None:
    head, *witnesses = board.check("cm-agent verify shared 1MiB").splitlines()
    assert head == "context 'shared': 1 MiB: CONTIGUOUS"
    said = [line.split()[:2] for line in witnesses]
    assert said == [
        ["attestation", "CONTIGUOUS"],
        ["pagemap", "CONTIGUOUS"],
        ["pattern", "CONTIGUOUS" if linear["shared"] else "matches"],
    ]


def test_verify_as_json_is_a_list(board: Any, page_size: int) -> None:
    told = board.check(f"cm-agent verify private {page_size} 3MiB/1MiB --json")
    verifications = document(told)["result"]
    assert [it["size"] for it in verifications] == [page_size, 3 * MIB]
    assert all(it["agree"] and it["verdict"] == "CONTIGUOUS" for it in verifications)
    assert verifications[1]["witnesses"][0]["address"] % MIB == 0


def test_verify_without_a_size_takes_1_mib(board: Any) -> None:
    assert board.check("cm-agent verify shared").startswith("context 'shared': 1 MiB: CONTIGUOUS")


def test_verify_takes_an_alignment_below_a_page(board: Any, page_size: int) -> None:
    """With pages of 16 KiB, 8 KiB are one of them."""
    (it,) = document(board.check("cm-agent verify shared 8KiB/4KiB --json"))["result"]
    assert (it["verdict"], it["size"]) == ("CONTIGUOUS", max(page_size, 8 << 10))


# -- errors of the caller


def command(words: list[str]) -> dict[str, Any]:
    """Do what the program does, in a Python that runs already; return how it ended."""
    import contextlib
    import io

    from cm_agent.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code
    return {"code": code, "stdout": out.getvalue(), "stderr": err.getvalue()}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("alloc shared 0", "'0' is out of range"),
        ("alloc shared much", "'much' is not a size"),
        ("alloc shared 1XB", "unknown unit 'XB'"),
        ("alloc shared -- -1", "'-1' is not a size"),
        ("alloc shared 1MiB/3000", "'3000' is not an alignment: use a power of two"),
        ("alloc shared 1MiB --count 0", "'0' is not a whole number above 0"),
        ("alloc shared 1MiB --deadline never", "'never' is not a number of seconds"),
        ("alloc control 1MiB", "'control' is not a context"),
        ("alloc ../null 1MiB", "'../null' cannot be a context's name"),
        ("alloc shared", "the following arguments are required: SIZE[/ALIGN]"),
        ("verify", "give CONTEXT, or --pid and --fd"),
        ("verify shared --pid 1", "--pid and --fd go together"),
        ("verify shared 1MiB --dma-bits 65", "more than the 64 address bits"),
        ("verify --pid 1 --fd 0", "and not a dma-buf"),
        ("conjure", "there is no verb 'conjure'; the verbs are alloc, apply, banks,"),
        ("destroy nowhere", "there is no such context; there are private, shared"),
        ("quota nowhere 1MiB", "there is no such context; there are private, shared"),
        ("create left nowhere", "there is no /reserved-memory/nowhere; there are "),
        ("create left " + "x" * 100, "BANK: "),
        ("verify --pid 2000000000 --fd 0", "descriptor 0 of process 2000000000"),
        ("", "the following arguments are required: VERB"),
    ],
)
def test_an_error_of_the_caller_ends_with_2_and_a_sentence(
    board: Any, words: str, sentence: str
) -> None:
    got = board.call(command, words=words.split())
    assert (got["code"], sentence in got["stderr"]) == (2, True), got


def test_the_program_ends_with_the_same_code_and_sentence(board: Any) -> None:
    got = board.run("cm-agent alloc shared much")
    assert (got.code, got.stdout) == (2, "")
    assert got.stderr.splitlines()[-1].startswith("cm-agent alloc: argument ")
    assert "'much' is not a size" in got.stderr


@pytest.mark.parametrize("verb", ["alloc", "bench", "compact", "verify"])
def test_an_unknown_context_ends_with_2_and_names_those_there_are(board: Any, verb: str) -> None:
    got = board.call(command, words=[verb, "nowhere", "1MiB"])
    assert got["code"] == 2
    assert "context 'nowhere'" in got["stderr"] and "there: private, shared" in got["stderr"]


def test_an_alignment_below_a_page_is_met(board: Any) -> None:
    assert board.call(command, words=["alloc", "shared", "1MiB/16"])["code"] == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[metrics", "/tmp/c.toml: Expected ']' at the end of a table"),
        (
            "[verification]\\nsize = '1 furlong'",
            "/tmp/c.toml: verification.size: '1 furlong'",
        ),
    ],
)
def test_an_error_in_a_configuration_names_file_and_key(
    board: Any, text: str, sentence: str
) -> None:
    got = board.run(f'printf "{text}" > /tmp/c.toml; cm-agent serve --config /tmp/c.toml')
    assert (got.code, sentence in got.stderr) == (2, True), got


def test_a_configuration_that_is_not_there_is_an_error(board: Any) -> None:
    got = board.run("cm-agent serve --config /tmp/none.toml")
    assert (got.code, got.stderr) == (2, "cm-agent serve: /tmp/none.toml: there is no such file")


# -- what all verbs have in common


@pytest.mark.parametrize(
    "line",
    [
        "alloc shared 1MiB --verify",
        "alloc shared 65MiB",
        "banks",
        "bench shared 4KiB --count 2",
        "chunks",
        "chunks nowhere",
        "compact shared",
        "compact shared 65MiB",
        "create left nowhere",
        "destroy nowhere",
        "doctor",
        "info",
        "info shared",
        "layout shared",
        "list",
        "policy",
        "policy vivid",
        "quota shared",
        "quota shared --user 0",
        "verify shared",
        "verify shared 4KiB 1MiB",
        "verify shared 4KiB --dma-bits 30",
    ],
)
def test_json_is_one_document_with_the_exit_code_of_text(board: Any, line: str) -> None:
    told = board.call(command, words=[*line.split(), "--json"])
    text = board.call(command, words=line.split())
    assert (told["code"], told["stderr"]) == (text["code"], ""), (told, text)
    assert document(told["stdout"])["ok"] == (told["code"] == 0)


def test_a_reader_that_has_gone_ends_it_in_silence(board: Any) -> None:
    got = board.run("bash -c 'cm-agent list | true; echo ${PIPESTATUS[0]}'")
    assert got.stdout in ("0", "141") and got.stderr == "", got


def test_a_full_disk_ends_it_with_1_and_a_sentence(board: Any) -> None:
    got = board.run("cm-agent list > /dev/full")
    said = "cm-agent list: standard output cannot be written: No space left on device"
    assert (got.code, got.stderr) == (1, said)
