# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What goes wrong, with the numbers and what to do about it."""

from __future__ import annotations

import os

from cm_agent.core.size import format_size
from cm_agent.core.uapi import QUOTA_NO_CHUNKS, QUOTA_NONE, Reason

_MAX_CHUNKS = "the module's limit (/sys/module/cm/parameters/max_chunks)"
_FIX = {
    Reason.FULL: "free chunks of it, or make the context's bank larger",
    Reason.FRAGMENTED: "free chunks that lie between its holes, or ask for less",
    Reason.BUSY: "try again later, or use a private context, whose pages nobody else has",
    Reason.DEADLINE: "allow a longer deadline, or use a private context",
    Reason.NO_MEMORY: "free memory of the system; the pages in the way have nowhere to go",
    Reason.QUOTA: "free chunks of yours, or have root raise the quota (cm-agent quota)",
    Reason.CHUNKS: "free chunks of yours, or have root raise your limit (cm-agent quota --chunks) "
    f"or {_MAX_CHUNKS}",
    Reason.INVALID: "size must be at least 1 and alignment a power of two",
}
_YOURS = "you have {} of your"
_OF_THEIRS = ("of yours", "of theirs")


class AllocationError(OSError):
    """An allocation failed.

    errno is the kernel's; `free` and `largest_hole` are the context's bytes right after the
    failure, `size` and `alignment` the bytes that were asked for; `quota` is the bytes that the
    user may have (None: no limit) and `used` those that they had, `max_chunks` (None: unknown) and
    `chunks` likewise. `action` is what failed, with {} for the size. `owner_pid`: the process on
    whose behalf, 0 for the caller. `total`: bytes of the whole context, None when that is not
    known.
    """

    def __init__(
        self,
        number: int,
        *,
        context: str,
        size: int,
        alignment: int,
        reason: Reason,
        free: int,
        largest_hole: int,
        quota: int = QUOTA_NONE,
        used: int = 0,
        max_chunks: int = QUOTA_NO_CHUNKS,
        chunks: int = 0,
        action: str = "allocation of {}",
        owner_pid: int = 0,
        total: int | None = None,
    ) -> None:
        wanted = format_size(size) + (f" aligned to {format_size(alignment)}" if alignment else "")
        fix = _FIX.get(reason)
        figures = f"{format_size(free)} free, largest hole {format_size(largest_hole)}"
        whose = f"the user of process {owner_pid} has {{}} of their" if owner_pid else _YOURS
        if reason is Reason.FULL and total is not None and size > total:
            fix = f"all of it is {format_size(total)}: ask for less, or make its bank larger"
        if reason is Reason.QUOTA:
            figures = f"{whose.format(format_size(used))} {format_size(quota)}"
            if size > quota:
                fix = "ask for less, or have root raise the quota (cm-agent quota)"
        if reason is Reason.CHUNKS:
            figures = f"{whose.format(chunks)} {max_chunks} chunks"
            if chunks < max_chunks:
                figures += ", and all users together have as many as the context may have"
                fix = f"have others free chunks, or have root raise {_MAX_CHUNKS}"
        super().__init__(
            number,
            f"context {context!r}: {action.format(wanted)} failed: {reason.name}; {figures}"
            + (f"; {fix.replace(*_OF_THEIRS) if owner_pid else fix}" if fix else ""),
        )
        self.context = context
        self.size = size
        self.alignment = alignment
        self.reason = reason
        self.free = free
        self.largest_hole = largest_hole
        self.quota = None if quota == QUOTA_NONE else quota
        self.used = used
        self.max_chunks = None if max_chunks == QUOTA_NO_CHUNKS else max_chunks
        self.chunks = chunks

    def add(self, circumstance: str) -> None:
        """Have the text go on with what only the caller of alloc() knows."""
        self.strerror = f"{self.strerror}; {circumstance}"


class ContextGoneError(OSError):
    """A context was destroyed while this process had it open (ENODEV)."""


class ClosedError(ValueError):
    """A Buffer or Context was used after close()."""


class UnverifiableError(Exception):
    """A witness cannot see; the text has the reason, and what would let it see."""


class CommandError(Exception):
    """A command of a session failed; the text has what failed, and the numbers."""


class UsageError(Exception):
    """A command was asked for something that makes no sense; the text names the argument."""


def explained(error: OSError, what: str) -> OSError:
    """Return the same error, and subclass of OSError, with a sentence about what failed."""
    return OSError(error.errno, f"{what}: {os.strerror(error.errno or 0)}")
