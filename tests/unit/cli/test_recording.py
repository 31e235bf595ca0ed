# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is written of a session, and when."""

from __future__ import annotations

from pathlib import Path

import pytest
from cm_agent.cli.shell.command import Command, parse
from cm_agent.cli.shell.recording import Recording


def command(line: str) -> Command:
    found = parse(line)
    assert found
    return found


def test_what_came_before_the_file_is_in_it(tmp_path: Path) -> None:
    recording, file = Recording("title"), tmp_path / "file"
    recording.begin(command("alloc 4KiB"), "chunk 1")
    recording.open(str(file))
    recording.begin(command("free 1"))
    recording.close()
    assert file.read_text() == "# title\nalloc 4KiB  # chunk 1\nfree 1\n"


def test_a_command_is_in_the_file_before_it_is_done(tmp_path: Path) -> None:
    recording, file = Recording("title"), tmp_path / "file"
    recording.open(str(file))
    recording.begin(command("compact"))
    assert file.read_text().splitlines()[-1] == "compact"
    recording.close()


def test_a_failed_command_becomes_one_that_may_fail(tmp_path: Path) -> None:
    recording, early, late = Recording("title"), tmp_path / "early", tmp_path / "late"
    recording.open(str(early))
    recording.begin(command("alloc 1GiB"), "chunk 1")
    recording.failed()
    recording.begin(command("-free 1"))
    recording.failed()
    recording.begin(command("list"))
    recording.open(str(late))
    recording.close()
    expected = "# title\n-alloc 1GiB  # chunk 1\n-free 1\nlist\n"
    assert (early.read_text(), late.read_text()) == (expected, expected)


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    recording, file = Recording("title"), tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(FileExistsError, match="there is a file already; name another"):
        recording.open(str(file))
    recording.begin(command("list"))
    recording.close()
    assert file.read_text() == "mine"


def test_a_place_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent/file cannot be recorded to: No such file"):
        Recording("title").open(str(tmp_path / "absent/file"))
