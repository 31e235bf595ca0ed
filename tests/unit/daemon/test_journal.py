# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The log's lines, for the journal and for a terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cm_agent.daemon import journal


@pytest.fixture(autouse=True)
def _package_log() -> Iterator[None]:
    log = logging.getLogger("cm_agent")
    saved = log.handlers[:], log.level, log.propagate
    yield
    log.handlers[:], log.propagate = saved[0], saved[2]
    log.setLevel(saved[1])


@pytest.mark.parametrize("is_journal", [True, False])
def test_the_prefix_is_for_the_journal_only(tmp_path: Path, is_journal: bool) -> None:
    file = tmp_path / "stderr"
    with file.open("w") as stream:
        node = os.fstat(stream.fileno())
        place = f"{node.st_dev}:{node.st_ino}" if is_journal else "0:0"
        journal.configure(stream=stream, environ={"JOURNAL_STREAM": place})
        log = logging.getLogger("cm_agent.test")
        log.debug("not shown")
        for level in (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            log.log(level, "first\nsecond")
    lines = file.read_text().splitlines()
    if is_journal:
        assert lines == [f"<{n}>{word}" for n in (6, 4, 3, 2) for word in ("first", "second")]
    else:
        assert len(lines) == 8 and lines[0].endswith(" INFO first") and lines[1] == "second"


def test_a_stream_without_a_descriptor_is_no_journal() -> None:
    import io

    assert not journal.is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})
