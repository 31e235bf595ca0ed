# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Making what is configured: contexts that are missing, and quotas. Nothing is ever destroyed."""

from __future__ import annotations

import errno
import mmap
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cm_agent.config.contexts import ContextEntry, QuotaEntry
from cm_agent.core.control import Control
from cm_agent.core.errors import RequestError, UsageError, request_error
from cm_agent.core.place import Place
from cm_agent.core.size import format_size

MADE, SET, KEPT, FAILED = "made", "set", "kept", "failed"
"""What was done about an entry."""
_OF_THE_CONFIGURATION: Final = (errno.EINVAL, errno.ENOENT)
"""Errors that the same configuration has again, however often it is tried."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about an entry of the configuration; `error` if it failed.

    The error is a UsageError when the configuration does not fit the board. `uid` is the user of a
    quota, None for anybody, and for a user who does not exist.
    """

    entry: ContextEntry | QuotaEntry
    done: str
    error: RequestError | UsageError | None = None
    uid: int | None = None


class Setup:
    """Make one entry after the other. An entry is made whole or not at all, and errors of one do
    not stop the others.

    `there` are the contexts that there are, `banks` the sizes of the banks; both by name. With
    `dry_run` nothing is changed: what is reported is what would be done, as far as that shows
    without asking the kernel. Synchronization: one thread.
    """

    def __init__(
        self,
        control: Control,
        there: Mapping[str, Place],
        banks: Mapping[str, int | None],
        *,
        dry_run: bool = False,
    ) -> None:
        self._control, self._banks, self._dry_run = control, banks, dry_run
        self._there = dict(there)
        self._planned: set[str] = set()
        self._origin: dict[str | tuple[str, int | None], str] = {}

    def make(self, entry: ContextEntry) -> Outcome:
        """Make a context, unless it is there as it should be."""
        try:
            if place := self._there.get(entry.name):
                self._compare(entry, place)
                done = KEPT
            else:
                self._create(entry)
                done = MADE
        except (UsageError, RequestError) as error:
            return Outcome(entry, FAILED, error)
        self._origin[entry.name] = entry.where
        return Outcome(entry, done)

    def limit(self, entry: QuotaEntry) -> Outcome:
        """Set a quota; `done` says whether it was another one before."""
        uid = None
        try:
            uid = find_user(entry)
            self._claim(entry, uid)
            return Outcome(entry, self._set(entry, uid), uid=uid)
        except (UsageError, RequestError) as error:
            return Outcome(entry, FAILED, error, uid)

    def _compare(self, entry: ContextEntry, place: Place) -> None:
        if found := difference(entry, place, self._banks.get(entry.bank)):
            raise UsageError(
                f"{entry.where}: context {entry.name!r} is there, but with {found}; change the "
                f"configuration, or run `cm-agent destroy {entry.name}` and `cm-agent apply`"
            )

    def _create(self, entry: ContextEntry) -> None:
        if entry.bank not in self._banks:
            raise UsageError(f"{entry.where}.bank: {_no_bank(entry.bank, self._banks)}")
        place = _place_of(entry, self._banks[entry.bank])
        _require_inside(entry, place, self._banks[entry.bank])
        for other in self._there.values():
            if _overlap(place, other):
                raise UsageError(
                    f"{entry.where}: context {entry.name!r} would overlap {self._named(other)}; "
                    "choose another bank, offset or size"
                )
        if self._dry_run:
            self._planned.add(entry.name)
        else:
            self._submit(entry)
        self._there[entry.name] = place

    def _named(self, other: Place) -> str:
        origin = self._origin.get(other.name)
        what = f"context {other.name!r} of {origin}" if origin else f"context {other.name!r}"
        where = f"{format_size(other.size)} from {format_size(other.offset or 0)} on"
        return f"{what}, which has {where}"

    def _submit(self, entry: ContextEntry) -> None:
        try:
            self._control.create(
                entry.name,
                entry.bank,
                offset=entry.offset,
                size=entry.size or 0,
                min_alignment=entry.min_alignment or 0,
                private=entry.private,
            )
        except RequestError as error:
            raise _placed(error, entry.where) from None

    def _claim(self, entry: QuotaEntry, uid: int | None) -> None:
        """A name and a number may be the same user."""
        if first := self._origin.get((entry.context, uid)):
            raise UsageError(f"{entry.where}.user: {first} has the same user: keep one of the two")
        self._origin[entry.context, uid] = entry.where

    def _set(self, entry: QuotaEntry, uid: int | None) -> str:
        """Set it also when it reads the same: that may be what applies to anybody."""
        if entry.context not in self._there:
            raise UsageError(f"{entry.where}.context: {_no_context(entry.context, self._there)}")
        if entry.context in self._planned:
            return SET
        try:
            before = self._control.quota(entry.context, uid)
            if not self._dry_run:
                self._control.set_quota(entry.context, entry.size, uid=uid, chunks=entry.chunks)
        except RequestError as error:
            raise _placed(error, entry.where) from None
        return KEPT if (before.size, before.chunks) == (entry.size, entry.chunks) else SET


