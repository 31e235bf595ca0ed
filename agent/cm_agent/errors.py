# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What goes wrong, with the numbers and what to do about it."""

from __future__ import annotations

import os

from cm_agent.size import format_size
from cm_agent.uapi import QUOTA_NONE, Reason

_MEND = {
    Reason.FULL: "free chunks of it, or make the context's bank larger",
    Reason.FRAGMENTED: "free chunks that lie between its holes, or ask for less",
    Reason.BUSY: "try again later, or use a private context, whose pages nobody else has",
    Reason.DEADLINE: "allow a longer deadline, or use a private context",
    Reason.NO_MEMORY: "free memory of the system; the pages in the way have nowhere to go",
    Reason.QUOTA: "free chunks of yours, or have root raise the quota (cm-agent quota)",
    Reason.INVALID: "size must be at least 1 and alignment a power of two of at least a page",
}


class AllocationError(OSError):
    """An allocation failed.

    errno is the kernel's; `free` and `largest_hole` are the context's bytes right after the
    failure, `size` and `alignment` the bytes that were asked for; `quota` is what the user may
    have (None: no limit) and `used` what he has of it. `thing` is what was asked for: a chunk, or
    a hole ahead of need. `total`: bytes of the whole context, None when that is not known.
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
        thing: str = "chunk",
        total: int | None = None,
    ) -> None:
        aligned = f" aligned to {format_size(alignment)}" if alignment else ""
        mend = _MEND.get(reason)
        if reason is Reason.FULL and total is not None and size > total:
            mend = f"all of it is {format_size(total)}: ask for less, or make its bank larger"
        if reason is Reason.QUOTA and size > quota:
            mend = "ask for less, or have root raise the quota (cm-agent quota)"
        super().__init__(
            number,
            f"context {context!r} gave no {thing} of {format_size(size)}{aligned}: {reason.name}; "
            + (
                f"you have {format_size(used)} of your {format_size(quota)}"
                if reason is Reason.QUOTA
                else f"{format_size(free)} free, largest hole {format_size(largest_hole)}"
            )
            + (f"; {mend}" if mend else ""),
        )
        self.context = context
        self.size = size
        self.alignment = alignment
        self.reason = reason
        self.free = free
        self.largest_hole = largest_hole
        self.quota = None if quota == QUOTA_NONE else quota
        self.used = used

    def add(self, circumstance: str) -> None:
        """Have the text go on with what only the caller of alloc() knows."""
        self.strerror = f"{self.strerror}; {circumstance}"


class ContextGoneError(OSError):
    """A context was destroyed while this process had it open (ENODEV)."""


class ClosedError(ValueError):
    """A Buffer or Context was used after close()."""


class UnverifiableError(Exception):
    """A witness cannot see; the text says why and what would let it see."""


class CommandError(Exception):
    """A command of a session failed; the text says at what, with the numbers."""


class UsageError(Exception):
    """A command was asked for something that makes no sense; the text names the argument."""


def explained(error: OSError, what: str) -> OSError:
    """Return the same error, and subclass of OSError, with a sentence that says what failed."""
    return OSError(error.errno, f"{what}: {os.strerror(error.errno or 0)}")
