# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Where in a TOML text something is written, so that an error in it can name line and column.

tomllib reports no positions but those of syntax errors. It is asked all the same: what a text cut
off behind one of its tokens already has, and what it had not one token earlier, is written there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys, and numbers in arrays, from the top of the document down."""

_TOKEN: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})|"(?:[^"\\]|\\.)*"'
    r"|'''.*?'''(?:'{0,2})|'[^']*'"
    r"|[\[\]{}=,]|\#[^\n]*|[^\s\[\]{}=,\#\"']+",
    re.DOTALL,
)
_CLOSING: Final = {"[": "]", "{": "}"}
_OPENING: Final = re.compile(r"""\A(?:(?:\"{3}|'{3})(?:\r?\n)?|["'])""")
"""A line end right behind three quotes is not part of the value."""
_CHARACTER: Final = {
    '"': re.compile(
        r"(?P<none>\\[ \t]*\r?\n\s*)|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\.|.", re.DOTALL
    ),
    "'": re.compile(r"(?P<none>(?!))|.", re.DOTALL),
}
"""How a string, by its quote, writes one character of its value, or none."""


class Position(NamedTuple):
    """A place in a text; both count from 1, the column in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class Positions:
    """Find what a valid TOML text says; costs a parse a token, so keep it for errors."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_TOKEN.finditer(text))

    def key(self, path: KeyPath) -> Position:
        """Return where the last key of a path is written; KeyError when the text has no such."""
        number = self._number(path)
        if number > 1 and self._tokens[number - 1][0] == "=":
            number -= 2
        return self._position(self._tokens[number].start())

    def value(self, path: KeyPath, offset: int = 0) -> Position:
        """Return where the value at a path begins or, of a string, has character `offset`.

        A table begins where its name is written in a header, or at its brace.
        """
        token = self._tokens[self._number(path)]
        inside = _inside(token[0], offset) if token[0][0] in _CHARACTER else 0
        return self._position(token.start() + inside)

    def _number(self, path: KeyPath) -> int:
        for number, document in self._documents():
            if _has(document, path):
                return number
        raise KeyError(path)

    def _documents(self) -> Iterator[tuple[int, object]]:
        """Yield what the text says up to the end of each token, where it says something whole."""
        open_brackets: list[str] = []
        for number, token in enumerate(self._tokens):
            if token[0] in _CLOSING:
                open_brackets.append(_CLOSING[token[0]])
            elif token[0] in _CLOSING.values():
                open_brackets.pop()
            try:
                document = tomllib.loads(
                    self._text[: token.end()] + "".join(reversed(open_brackets))
                )
            except tomllib.TOMLDecodeError:
                continue
            yield number, document

    def _position(self, index: int) -> Position:
        before = self._text[:index]
        return Position(before.count("\n") + 1, index - before.rfind("\n"))


def _has(document: Any, path: KeyPath) -> bool:
    try:
        for step in path:
            document = document[step]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _inside(literal: str, offset: int) -> int:
    """Return where in a string as written the value's character `offset` is."""
    begin = len(literal) - len(_OPENING.sub("", literal))
    written = _CHARACTER[literal[0]].finditer(literal, begin)
    return [match.start() for match in written if match["none"] is None][offset]
