# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What goes wrong, with the numbers and what to do about it."""

from __future__ import annotations

import errno
import os
from typing import Any

from cm_agent.core.holders import Holders
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


class Error(Exception):
    """The base of all errors that this package raises of its own; each can be pickled.

    Those with an errno are OSErrors, too; wrong arguments are ValueErrors, and nothing but those.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class, whose arguments are not those of the text.
        args = (self.errno, self.strerror) if isinstance(self, OSError) else self.args
        return Error._restore, (type(self), args, self.__dict__)

    @staticmethod
    def _restore(kind: type[Error], args: tuple[Any, ...], state: dict[str, Any]) -> Error:
        error = kind.__new__(kind, *args)
        base = OSError if isinstance(error, OSError) else Exception
        base.__init__(error, *args)
        error.__dict__.update(state)
        return error


class AllocationError(Error, OSError):
    """An allocation failed.

    errno is the kernel's; `free` and `largest_hole` are the context's bytes right after the
    failure, `size` and `alignment` the bytes that were asked for; `quota` is the bytes that the
    user may have (None: no limit) and `used` those that they had, `max_chunks` (None: unknown) and
    `chunks` likewise. `action` is what failed, with {} for the size. `owner_pid`: the process on
    whose behalf, 0 for the caller. `total`: bytes of the whole context, None when that is not
    known. `holders`: who has most of what was missing, of this user alone when it is their limit;
    None when that is not known.
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
        holders: Holders | None = None,
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
            + (f"; {fix.replace(*_OF_THEIRS) if owner_pid else fix}" if fix else "")
            + (f"; {holders}" if holders and holders.largest else ""),
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
        self.holders = holders

    def add(self, circumstance: str) -> None:
        """Have the text go on with what only the caller of alloc() knows."""
        self.strerror = f"{self.strerror}; {circumstance}"


class ContextGoneError(Error, OSError):
    """A context was destroyed while this process had it open (ENODEV)."""


class ClosedError(Error, ValueError):
    """A Buffer or Context was used after close()."""


class KeptError(Error, BufferError):
    """Something that was made of a buffer's memory is still there when its `with` block ends.

    It has a copy of the content from then on. `of` names the chunk, and the frame, if it is one's;
    `kept` is what is still there, as far as that is known.
    """

    def __init__(self, of: str, kept: str = "something made of its memory") -> None:
        super().__init__(
            f"{of}: {kept} outlives its `with` block; copy what you keep, and delete the rest "
            "before the block ends (an array may stay in a local variable, which is empty then)"
        )
        self.of = of
        self.kept = kept


class UnverifiableError(Error):
    """A witness cannot see; the text has the reason, and what would let it see."""


class CommandError(Error):
    """A command of a session failed; the text has what failed, and the numbers."""


class UsageError(Error):
    """A command was asked for something that makes no sense; the text names the argument."""


class RequestError(Error, OSError):
    """The kernel refused what it was asked for; the errno is the kernel's."""


class NotPermittedError(RequestError, PermissionError):
    """The caller may not do this (EPERM, EACCES)."""


class NotFoundError(RequestError, FileNotFoundError):
    """There is no such context, bank or pin (ENOENT)."""


class ExistsError(RequestError, FileExistsError):
    """There is one of that name already (EEXIST)."""


class NoProcessError(RequestError, ProcessLookupError):
    """There is no such process (ESRCH)."""


_KINDS: dict[int, type[RequestError]] = {
    errno.EPERM: NotPermittedError,
    errno.EACCES: NotPermittedError,
    errno.ENOENT: NotFoundError,
    errno.EEXIST: ExistsError,
    errno.ESRCH: NoProcessError,
}


def request_error(number: int | None, text: str) -> RequestError:
    """Return the error of an errno, with a text that says what failed and why."""
    return _KINDS.get(number or 0, RequestError)(number, text)


def explained(error: OSError, what: str) -> RequestError:
    """Return the error of the same errno, with a text about what failed."""
    return request_error(error.errno, f"{what}: {os.strerror(error.errno or 0)}")
