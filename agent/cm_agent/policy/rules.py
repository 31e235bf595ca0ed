# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Which device gets its buffers from which contexts, in which order, by type of buffer.

A policy is a list of rules, and the first that matches a device and a type is the one that holds.
It may be written as the `map` attribute of the CMA patch series of 2010, versions 3 to 6
(Documentation/contiguous-memory.txt there; its regions are our contexts):

    map      ::= [ rules [ ';' ] ]          rules    ::= rule [ ';' rules ]
    rule     ::= patterns '=' contexts      patterns ::= pattern [ ',' patterns ]
    contexts ::= CONTEXT [ ',' contexts ]   pattern  ::= DEVICE [ '/' TYPE ] | '/' TYPE

In DEVICE, `?` is any one character, and `*`, at the end only, any rest, also none. A pattern that
begins with `/` is for the device of the pattern before it, in the same rule or an earlier one.
TYPE is matched exactly, and a pattern without one is for every type. Who asks without a type asks
for "common". There are no blanks in a map. A device that no rule matches gets nothing; a last rule
`*=CONTEXT` serves all others.

Nothing here touches a context, so that a policy can be read and tried before there is one. Rules
may name contexts that are not there yet, as the service starts before udev has made the nodes;
cm_agent.policy.allocator finds out at each use, and `cm-agent doctor` reports it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from cm_agent.core.errors import Error
from cm_agent.core.name import check_name

COMMON: Final = "common"
"""The type of a buffer that nobody gave a type."""
_SEPARATORS: Final = ",;=/"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Match devices by name, and one type or, with None, every type; ValueError when broken."""

    device: str
    type: str | None = None

    def __post_init__(self) -> None:
        _check_word("device", self.device)
        if "*" in self.device[:-1]:
            raise ValueError(f"device {self.device!r}: '*' can only be its last character")
        if self.type is not None:
            _check_word("type", self.type)
            if set(self.type) & {"*", "?"}:
                raise ValueError(
                    f"type {self.type!r}: a type has no wildcards; leave it out to match every type"
                )

    def matches(self, device: str, type: str) -> bool:
        """Return whether a buffer of this type for this device is meant."""
        stem = self.device.removesuffix("*")
        head = device[: len(stem)] if self.device.endswith("*") else device
        return (
            len(head) == len(stem)
            and all(mine in ("?", its) for mine, its in zip(stem, head, strict=True))
            and self.type in (None, type)
        )

    def __str__(self) -> str:
        return self.device if self.type is None else f"{self.device}/{self.type}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Name the contexts, in the order to try them, for what one of the patterns matches.

    One context means that one and no other; ValueError when there are no patterns or contexts, or
    a name that no context can have.
    """

    patterns: tuple[Pattern, ...]
    contexts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ValueError("a rule without a pattern matches nothing")
        if not self.contexts:
            raise ValueError("a rule without a context gives nothing")
        for name in self.contexts:
            check_name(name)

    def matches(self, device: str, type: str) -> bool:
        """Return whether one of the patterns matches."""
        return any(pattern.matches(device, type) for pattern in self.patterns)

    def __str__(self) -> str:
        """Return it as a rule of a map."""
        return f"{','.join(map(str, self.patterns))}={','.join(self.contexts)}"


@dataclass(frozen=True, slots=True)
class Policy:
    """Hold the rules in order. str() writes them as a map, which parse() reads to the same."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a map; MapError with the place of the first error."""
        return cls(tuple(_rules(text)))

    def match(self, device: str, type: str = COMMON) -> Rule:
        """Return the first rule that matches; NoRuleError when none does."""
        for rule in self.rules:
            if rule.matches(device, type):
                return rule
        raise NoRuleError(device, type, self.rules)

    def __str__(self) -> str:
        return ";".join(map(str, self.rules))


class NoRuleError(Error, OSError):
    """No rule matches: ENOENT, as in 2010, with the device, the type, and the rules looked at."""

    def __init__(self, device: str, type: str, rules: tuple[Rule, ...]) -> None:
        looked_at = f"looked at {', '.join(map(repr, map(str, rules)))}"
        super().__init__(
            errno.ENOENT,
            f"no rule of the policy matches device {device!r}, type {type!r}: "
            + (looked_at if rules else "there are no rules; write [policy] in the configuration"),
        )
        self.device, self.type, self.rules = device, type, rules


class MapError(Error, ValueError):
    """A map is broken; `offset` counts the characters of it before the error."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"character {offset + 1} of the map: {reason}")
        self.offset, self.reason = offset, reason


def _rules(text: str) -> Iterator[Rule]:
    device: str | None = None
    offset = 0
    for part in text.removesuffix(";").split(";") if text else ():
        rule = _rule(part, offset, device)
        device = rule.patterns[-1].device
        offset += len(part) + 1
        yield rule


def _rule(text: str, offset: int, device: str | None) -> Rule:
    patterns, equals, contexts = text.partition("=")
    if not equals:
        why = f"{text!r} is not a rule: write DEVICE=CONTEXT or DEVICE/TYPE=CONTEXT"
        raise MapError(offset, why)
    found = []
    for begin, word in _words(patterns, offset):
        found.append(_pattern(word, begin, device))
        device = found[-1].device
    names = []
    for begin, word in _words(contexts, offset + len(patterns) + 1):
        try:
            check_name(word)
        except ValueError as error:
            raise MapError(begin, str(error)) from None
        names.append(word)
    return Rule(tuple(found), tuple(names))


def _words(text: str, offset: int) -> Iterator[tuple[int, str]]:
    for word in text.split(","):
        yield offset, word
        offset += len(word) + 1


def _pattern(text: str, offset: int, device: str | None) -> Pattern:
    name, slash, type = text.partition("/")
    if slash and not name:
        if device is None:
            raise MapError(offset, f"{text!r} is for the device of the pattern before it: none is")
        name = device
    try:
        return Pattern(name, type if slash else None)
    except ValueError as error:
        raise MapError(offset, str(error)) from None


def _check_word(what: str, word: str) -> None:
    if not word:
        raise ValueError(f"there is no {what}")
    for character in word:
        if character in _SEPARATORS or character.isspace() or not character.isprintable():
            raise ValueError(f"{what} {word!r}: {character!r} cannot be in it")
