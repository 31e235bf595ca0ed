# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""[[contexts]] and [[quotas]]: what is to be made at boot, and who may have how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cm_agent.config.section import Section
from cm_agent.core.name import check_name
from cm_agent.core.size import parse_size
from cm_agent.core.uapi import BANK_NAME_LEN, QUOTA_ANYBODY, QUOTA_NO_CHUNKS

ANYBODY: Final = "anybody"
CONTEXT_KEYS: Final = ("name", "bank", "offset", "size", "private", "min_alignment")
QUOTA_KEYS: Final = ("context", "user", "size", "chunks")


@dataclass(frozen=True, slots=True)
class ContextEntry:
    """A context that is to be there; sizes in bytes.

    `size` None: the rest of the bank from `offset` on; `min_alignment` None: a page. `where` is the
    place in the configuration, as in `/etc/cm-agent/config.toml: contexts[0]`.
    """

    name: str
    bank: str
    offset: int = 0
    size: int | None = None
    private: bool = False
    min_alignment: int | None = None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class QuotaEntry:
    """How many bytes of a context, in how many chunks, a user may have; None is no limit.

    `user` is a name, a number, or None for each user without a quota of their own. `where` is the
    place in the configuration.
    """

    context: str
    user: str | int | None
    size: int | None = None
    chunks: int | None = None
    where: str = field(default="", compare=False)

    @property
    def whose(self) -> str:
        """What the user is called in the configuration."""
        return ANYBODY if self.user is None else str(self.user)


def read_context(section: Section, source: str) -> ContextEntry:
    """Return the context of one table; errors are noted in the section."""
    section.require("name", "bank")
    return ContextEntry(
        name=section.read("name", _name, ""),
        bank=section.read("bank", _bank, ""),
        offset=section.read("offset", _bytes, 0),
        size=section.read("size", read_size, None),
        private=section.read("private", _flag, False),
        min_alignment=section.read("min_alignment", _alignment, None),
        where=f"{source}: {section.path}",
    )


def read_quota(section: Section, source: str) -> QuotaEntry:
    """Return the quota of one table; errors are noted in the section."""
    section.require("context", "user")
    if "size" not in section and "chunks" not in section:
        section.note("size", "is missing, and chunks, too: write one of them, or both")
    return QuotaEntry(
        context=section.read("context", _name, ""),
        user=section.read("user", _user, None),
        size=section.read("size", _bytes, None),
        chunks=section.read("chunks", _count, None),
        where=f"{source}: {section.path}",
    )


def read_size(value: object) -> int:
    """Return the bytes of a number or of a string such as '1 MiB'; ValueError has the reason."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not a size: write bytes or a string such as '1 MiB'")
    return parse_size(str(value))


def _bytes(value: object) -> int:
    return 0 if value == "0" or (value == 0 and value is not False) else read_size(value)


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string: write the name of a context")
    check_name(value)
    return value


def _bank(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string: write a bank, as in 'camera@70000000'")
    if not 0 < len(value.encode()) < BANK_NAME_LEN or "/" in value or "\0" in value:
        raise ValueError(
            f"{value!r} cannot be a bank: write the name of a node below /reserved-memory, as in "
            "'camera@70000000'"
        )
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _alignment(value: object) -> int:
    size = read_size(value)
    if size & (size - 1):
        raise ValueError(f"{value!r} is not an alignment: use a power of two")
    return size


def _count(value: object) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole and isinstance(value, int) and 0 <= value < QUOTA_NO_CHUNKS):
        raise ValueError(f"{value!r} is not a number of chunks from 0 to {QUOTA_NO_CHUNKS - 1}")
    return value


def _user(value: object) -> str | int | None:
    if value == ANYBODY:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ValueError(f"{value!r} is not a user: write a name, a number or {ANYBODY!r}")
    text = str(value)
    if not (text.isascii() and text.lstrip("-").isdecimal()):
        return text
    if not 0 <= int(text) < QUOTA_ANYBODY:
        raise ValueError(f"{text} is not a number of a user from 0 to {QUOTA_ANYBODY - 1}")
    return int(text)
