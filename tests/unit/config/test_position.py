# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Lines and columns of what a TOML text says."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable

import pytest
from cm_agent.config.position import KeyPath, Positions
from hypothesis import given
from hypothesis import strategies as st

TEXT = """\
# [policy] = "not this one"
top = 3 # nor = "this"
"quoted key" = 1
[policy]
when = 1979-05-27 07:32:00
map = "a=b"
names = [
    "x", # "y"
    'y',
]
[[policy.rules]]
[[policy.rules]]
devices = ["a"]
[inline]
rules = [{ a = 1 }, { b = [], c.d = 2 }]
"""


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("top",), (2, 1), (2, 7)),
        (("quoted key",), (3, 1), (3, 16)),
        (("policy",), (4, 2), (4, 2)),
        (("policy", "when"), (5, 1), (5, 8)),
        (("policy", "map"), (6, 1), (6, 8)),
        (("policy", "names"), (7, 1), (7, 9)),
        (("policy", "names", 1), None, (9, 6)),
        (("policy", "rules", 0), (11, 3), (11, 3)),
        (("policy", "rules", 1), (12, 3), (12, 3)),
        (("policy", "rules", 1, "devices"), (13, 1), (13, 11)),
        (("inline", "rules", 1), None, (15, 21)),
        (("inline", "rules", 1, "b"), (15, 23), (15, 27)),
        (("inline", "rules", 1, "c", "d"), (15, 31), (15, 37)),
    ],
)
def test_tells_where_a_key_and_its_value_are(
    path: KeyPath, key: tuple[int, int] | None, value: tuple[int, int]
) -> None:
    positions = Positions(TEXT)
    assert key is None or positions.key(path) == key
    assert positions.value(path) == value


def test_what_is_not_there_has_no_place() -> None:
    with pytest.raises(KeyError):
        Positions(TEXT).value(("policy", "rules", 2))


def test_is_told_in_words() -> None:
    assert str(Positions(TEXT).value(("top",))) == "line 2, column 7"


def escaped(character: str) -> str:
    """Write one character in the long way."""
    return f"\\U{ord(character):08x}"


LITERALS: dict[str, Callable[[str], str]] = {
    "basic": json.dumps,
    "escaped": lambda value: f'"{"".join(map(escaped, value))}"',
    "literal": lambda value: f"'{value}'",
    "many lines": lambda value: f'"""\n{value}"""',
    "many lines on Windows": lambda value: f'"""\r\n{value}"""',
    "many literal lines": lambda value: f"'''\n{value}'''",
    "a line for each character": lambda value: '"""{}"""'.format(
        "".join(f"\\\n   {character}" for character in value)
    ),
}


@pytest.mark.parametrize("literal", LITERALS)
@given(value=st.text("ab,=;/*?é", min_size=1, max_size=9), data=st.data())
def test_finds_a_character_in_every_kind_of_string(
    literal: str, value: str, data: st.DataObject
) -> None:
    written = LITERALS[literal](value)
    offset = data.draw(st.integers(0, len(value) - 1))
    text = f"[a]\nmap = {written}\n"
    place = Positions(text).value(("a", "map"), offset)
    rest = "\n".join(text.split("\n")[place.line - 1 :])[place.column - 1 :]
    character = value[offset]
    assert rest.startswith((character, escaped(character), json.dumps(character)[1:-1]))
    closing = written[-3:] if written[-2:] in ('""', "''") else written[-1]
    before = tomllib.loads(text.removesuffix(rest) + closing)
    assert before["a"]["map"] == value[:offset]
