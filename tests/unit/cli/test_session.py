# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A session's numbers, the order of a replay, and how a prompt ends; of a context that is data."""

from __future__ import annotations

import errno
import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cm_agent.cli.shell.command import parse
from cm_agent.cli.shell.prompt import converse
from cm_agent.cli.shell.session import Session
from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError, CommandError, UsageError
from cm_agent.core.reports import LayoutEntry
from cm_agent.core.uapi import Reason
from unit.exporter.context_data import DataContext

MIB = 1 << 20


class DataBuffer:
    """A buffer without bytes."""

    def __init__(self, id: int, size: int) -> None:
        self.id, self.size, self.closed = id, size, False

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class Bench(DataContext):
    """A context that notes what it is asked for, and has no chunk above 16 MiB."""

    def __init__(self) -> None:
        super().__init__("left")
        self.name = "left"
        self.asked: list[str] = []
        self.buffers: list[DataBuffer] = []

    def alloc(self, size: int, alignment: int, *, deadline: Any, name: str | None) -> DataBuffer:
        """Make a buffer; ids begin at 100."""
        self.asked.append(f"alloc {size // MIB}")
        if size > 16 * MIB:
            raise AllocationError(
                errno.ENOMEM,
                context="left",
                size=size,
                alignment=alignment,
                reason=Reason.FULL,
                free=16 * MIB,
                largest_hole=16 * MIB,
            )
        self.buffers.append(DataBuffer(100 + len(self.buffers), size))
        return self.buffers[-1]

    def info(self, buffer: DataBuffer) -> Any:
        """Tell the alignment."""
        return SimpleNamespace(alignment=4096)

    def layout(self) -> list[LayoutEntry]:
        """Return a chunk of the caller's, and one of somebody else's, which is pinned."""
        mine = LayoutEntry(
            100, MIB, 4096, 0, 0, 0, 0, 42, "python3", "camera", 0, False, False, False
        )
        other = replace(mine, id=200, uid=1000, pid=0, comm="", name="", offset=2 * MIB)
        return [mine, replace(other, immovable=True, hidden=True)]

    def free(self, buffer: DataBuffer) -> None:
        """Note it; the second chunk is busy, the fourth one somebody else's."""
        self.asked.append(f"free {buffer.id}")
        if buffer.id == 103:
            raise OSError(errno.EPERM, "context 'left' did not free it: not permitted")
        if buffer.id == 101:
            raise OSError(errno.EBUSY, f"context 'left' did not free {buffer!r}: busy")


@pytest.fixture
def bench() -> Bench:
    return Bench()


class Scene:
    """A session on a bench, and what it showed."""

    def __init__(self, bench: Bench) -> None:
        self.shown: list[str] = []
        self.session = Session(cast(Context, bench), show=self.shown.append)

    def run(self, *lines: str) -> None:
        """Do lines, as at the prompt."""
        for line in lines:
            command = parse(line)
            assert command
            self.session.run(command)


@pytest.fixture
def scene(bench: Bench) -> Scene:
    return Scene(bench)


def test_chunks_have_numbers_of_the_session_beside_the_kernels(scene: Scene) -> None:
    scene.run("alloc 1MiB", "alloc 2MiB camera", "list")
    assert scene.shown[:2] == [
        "chunk 1 (id 100): 1 MiB, aligned to 4 KiB",
        "chunk 2 (id 101): 2 MiB, aligned to 4 KiB",
    ]
    assert [line.split() for line in scene.shown[3:5]] == [
        ["1", "100", "1", "MiB", "0"],
        ["2", "101", "2", "MiB", "0", "camera"],
    ]
    assert scene.shown[5] == "free: 10 MiB, largest hole 9 MiB"


def test_an_alloc_that_fails_takes_a_number_too(scene: Scene) -> None:
    with pytest.raises(CommandError, match=r"allocation of 17 MiB failed: FULL; 16 MiB free"):
        scene.run("alloc 17MiB")
    scene.run("alloc 1MiB")
    assert scene.shown == ["chunk 2 (id 100): 1 MiB, aligned to 4 KiB"]


def test_a_chunk_that_is_not_there_is_answered_with_those_there_are(scene: Scene) -> None:
    with pytest.raises(CommandError, match=r"no chunk 1 \(there: none, use `alloc`\)"):
        scene.run("free 1")
    scene.run("alloc 1MiB", "alloc 1MiB", "close 1")
    with pytest.raises(CommandError, match=r"no chunk 1 \(there: 2 \(id 101\)\)"):
        scene.run("info 1")


def test_a_failure_names_the_chunk_and_what_to_do(scene: Scene) -> None:
    scene.run("alloc 1MiB", "alloc 1MiB")
    sentence = r"^chunk 2 \(id 101\): context 'left' did not free it: busy; `unpin` it, or stop"
    with pytest.raises(CommandError, match=sentence):
        scene.run("free 2")


def test_a_chunk_of_another_user_is_left_to_them_and_to_root(scene: Scene) -> None:
    scene.run(*["alloc 1MiB"] * 4)
    with pytest.raises(CommandError, match=r"not permitted; it was allocated by another user: "):
        scene.run("free 4")


