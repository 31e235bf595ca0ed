# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The language of a session: which commands there are, and what a line means."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cm_agent.core.buffer import encode_name
from cm_agent.core.errors import UsageError
from cm_agent.core.size import parse_request, parse_size

MAY_FAIL = "-"


def _chunk(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError(f"{text!r} is not a chunk: use the number that `alloc` printed")
    return int(text)


def _name(text: str) -> str:
    encode_name(text)
    return text


def _seed(text: str) -> int:
    seed = _whole(text)
    if seed is None or not 0 <= seed < 1 << 64:
        raise ValueError(f"{text!r} is not a seed: use a whole number of up to 64 bits")
    return seed


def _offset(text: str) -> int:
    offset = _whole(text)
    if offset is not None and 0 <= offset < 1 << 63:
        return offset
    return parse_size(text)


def _whole(text: str) -> int | None:
    """Read 10, 0x10, 0b10; None for anything else."""
    try:
        return int(text, 0)
    except ValueError:
        return None


_READERS: dict[str, Callable[[str], Any]] = {
    "CHUNK": _chunk,
    "SIZE[/ALIGN]": parse_request,
    "NAME": _name,
    "SEED": _seed,
    "OFFSET": _offset,
    "LENGTH": parse_size,
    "FILE": str,
}


@dataclass(frozen=True, slots=True)
class Verb:
    """What a command does, and the names of its arguments; those in `more` can be left out.

    `at_prompt`: it speaks about sequences, and cannot stand in one.
    """

    what: str
    needs: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    at_prompt: bool = False

    def usage(self, name: str) -> str:
        """Return how it is written."""
        optional = "".join(f" [{argument}" for argument in self.more) + "]" * len(self.more)
        return " ".join((name, *self.needs)) + optional


VERBS = {
    "list": Verb("show the chunks of this session, and what is free"),
    "alloc": Verb("allocate a chunk, as in `alloc 8MiB/1MiB camera`", ("SIZE[/ALIGN]",), ("NAME",)),
    "free": Verb("free its memory now; its descriptor is stale from then on", ("CHUNK",)),
    "close": Verb("close its descriptor, the last one, which frees it", ("CHUNK",)),
    "write": Verb("write the pattern through the user's mapping", ("CHUNK", "SEED")),
    "verify": Verb(
        "read the pattern through the user's mapping; without SEED: is it contiguous?",
        ("CHUNK",),
        ("SEED",),
    ),
    "kernel-write": Verb("write the pattern through the kernel's mapping", ("CHUNK", "SEED")),
    "kernel-verify": Verb("read the pattern through the kernel's mapping", ("CHUNK", "SEED")),
    "dump": Verb("show its bytes, 256 of them or LENGTH", ("CHUNK",), ("OFFSET", "LENGTH")),
    "pin": Verb("fix its place and show the physical address", ("CHUNK",)),
    "unpin": Verb("undo one pin of this session", ("CHUNK",)),
    "info": Verb("show what the kernel knows about it", ("CHUNK",)),
    "compact": Verb("move chunks to make a hole of SIZE, or the largest", (), ("SIZE[/ALIGN]",)),
    "layout": Verb("show where each chunk of the context lies, other users' too"),
    "record": Verb("write all commands so far and from now on to a new file", ("FILE",), (), True),
    "replay": Verb("run the commands of a file until one fails", ("FILE",), (), True),
    "help": Verb("show this list", at_prompt=True),
    "quit": Verb("free all chunks and end", at_prompt=True),
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command with its arguments read; `words` is how they were written."""

    verb: str
    words: tuple[str, ...] = ()
    arguments: tuple[Any, ...] = ()
    may_fail: bool = False

    def __str__(self) -> str:
        """Return a line that parse() reads as this command again."""
        return (MAY_FAIL if self.may_fail else "") + shlex.join((self.verb, *self.words))

    def is_about_chunk(self) -> bool:
        """Return whether its first argument is the number of a chunk."""
        return VERBS[self.verb].needs[:1] == ("CHUNK",)

    def shifted(self, by: int) -> Command:
        """Return the command for the chunk whose number is higher by so much."""
        if not by or not self.is_about_chunk():
            return self
        number = self.arguments[0] + by
        return replace(
            self,
            words=(str(number), *self.words[1:]),
            arguments=(number, *self.arguments[1:]),
        )


def parse(line: str) -> Command | None:
    """Read one line; None when there is nothing on it, or a comment. UsageError says what is wrong.

    `-` before a command means that it may fail.
    """
    text = line.strip()
    try:
        words = shlex.split(text.removeprefix(MAY_FAIL), comments=True)
    except ValueError as error:
        raise UsageError(f"{text!r} cannot be read: {error}") from None
    if not words:
        return None
    verb, *rest = words
    if verb not in VERBS:
        raise UsageError(f"{verb!r} is not a command; `help` lists them")
    return Command(verb, tuple(rest), _arguments(verb, rest), text.startswith(MAY_FAIL))


def parse_sequence(text: str, source: str) -> list[tuple[int, Command]]:
    """Read a recorded sequence: commands with the numbers of their lines.

    UsageError names source and line, before anything has been done.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            command = parse(line)
            if command and VERBS[command.verb].at_prompt:
                raise UsageError(f"{command.verb!r} is for the prompt, not for a sequence")
        except UsageError as error:
            raise UsageError(f"{source}: line {number}: {error}") from None
        if command:
            found.append((number, command))
    return found


def describe() -> str:
    """Return what `help` shows."""
    width = max(len(verb.usage(name)) for name, verb in VERBS.items())
    lines = [f"{verb.usage(name):<{width}}  {verb.what}" for name, verb in VERBS.items()]
    return "\n".join([*lines, "# begins a comment; a command with - before it is allowed to fail."])


def _arguments(name: str, words: list[str]) -> tuple[Any, ...]:
    verb = VERBS[name]
    known = verb.needs + verb.more
    if not len(verb.needs) <= len(words) <= len(known):
        raise UsageError(f"{name!r} is written `{verb.usage(name)}`")
    try:
        return tuple(_READERS[kind](word) for kind, word in zip(known, words, strict=False))
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
