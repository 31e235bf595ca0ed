# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A session at the bench: chunks of one context, by small numbers, and what can be done to them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from cm_agent.cli import _table as table
from cm_agent.cli._places import Place, describe_offset, describe_state, places
from cm_agent.cli.shell import hexdump
from cm_agent.cli.shell.command import VERBS, Command, describe, parse_sequence
from cm_agent.cli.shell.recording import Recording
from cm_agent.contiguity import pattern
from cm_agent.contiguity.verification import Verdict, verify
from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.core.errors import CommandError, UsageError
from cm_agent.core.reports import LayoutEntry, PatternResult
from cm_agent.core.size import format_size

_DUMPED = 256

# What to do about it.
_FIX = {
    ("free", errno.EPERM): "it was allocated by another user: only they and root may free it",
    ("free", errno.EBUSY): "`unpin` it, or stop the driver that has imported it",
    ("pin", errno.EPERM): "run as root, or with CAP_SYS_RAWIO",
    ("unpin", errno.ENOENT): "this session holds no pin on it",
    ("alloc", errno.EMFILE): "`close` chunks, or raise `ulimit -n`",
}
_FREED = "it was freed; all that is left is to `close` it"


@dataclass(slots=True)
class Chunk:
    """A chunk of a session: `pins` are the session's, `freed` means that it is but a descriptor."""

    number: int
    buffer: Buffer
    name: str
    pins: int = 0
    freed: bool = False

    def __str__(self) -> str:
        return f"chunk {self.number}"

    def both(self) -> str:
        """Return its number here and the kernel's id, which errors of the context have."""
        return f"{self.number} (id {self.buffer.id})"


