# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent exec`: what a command is given; chunks are memfds, and nothing is executed."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from cm_agent.cli import main
from cm_agent.core.buffer import Buffer


class Chunks:
    """A context whose chunks are memfds."""

    asked: list[tuple[Any, ...]]
    buffers: list[Buffer]

    def __init__(self, name: str) -> None:
        self.name = name
        Chunks.asked, Chunks.buffers = [], []

    def __enter__(self) -> Chunks:
        return self

    def __exit__(self, *_: object) -> None: ...

    def alloc(
        self, size: int, alignment: int, *, deadline: float | None, name: str | None
    ) -> Buffer:
        """Make a memfd of this size."""
        self.asked.append((self.name, size, alignment, deadline, name))
        fd = os.memfd_create("chunk", os.MFD_CLOEXEC)
        os.ftruncate(fd, size)
        self.buffers.append(Buffer(fd, size, 1, self.name))
        return self.buffers[-1]


class Executed(Exception):
    """That a command would run now."""


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Return what is known of the command, once it would run."""
    seen: dict[str, Any] = {}

    def execvpe(file: str, words: list[str], environment: dict[str, str]) -> None:
        inheritable = [os.get_inheritable(it.fd) for it in Chunks.buffers]
        seen.update(file=file, words=words, inheritable=inheritable, **environment)
        raise seen.get("failure", Executed())

    monkeypatch.setattr("cm_agent.cli.exec.Context", Chunks)
    monkeypatch.setattr("cm_agent.cli.exec._COMM", tmp_path / "comm")
    monkeypatch.setattr("cm_agent.cli.exec.os.execvpe", execvpe)
    monkeypatch.setattr(
        "cm_agent.cli.exec.signal.signal", lambda number, action: seen.update({number.name: action})
    )
    return seen


def run(line: str) -> None:
    with pytest.raises(Executed):
        main(line.split())


def test_a_command_has_the_descriptors_and_knows_them(executed: dict[str, Any]) -> None:
    line = "exec --context left --alloc 8MiB/1MiB,name=frames --alloc 64KiB --deadline 2"
    run(f"{line} -- tool -v --json -- x")
    assert Chunks.asked == [
        ("left", 8 << 20, 1 << 20, 2.0, "frames"),
        ("left", 64 << 10, 0, 2.0, None),
    ]
    listed = [it.split(":") for it in executed["CM_FDS"].split(",")]
    assert [(name, size) for name, _, size in listed] == [("frames", "8388608"), ("2", "65536")]
    assert executed["inheritable"] == [True, True]
    assert executed["words"] == ["tool", "-v", "--json", "--", "x"]


def test_a_command_has_the_rest_of_the_environment(
    executed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "yes")
    run("exec --context left --alloc 4KiB -- tool")
    assert executed["KEPT"] == "yes"


def test_a_command_does_not_inherit_that_python_ignores_signals(executed: dict[str, Any]) -> None:
    run("exec --context left --alloc 4KiB -- tool")
    assert (executed["SIGPIPE"], executed["SIGXFSZ"]) == (signal.SIG_DFL, signal.SIG_DFL)


def test_chunks_are_asked_for_in_the_name_of_the_command(
    executed: dict[str, Any], tmp_path: Path
) -> None:
    run("exec --context left --alloc 4KiB -- /opt/a-tool-with-a-long-name")
    assert (tmp_path / "comm").read_bytes() == b"a-tool-with-a-l"


def test_the_only_context_is_the_default(executed: dict[str, Any], nodes: Path) -> None:
    nodes.mkdir()
    (nodes / "right").touch()
    run("exec --alloc 4KiB -- tool")
    assert Chunks.asked[0][0] == "right"


@pytest.mark.parametrize(
    ("number", "code", "sentence"),
    [
        (errno.ENOENT, 2, "there is no command 'tool'"),
        (errno.EACCES, 1, "command 'tool' cannot be run: Permission denied"),
    ],
)
def test_a_command_that_cannot_run_leaves_no_chunk(
    executed: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: int,
    sentence: str,
) -> None:
    executed["failure"] = OSError(number, os.strerror(number))
    line = "exec --context left --alloc 4KiB -- tool --json"
    assert main(line.split()) == code
    assert capsys.readouterr().err == f"cm-agent exec: {sentence}\n"
    assert not any(Chunks.buffers)