def test_the_layout_has_the_user_where_the_process_is_hidden(scene: Scene) -> None:
    scene.run("alloc 1MiB", "layout")
    assert [line.split() for line in scene.shown[-4:]] == [
        ["0x0", "1", "MiB", "1", "100", "python3[42]", "camera"],
        ["0x100000", "1", "MiB", "free"],
        ["0x200000", "1", "MiB", "200", "immovable", "user", "1000"],
        ["0x300000", "13", "MiB", "free"],
    ]


@pytest.mark.parametrize("line", ["write 1 7", "verify 1", "verify 1 7", "dump 1"])
def test_nobody_touches_freed_memory(scene: Scene, line: str) -> None:
    scene.run("alloc 1MiB", "free 1")
    with pytest.raises(CommandError, match=r"no memory to look at: it was freed; .*`close` it"):
        scene.run(line)


def test_all_chunks_are_closed_at_the_end(scene: Scene, bench: Bench) -> None:
    scene.run("alloc 1MiB", "alloc 1MiB", "free 1")
    scene.session.close()
    assert [buffer.closed for buffer in bench.buffers] == [True, True]


def test_a_recording_is_replayed_in_order(scene: Scene, bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "file"
    scene.run("alloc 1MiB", f"record {file}", "alloc 2MiB camera", "free 1", "help")
    with pytest.raises(CommandError):
        scene.run("alloc 17MiB")
    scene.run("-free 2", "alloc 3MiB", "close 4")
    scene.session.close()
    other = Bench()
    again = Scene(other)
    again.session.replay(file.read_text(), "file")
    assert other.asked == bench.asked
    assert again.shown[-1] == "file: all 7 commands done"
    assert file.read_text().splitlines() == [
        "# cm-agent shell left --replay FILE",
        "alloc 1MiB  # chunk 1",
        "alloc 2MiB camera  # chunk 2",
        "free 1",
        "-alloc 17MiB  # chunk 3",
        "-free 2",
        "alloc 3MiB  # chunk 4",
        "close 4",
    ]


def test_a_replay_stops_at_the_first_command_that_fails(scene: Scene, bench: Bench) -> None:
    text = "alloc 1MiB\n\nalloc 2MiB\n-free 2\nfree 2\nalloc 3MiB\n"
    with pytest.raises(CommandError, match=r"^file: line 5: free 2: chunk 2 \(id 101\): .* busy"):
        scene.session.replay(text, "file")
    assert bench.asked == ["alloc 1", "alloc 2", "free 101", "free 101"]
    assert any(line.startswith("failed, which it may: chunk 2 (id 101): ") for line in scene.shown)


def test_a_replay_that_cannot_be_read_does_nothing(scene: Scene, bench: Bench) -> None:
    with pytest.raises(UsageError, match="file: line 2"):
        scene.session.replay("alloc 1MiB\nfree\n", "file")
    assert bench.asked == []


def test_the_chunks_of_a_replay_count_from_those_there_are(
    scene: Scene, bench: Bench, tmp_path: Path
) -> None:
    scene.run("alloc 1MiB", "alloc 1MiB")
    scene.session.replay("alloc 4MiB\nfree 1\n", "file")
    scene.run(f"record {tmp_path / 'all'}")
    scene.session.close()
    assert bench.asked[-2:] == ["alloc 4", "free 102"]
    assert (tmp_path / "all").read_text().splitlines()[-2:] == ["alloc 4MiB  # chunk 3", "free 3"]


def test_a_sequence_may_begin_with_a_byte_order_mark(
    scene: Scene, bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfalloc 1MiB\n")
    scene.run(f"replay {tmp_path / 'file'}")
    assert bench.asked == ["alloc 1"]


@pytest.mark.parametrize("kind", ["absent", "folder", "bytes"])
def test_a_sequence_that_is_none_is_named(scene: Scene, tmp_path: Path, kind: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=f"{kind} (cannot be read|is not a sequence): "):
        scene.run(f"replay {tmp_path / kind}")


# -- the prompt


class Terminal(io.StringIO):
    """Text that claims to be typed."""

    def isatty(self) -> bool:
        return True


def typed(monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO, scene: Scene) -> int:
    """Converse with what stdin has."""
    monkeypatch.setattr("sys.stdin", stdin)
    return converse(scene.session, "left")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 0),
        ("alloc 1MiB\nlist\n", 0),
        ("alloc 17MiB\nalloc 1MiB\n", 1),
        ("alloc\nalloc 17MiB\nalloc 1MiB", 2),
        ("quit\nalloc 17MiB\n", 0),
        ("-alloc 17MiB\n", 0),
    ],
)
def test_a_program_gets_the_worst_exit_code_at_the_end(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, text: str, code: int
) -> None:
    assert typed(monkeypatch, io.StringIO(text), scene) == code


def test_a_session_goes_on_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, io.StringIO("aloc 1MiB\nalloc 17MiB\nalloc 1MiB\n"), scene)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "'aloc' is not a command; `help` lists them"
    assert second.startswith("context 'left': allocation of 17 MiB failed: FULL;")
    assert scene.shown == ["chunk 2 (id 100): 1 MiB, aligned to 4 KiB"]


def test_a_person_is_prompted_and_leaves_with_0(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, Terminal("free 1\n"), scene) == 0
    assert capsys.readouterr().out == "left> left> \n"


def test_ctrl_c_ends_it(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    assert typed(monkeypatch, Terminal(), scene) == 0
    assert capsys.readouterr().out == "\n"
