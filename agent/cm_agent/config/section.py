# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A section of the configuration, a TOML table: read to the end, every error noted."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from cm_agent.config.position import KeyPath, Positions
from cm_agent.policy.rules import MapError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a path: with its key, or with its value from character `offset` on."""

    path: KeyPath
    reason: str
    offset: int | None = None

    def describe(self, positions: Positions) -> str:
        """Return it as `line 1, column 1: key: reason`."""
        if self.offset is None:
            place = positions.key(self.path)
        else:
            place = positions.value(self.path, self.offset)
        return f"{place}: {_dotted(self.path)}: {self.reason}"


class Section:
    """Read one table. Whatever is wrong is added to `problems`, and a default is read instead."""

    def __init__(
        self,
        values: Mapping[str, object],
        path: KeyPath,
        known: tuple[str, ...],
        problems: list[Problem],
    ) -> None:
        self._values, self._path, self._problems = values, path, problems
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
                self.note(f"unknown key; {hint}", key)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def note(self, reason: str, *path: str | int, offset: int | None = None) -> None:
        """Note an error at a path that begins here."""
        self._problems.append(Problem((*self._path, *path), reason, offset))

    def section(self, key: str, known: tuple[str, ...]) -> Section:
        """Return a table in this one, which may know these keys; an empty one without it."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            self.note(f"must be a table: write [{_dotted((*self._path, key))}]", key)
            value = {}
        return Section(value, (*self._path, key), known, self._problems)

    def sections(self, key: str, known: tuple[str, ...]) -> list[Section]:
        """Return an array of tables in this one; an empty list without it."""
        values = self._values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.note(f"must be tables: write [[{_dotted((*self._path, key))}]]", key)
            values = []
        return [
            Section(value, (*self._path, key, number), known, self._problems)
            for number, value in enumerate(values)
        ]

    def read(self, key: str, check: Callable[[object], _T], default: _T) -> _T:
        """Return what `check` makes of a value; its ValueError is an error."""
        if key not in self._values:
            return default
        try:
            return check(self._values[key])
        except MapError as error:
            self.note(error.reason, key, offset=error.offset)
        except ValueError as error:
            self.note(str(error), key, offset=0)
        return default

    def words(self, key: str, check: Callable[[str], object]) -> list[str]:
        """Return a list of strings that must be there; a ValueError of `check` is an error."""
        if key not in self._values:
            self.note(f"{key} is missing")
            return []
        value = self._values[key]
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.note(f"{value!r} is not a list of strings", key, offset=0)
            return []
        if not value:
            self.note("is empty", key, offset=0)
        for number, word in enumerate(value):
            try:
                check(word)
            except ValueError as error:
                self.note(str(error), key, number, offset=0)
        return value


def _dotted(path: KeyPath) -> str:
    return ".".join(step for step in path if isinstance(step, str))