def difference(entry: ContextEntry, place: Place, bank_size: int | None) -> str:
    """Return how a context is otherwise than configured, empty if it is as configured.

    What is not known of either is not compared.
    """
    wanted = _place_of(entry, bank_size)
    return ", ".join(
        f"{what} {_shown(have)} instead of {_shown(want)}"
        for what, have, want in (
            ("bank", place.bank, wanted.bank),
            ("offset", place.offset, wanted.offset),
            ("size", place.size, wanted.size or place.size),
            ("kind", _kind(place), _kind(wanted)),
            ("minimum alignment", place.min_alignment, wanted.min_alignment),
        )
        if have != want and have is not None
    )


def find_user(entry: QuotaEntry) -> int | None:
    """Return the number of an entry's user; UsageError: there is no such user."""
    if not isinstance(entry.user, str):
        return entry.user
    try:
        return pwd.getpwnam(entry.user).pw_uid
    except (KeyError, ValueError):
        raise UsageError(
            f"{entry.where}.user: there is no user {entry.user!r}; correct the name, or make the "
            "user and run `cm-agent apply`"
        ) from None


def _place_of(entry: ContextEntry, bank_size: int | None) -> Place:
    """Return where the context will be; its size is 0 if that is the rest of an unknown size."""
    rest = max(0, (bank_size or 0) - entry.offset)
    alignment = max(entry.min_alignment or 0, mmap.PAGESIZE)
    size = rest if entry.size is None else entry.size
    return Place(entry.name, entry.bank, entry.offset, size, entry.private, alignment)


def _require_inside(entry: ContextEntry, place: Place, bank_size: int | None) -> None:
    """The kernel would refuse it, too; a dry run does not ask the kernel."""
    if bank_size is not None and not 0 < place.size <= bank_size - entry.offset:
        raise UsageError(
            f"{entry.where}: {format_size(place.size)} from {format_size(entry.offset)} on end "
            f"beyond bank {entry.bank!r}, which has {format_size(bank_size)}; choose another "
            "offset or size, or make the bank larger"
        )


def _overlap(one: Place, other: Place) -> bool:
    if one.bank != other.bank or one.offset is None or other.offset is None:
        return False
    return one.offset < other.offset + other.size and other.offset < one.offset + one.size


def _kind(place: Place) -> str:
    return "private" if place.private else "shared"


def _shown(value: Any) -> str:
    return format_size(value) if isinstance(value, int) else str(value)


def _no_bank(name: str, banks: Mapping[str, int | None]) -> str:
    if not banks:
        return (
            f"there is no bank {name!r}: the device tree has no reserved memory; apply an overlay "
            "(dts/README.md) and reboot"
        )
    there = ", ".join(sorted(banks))
    return f"there is no bank {name!r}; name one that is there ({there}), or apply its overlay"


def _no_context(name: str, there: Mapping[str, Place]) -> str:
    names = ", ".join(sorted(there)) or "none"
    fix = "name one of them, or add it as [[contexts]]"
    return f"there is no context {name!r}; there are {names}: {fix}"


def _placed(error: RequestError, where: str) -> RequestError | UsageError:
    """Return the kernel's error with the place in the configuration."""
    text = f"{where}: {error.strerror}"
    if error.errno in _OF_THE_CONFIGURATION:
        return UsageError(text)
    return request_error(error.errno, text)
