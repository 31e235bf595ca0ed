# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A section of the configuration, a TOML table: read to the end, what is wrong noted by its path.

Not by cattrs: it reads "abc" as a list of three strings and 1 as "1", explains a wrong type by the
interpreter's exception, and has an error's path (22.2, in Debian 12) only in prose, so that it
would take more code than this to get the errors below out of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

_T = TypeVar("_T")


class Section:
    """Read one table. Whatever is wrong is added to `problems`, and a default is read instead.

    Each problem is `policy.rules[2].contexts: reason`; arrays count from 0.
    """

    def __init__(
        self,
        table: Mapping[str, object],
        path: str,
        known: tuple[str, ...],
        problems: list[str],
    ) -> None:
        self._table, self._path, self._problems = table, path, problems
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
                self.note(key, f"unknown key; {hint}")

    @property
    def path(self) -> str:
        """Where the table is, as in `policy.rules[2]`; empty for the whole document."""
        return self._path

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def note(self, key: str, reason: str) -> None:
        """Note an error of a key, which may be missing, or of its value."""
        self._problems.append(f"{self._under(key)}: {reason}")

    def section(self, key: str, known: tuple[str, ...]) -> Section:
        """Return a table in this one, which may know these keys; an empty one without it."""
        value = self._table.get(key, {})
        if not isinstance(value, dict):
            self.note(key, f"{value!r} is not a table: write [{self._under(key)}]")
            value = {}
        return Section(value, self._under(key), known, self._problems)

    def sections(self, key: str, known: tuple[str, ...]) -> list[Section]:
        """Return an array of tables in this one; an empty list without it."""
        values = self._table.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.note(key, f"{values!r} is not a list of tables: write [[{self._under(key)}]]")
            values = []
        return [
            Section(value, f"{self._under(key)}[{number}]", known, self._problems)
            for number, value in enumerate(values)
        ]

    def read(self, key: str, check: Callable[[object], _T], default: _T) -> _T:
        """Return what `check` makes of a value; its ValueError is an error."""
        if key not in self._table:
            return default
        try:
            return check(self._table[key])
        except ValueError as error:
            self.note(key, str(error))
            return default

    def require(self, *keys: str) -> None:
        """Note each of these keys that is missing."""
        for key in keys:
            if key not in self._table:
                self.note(key, "is missing")

    def _under(self, key: str) -> str:
        name = key if re.fullmatch(r"[\w-]+", key, re.ASCII) else repr(key)
        return f"{self._path}.{name}" if self._path else name
