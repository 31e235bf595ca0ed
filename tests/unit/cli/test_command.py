# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The language of a session: what a line means, and what is said of one that means nothing."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from cm_agent.cli.shell.command import VERBS, describe, parse, parse_sequence
from cm_agent.core.errors import UsageError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("line", "verb", "arguments"),
    [
        ("list", "list", ()),
        ("alloc 8MiB", "alloc", ((8 << 20, 0),)),
        ("alloc 8MiB/64KiB camera", "alloc", ((8 << 20, 64 << 10), "camera")),
        ("alloc '1 MiB' 'left eye' # where it looks", "alloc", ((1 << 20, 0), "left eye")),
        ("  write 3 0xff\r", "write", (3, 255)),
        ("verify 3", "verify", (3,)),
        ("verify 3 18446744073709551615", "verify", (3, (1 << 64) - 1)),
        ("dump 1 0", "dump", (1, 0)),
        ("dump 1 0x1000 4KiB", "dump", (1, 4096, 4096)),
        ("dump 1 4KiB", "dump", (1, 4096)),
        ("compact", "compact", ()),
        ("compact 1MiB", "compact", ((1 << 20, 0),)),
        ("record 'a file'", "record", ("a file",)),
    ],
)
def test_line_is_read(line: str, verb: str, arguments: tuple[Any, ...]) -> None:
    command = parse(line)
    assert command
    assert (command.verb, command.arguments, command.may_fail) == (verb, arguments, False)


@pytest.mark.parametrize("line", ["", "   ", "# alloc 1MiB", " # ", "\r", "-"])
def test_line_without_a_command_is_none(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize("line", ["-alloc 1GiB", "- alloc 1GiB", "  -alloc 1GiB  # more"])
def test_a_command_that_may_fail_says_so(line: str) -> None:
    command = parse(line)
    assert command and command.may_fail
    assert str(command) == "-alloc 1GiB"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("conjure", "'conjure' is not a command; `help` lists them"),
        ("alloc", r"'alloc' is written `alloc SIZE\[/ALIGN\] \[NAME\]`"),
        ("dump 1 2 3 4", r"'dump' is written `dump CHUNK \[OFFSET \[LENGTH\]\]`"),
        ("list 1", "'list' is written `list`"),
        ("record a file", "'record' is written `record FILE`"),
        ("alloc 8MB", "alloc: '8MB' has the unknown unit 'MB'"),
        ("alloc 1MiB/3KiB", "alloc: '3KiB' is not an alignment: use a power of two"),
        ("alloc 1MiB " + "x" * 32, "at most 31 bytes"),
        ("free 0", "free: '0' is not a chunk"),
        ("free one", "free: 'one' is not a chunk"),
        ("free \u0661", "is not a chunk"),
        ("write 1 -1", "'-1' is not a seed"),
        ("write 1 0x10000000000000000", "is not a seed"),
        ("dump 1 -1", "'-1' is not a size"),
        ("alloc 1MiB 'left", "cannot be read: No closing quotation"),
    ],
)
def test_says_what_is_wrong(line: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse(line)


names = st.text(st.characters().filter(str.isprintable), max_size=31).filter(
    lambda name: len(name.encode()) < 32
)


@given(names, st.booleans())
def test_what_is_written_is_read_again(name: str, may_fail: bool) -> None:
    command = parse(f"{'-' if may_fail else ''}alloc 4KiB {shlex.quote(name)}")
    assert command and command.arguments == ((4096, 0), name)
    assert parse(str(command)) == command


def test_numbers_of_chunks_can_be_shifted() -> None:
    for line, shifted in (
        ("write 2 7", "write 5 7"),
        ("-free 1", "-free 4"),
        ("alloc 4KiB", "alloc 4KiB"),
        ("layout", "layout"),
    ):
        command = parse(line)
        assert command and command.shifted(3) == parse(shifted)


def test_a_sequence_keeps_the_numbers_of_its_lines() -> None:
    read = parse_sequence("# head\n\nalloc 4KiB\n  # more\nfree 1 # the first\n", "file")
    assert [(line, str(command)) for line, command in read] == [(3, "alloc 4KiB"), (5, "free 1")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("alloc 4KiB\nfee 1\n", "file: line 2: 'fee' is not a command"),
        ("\n\nreplay file\n", "file: line 3: 'replay' is for the prompt, not for a sequence"),
        ("quit", "file: line 1: 'quit' is for the prompt"),
    ],
)
def test_a_sequence_that_cannot_be_read_names_file_and_line(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_sequence(text, "file")


def test_help_names_every_command() -> None:
    assert all(f"\n{verb.usage(name)} " in f"\n{describe()}" for name, verb in VERBS.items())