class Session:
    """Do commands with chunks of a context, and free those chunks in the end.

    Every `alloc` takes the next number, also one that fails, so that the numbers in a recorded
    sequence hold wherever it is replayed. The context stays the caller's; pins go with it.

    Synchronization: external synchronization is required.
    """

    def __init__(
        self,
        context: Context,
        *,
        deadline: float | None = None,
        show: Callable[[str], None] = print,
    ) -> None:
        self._context, self._deadline, self._show = context, deadline, show
        self._chunks: dict[int, Chunk] = {}
        self._last = 0
        self._recording = Recording(f"cm-agent shell {context.name} --replay FILE")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free all chunks and end the recording."""
        while self._chunks:
            self._chunks.popitem()[1].buffer.close()
        self._recording.close()

    def run(self, command: Command) -> None:
        """Do one command and show its result.

        CommandError or UsageError have what failed; the session can go on.
        """
        if VERBS[command.verb].at_prompt:
            self._do(command)
            return
        try:
            self._do(command)
        except CommandError as error:
            self._recording.failed()
            if not command.may_fail:
                raise
            self._show(f"failed, which it may: {error}")

    def replay(self, text: str, source: str) -> None:
        """Do the commands of a recorded sequence until one fails; its chunks count from here on.

        The error names source and line. Nothing is done when a line cannot be read.
        """
        commands, before = parse_sequence(text, source), self._last
        for line, written in commands:
            command = written.shifted(before)
            self._show(f"{self._context.name}> {command}")
            try:
                self.run(command)
            except CommandError as error:
                raise CommandError(f"{source}: line {line}: {written}: {error}") from None
        self._show(f"{source}: all {len(commands)} commands done")

    def record(self, path: str) -> None:
        """Write all commands from now on to a new file; OSError when it cannot be made."""
        self._recording.open(path)

    def _do(self, command: Command) -> None:
        action = getattr(self, f"_{command.verb.replace('-', '_')}")
        chunk = self._chunks.get(command.arguments[0]) if command.is_about_chunk() else None
        self._record_begin(command)
        try:
            action(*command.arguments)
        except OSError as error:
            raise CommandError(_sentence(command.verb, chunk, error)) from None

    def _record_begin(self, command: Command) -> None:
        if not VERBS[command.verb].at_prompt:
            note = f"chunk {self._last + 1}" if command.verb == "alloc" else ""
            self._recording.begin(command, note)

    # -- the commands, each with the arguments that its Verb names

    def _list(self) -> None:
        if self._chunks:
            rows = [("CHUNK", "ID", "SIZE", "PINS", "STATE", "NAME"), *map(_row, self._all())]
            self._show_lines(table.lines(rows, ">>>><<"))
        else:
            self._show("this session has no chunks")
        self._show_free()

    def _alloc(self, request: tuple[int, int], name: str | None = None) -> None:
        self._last += 1
        buffer = self._context.alloc(*request, deadline=self._deadline, name=name)
        chunk = self._chunks[self._last] = Chunk(self._last, buffer, name or "")
        size, aligned = buffer.size, self._context.info(buffer).alignment
        self._show(f"chunk {chunk.both()}: {format_size(size)}, aligned to {format_size(aligned)}")

    def _free(self, number: int) -> None:
        chunk = self._chunk(number)
        self._context.free(chunk.buffer)
        chunk.freed = True
        self._show(f"{chunk} is freed; its descriptor is stale")
        self._show_free()

    def _close(self, number: int) -> None:
        chunk = self._chunk(number)
        chunk.buffer.close()
        del self._chunks[number]
        pinned = f"; its memory stays until the session ends (pins: {chunk.pins})"
        self._show(f"{chunk} is closed{pinned if chunk.pins else ''}")
        self._show_free()

    def _write(self, number: int, seed: int) -> None:
        chunk = self._mapped(number)
        with chunk.buffer.cpu_access("w") as view:
            pattern.fill(view, seed)
        self._show(f"{chunk}: the user wrote {format_size(chunk.buffer.size)} with seed {seed:#x}")

    def _verify(self, number: int, seed: int | None = None) -> None:
        chunk = self._mapped(number)
        if seed is None:
            self._witness(chunk)
            return
        with chunk.buffer.cpu_access("r") as view:
            result = pattern.check(view, seed)
        self._read(chunk, "user", result, seed)

    def _kernel_write(self, number: int, seed: int) -> None:
        chunk = self._chunk(number)
        result = self._context.pattern_fill(chunk.buffer, seed)
        self._check(chunk, "kernel", result, seed)
        self._show(f"{chunk}: the kernel wrote {format_size(result.size)} with seed {seed:#x}")

    def _kernel_verify(self, number: int, seed: int) -> None:
        chunk = self._chunk(number)
        self._read(chunk, "kernel", self._context.pattern_check(chunk.buffer, seed), seed)

    def _dump(self, number: int, offset: int = 0, length: int = _DUMPED) -> None:
        chunk = self._mapped(number)
        size = chunk.buffer.size
        if offset >= size:
            raise CommandError(f"{chunk} has {size:#x} bytes, so there is none at {offset:#x}")
        with chunk.buffer.cpu_access("r") as view, view[offset : offset + length] as part:
            self._show_lines(hexdump.lines(part, offset))

    def _pin(self, number: int) -> None:
        chunk = self._chunk(number)
        pin = self._context.pin(chunk.buffer)
        chunk.pins += 1
        self._show(f"{chunk} is pinned at {pin.address:#x}, {format_size(pin.size)} from there on")

    def _unpin(self, number: int) -> None:
        chunk = self._chunk(number)
        self._context.unpin(chunk.buffer)
        chunk.pins -= 1
        self._show(f"{chunk} is unpinned (pins: {chunk.pins})")

    def _info(self, number: int) -> None:
        known = asdict(self._context.info(self._chunk(number).buffer))
        self._show_lines(f"{key:<9}  {value}" for key, value in known.items())

    def _compact(self, request: tuple[int, int] = (0, 0)) -> None:
        done = self._context.compact(*request, deadline=self._deadline)
        self._show(f"chunks moved: {done.moves}, copied: {format_size(done.moved_bytes)}")
        self._show_free()

    def _layout(self) -> None:
        rows = [("OFFSET", "SIZE", "CHUNK", "ID", "STATE", "OF", "NAME"), *self._layout_rows()]
        self._show_lines(table.lines(rows, ">>>><<<"))

    # -- the commands of the prompt

    def _record(self, path: str) -> None:
        self.record(path)
        self._show(f"recording to {path!r}")

    def _replay(self, path: str) -> None:
        self.replay(read_sequence(path), path)

    def _help(self) -> None:
        self._show(describe())

    # -- what they have in common

    def _all(self) -> list[Chunk]:
        return [self._chunks[number] for number in sorted(self._chunks)]

    def _chunk(self, number: int) -> Chunk:
        if chunk := self._chunks.get(number):
            return chunk
        there = ", ".join(chunk.both() for chunk in self._all()) or "none, use `alloc`"
        raise CommandError(f"this session has no chunk {number} (there: {there})")

    def _mapped(self, number: int) -> Chunk:
        """Return a chunk whose memory can be touched; that of a freed one would be a SIGBUS."""
        chunk = self._chunk(number)
        if chunk.freed:
            raise CommandError(f"{chunk} has no memory to look at: {_FREED}")
        return chunk

    def _witness(self, chunk: Chunk) -> None:
        found = verify(chunk.buffer, self._context)
        self._show(found.describe())
        if not found.agree:
            raise CommandError(
                f"{chunk}: THE WITNESSES DISAGREE. Do not use it for DMA; please report this with "
                "the lines above and the kernel log"
            )
        if found.verdict is not Verdict.CONTIGUOUS:
            raise CommandError(f"{chunk} is {found.verdict}, not CONTIGUOUS; see the lines above")

    def _read(self, chunk: Chunk, reader: str, result: PatternResult, seed: int) -> None:
        self._check(chunk, reader, result, seed)
        size = format_size(result.size)
        self._show(f"{chunk}: all {size} hold the pattern of seed {seed:#x}, reads the {reader}")

    def _check(self, chunk: Chunk, reader: str, result: PatternResult, seed: int) -> None:
        if not result:
            at = result.matched
            raise CommandError(
                f"{chunk}: at byte {at:#x} of {result.size:#x} the {reader} reads "
                f"{result.actual:#x} instead of {result.expected:#x}, the pattern of seed "
                f"{seed:#x}; look at it with `dump {chunk.number} {at:#x}`"
            )

    def _layout_rows(self) -> Iterator[tuple[str, ...]]:
        """Yield a row for each chunk in the context, all users', and for each hole.

        Without CAP_SYS_RAWIO the kernel does not report offsets, and so there are no holes.
        """
        numbers = {chunk.buffer.id: str(chunk.number) for chunk in self._all()}
        entries = self._context.layout()
        found = places(entries, self._context.query().size)
        if found is None:
            yield from (_place(entry, numbers.get(entry.id, "")) for entry in entries)
            return
        for it in found:
            yield _place(it.chunk, numbers.get(it.chunk.id, "")) if it.chunk else _hole(it)

    def _show_free(self) -> None:
        state = self._context.query()
        hole = format_size(state.largest_hole)
        self._show(f"free: {format_size(state.free)}, largest hole {hole}")

    def _show_lines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self._show(line)


def read_sequence(path: str) -> str:
    """Return the text of a recorded sequence; UsageError when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a sequence: it is not text in UTF-8") from None


def _row(chunk: Chunk) -> tuple[str, ...]:
    state = "freed" if chunk.freed else ""
    size = format_size(chunk.buffer.size)
    return (str(chunk.number), str(chunk.buffer.id), size, str(chunk.pins), state, chunk.name)


def _place(entry: LayoutEntry, number: str) -> tuple[str, ...]:
    owner = f"user {entry.uid}" if entry.hidden else f"{entry.comm}[{entry.pid}]"
    where, state = describe_offset(entry.offset), describe_state(entry)
    size = format_size(entry.size)
    return (where, size, number, str(entry.id), state, owner, entry.name)


def _hole(place: Place) -> tuple[str, ...]:
    size = format_size(place.end - place.start)
    return (describe_offset(place.start), size, "", "", "free", "", "")


def _sentence(verb: str, chunk: Chunk | None, error: OSError) -> str:
    """Return what failed, with which chunk of the session, and what to do."""
    text = error.strerror or str(error)
    if chunk:
        text = f"chunk {chunk.both()}: {text.replace(repr(chunk.buffer), 'it')}"
    fix = _FREED if error.errno == errno.ESTALE else _FIX.get((verb, error.errno or 0))
    return text + (f"; {fix}" if fix else "")
