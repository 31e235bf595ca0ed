# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A context: a named pool of physically contiguous memory, /dev/cm/<name>."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, SupportsFloat

from cm_agent.core import uapi
from cm_agent.core.buffer import Buffer, encode_name
from cm_agent.core.descriptor import Descriptor
from cm_agent.core.errors import AllocationError, ContextGoneError, explained, request_error
from cm_agent.core.holders import Holders
from cm_agent.core.reports import (
    Attestation,
    ChunkInfo,
    Compaction,
    ContextState,
    ContextStats,
    LayoutEntry,
    PatternResult,
    Pin,
    User,
)
from cm_agent.core.size import format_size
from cm_agent.core.uapi import Reason
from cm_agent.core.whole_number import require_bytes, require_whole

DEV = Path("/dev/cm")
CONTROL = "control"
_FIRST_RUNS = 64
_FIRST_ENTRIES = 64
_ALLOCATION = "allocation of {}"
_COMPACTION = "compaction for a hole of {}"
_LARGEST = "compaction for the largest hole"
_MOST_PID = _MOST_FD = (1 << 31) - 1
_MOST_SECONDS = 1 << 34  # 64 bits hold so many ns
_HELD = (Reason.FULL, Reason.FRAGMENTED, Reason.QUOTA, Reason.CHUNKS)
"""What fails because somebody has chunks."""
_OWNER = {
    errno.EPERM: "it was to belong to process {}, which needs CAP_SYS_RESOURCE (root has it)",
    errno.ESRCH: "it was to belong to process {}, which has ended, is a thread, or has no number in"
    " this pid namespace; use the pid that the process has here",
}


def contexts() -> list[str]:
    """Return the names of the contexts there are, sorted; none when the module is not loaded."""
    try:
        return sorted(entry for entry in os.listdir(DEV) if entry != CONTROL)
    except FileNotFoundError:
        return []


def node(name: str) -> Path:
    """Return where the node of a context is, or that of the control."""
    return DEV / name


def is_name(name: str) -> bool:
    """Return whether a context can be called this."""
    return bool(name) and "/" not in name and name not in (".", "..", CONTROL)


class Context(Descriptor):
    """Speak to one context through its node.

    Pins taken here go when this object is closed; buffers live on. Every OSError has the
    kernel's errno and a sentence about what failed.

    Synchronization: none required; the kernel serializes.
    """

    def __init__(self, name: str) -> None:
        _require_name(name)
        self.name = name
        try:
            fd = os.open(node(name), os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise explained(error, f"context {name!r}: {_hint(error)}") from None
        super().__init__(fd, f"context {name!r}")
        self._opener = os.geteuid()
        self._size: int | None = None

    def query(self) -> ContextState:
        """Ask what the context is and how full it is now."""
        return ContextState.read(self._call("CM_IOC_QUERY", "did not report its state"))

    def stats(self) -> ContextStats:
        """Ask what the context has done since it was made."""
        return ContextStats.read(self._call("CM_IOC_STATS", "did not report its statistics"))

    def alloc(
        self,
        size: int,
        alignment: int = 0,
        *,
        deadline: float | None = None,
        name: str | None = None,
        owner_pid: int = 0,
    ) -> Buffer:
        """Allocate one zeroed chunk; the Buffer owns its descriptor.

        Bytes, rounded up to whole pages; an alignment of 0, or below the context's minimum, is that
        minimum. deadline: seconds, None for the kernel's 10. The chunk belongs to, and counts for,
        the user who opened the context. AllocationError has the reason of a failure;
        ContextGoneError: the context was destroyed meanwhile; another OSError, such as EMFILE, has
        nothing to do with the context.

        owner_pid: the process that it belongs to and counts for instead, in the caller's pid
        namespace; needs CAP_SYS_RESOURCE (PermissionError). ProcessLookupError: no process that
        lives has this number. Numbers are used again, and a process becomes another user's when it
        executes a setuid program: close the chunk if the process' pidfd shows after this call that
        it has ended, or info() has another user than the one that you know it as.
        """
        if name is not None:
            encode_name(name)
        size, alignment = require_bytes("size", size), require_bytes("alignment", alignment)
        if not 0 <= require_whole("owner_pid", owner_pid) <= _MOST_PID:
            raise ValueError(f"{owner_pid} cannot be the number of a process")
        argument = uapi.prepare(
            "CM_IOC_ALLOC",
            size=size,
            alignment=alignment,
            deadline_ns=_nanoseconds(deadline),
            owner_pid=owner_pid,
        )
        try:
            uapi.submit(self.fileno(), "CM_IOC_ALLOC", argument)
            fd = int(argument.fd)  # a signal that came meanwhile has its handler run by now
        except OSError as error:
            raise self._refused(error, argument, size, alignment) from None
        except BaseException:
            if argument.id:
                os.close(argument.fd)
            raise
        buffer = Buffer(fd, argument.size, argument.id, self.name)
        if name is not None:
            try:
                buffer.set_name(name)
            except BaseException:
                buffer.close()
                raise
        return buffer

    def adopt(self, fd: int) -> Buffer:
        """Make a Buffer of a descriptor of one of this context's chunks, from another process, say.

        It owns the descriptor if that succeeds; verify() has its full proof then. RequestError:
        it is no chunk of this context (EXDEV), a stale one (ESTALE), or no dma-buf (EINVAL, EBADF);
        it stays the caller's.
        """
        if not 0 <= require_whole("fd", fd) <= _MOST_FD:
            raise request_error(errno.EBADF, f"context {self.name!r}: {fd} is no descriptor")
        try:
            got = uapi.call(self.fileno(), "CM_IOC_INFO", fd=fd)
        except OSError as error:
            what = f"descriptor {fd} is no chunk of context {self.name!r}"
            raise explained(error, what + self._whose(error, fd)) from None
        return Buffer(fd, got.size, got.id, self.name)

    def _whose(self, error: OSError, fd: int) -> str:
        if error.errno != errno.EXDEV:
            return ""
        try:
            other = uapi.text(uapi.call(self.fileno(), "CM_IOC_ATTEST", fd=fd, dma_bits=64).context)
        except OSError:
            return ""
        return f" but of context {other!r}" if other else ", nor of another"

    def compact(
        self, size: int = 0, alignment: int = 0, *, deadline: float | None = None
    ) -> Compaction:
        """Move chunks so that a hole of `size` bytes comes up, ahead of need; 0: a hole as large
        as can be.

        Only addresses change. deadline: seconds, None for the kernel's 10. AllocationError has
        the reason why there is no such hole; what was moved until then stays moved.
        """
        size, alignment = require_bytes("size", size), require_bytes("alignment", alignment)
        argument = uapi.prepare(
            "CM_IOC_COMPACT", size=size, alignment=alignment, deadline_ns=_nanoseconds(deadline)
        )
        try:
            uapi.submit(self.fileno(), "CM_IOC_COMPACT", argument)
        except OSError as error:
            action = _COMPACTION if size else _LARGEST
            failure = self._refused(error, argument, size, alignment, action)
            if isinstance(failure, AllocationError) and argument.moves:
                failure.add(f"chunks moved until then: {argument.moves}")
            raise failure from None
        return Compaction.read(argument)

    def layout(self) -> list[LayoutEntry]:
        """Ask which chunk lies where, in the order of their places; of the first 65,536 chunks.

        Who has the chunks of other users is shown with CAP_SYS_ADMIN only.
        """
        capacity = _FIRST_ENTRIES
        while True:
            entries = uapi.new_entries(capacity)
            got = self._call(
                "CM_IOC_LAYOUT",
                "did not report its layout",
                capacity=capacity,
                entries=uapi.address_of(entries),
            )
            if got.count <= capacity or capacity >= uapi.LAYOUT_MAX_ENTRIES:
                return [LayoutEntry.read(entries[i]) for i in range(min(got.count, capacity))]
            capacity = got.count + _FIRST_ENTRIES

    def users(self) -> list[User]:
        """Ask who has how much, in the order of their numbers; of the first 65,536 users.

        With CAP_SYS_ADMIN, those who have chunks or a quota of their own; otherwise only the user
        who opened the context.
        """
        capacity = _FIRST_ENTRIES
        while True:
            entries = uapi.new_users(capacity)
            got = self._call(
                "CM_IOC_USERS",
                "did not report its users",
                capacity=capacity,
                entries=uapi.address_of(entries),
            )
            if got.count <= capacity or capacity >= uapi.USERS_MAX_ENTRIES:
                users = [User.read(entries[i]) for i in range(min(got.count, capacity))]
                return sorted(users, key=lambda user: user.uid)
            capacity = min(got.count + _FIRST_ENTRIES, uapi.USERS_MAX_ENTRIES)

    def free(self, buffer: Buffer) -> None:
        """Give the chunk's memory back now; the buffer's descriptor stays open and is stale.

        Mappings raise SIGBUS from now on. PermissionError unless it was allocated by, or on behalf
        of, the user who opened this Context, or the caller has CAP_SYS_ADMIN; OSError EBUSY: it is
        pinned, imported, or a device has not finished with it. In both cases nothing changed.
        """
        self._call("CM_IOC_FREE", f"did not free {buffer!r}", fd=buffer.fd)

    def pin(self, buffer: Buffer) -> Pin:
        """Fix the chunk's place and return it; needs CAP_SYS_RAWIO (PermissionError). Nests."""
        got = self._call("CM_IOC_PIN", f"did not pin {buffer!r}", fd=buffer.fd)
        return Pin(got.address, got.size)

    def unpin(self, buffer: Buffer) -> None:
        """Undo one pin() of this Context; FileNotFoundError when it holds none."""
        self._call("CM_IOC_UNPIN", f"did not unpin {buffer!r}", fd=buffer.fd)

    @contextmanager
    def pinned(self, buffer: Buffer) -> Iterator[Pin]:
        """Pin for the length of a `with` block."""
        pin = self.pin(buffer)
        try:
            yield pin
        finally:
            self.unpin(buffer)

    def info(self, buffer: Buffer) -> ChunkInfo:
        """Ask what is known of one of this context's chunks, and who asked for it."""
        return ChunkInfo.read(self._call("CM_IOC_INFO", f"does not know {buffer!r}", fd=buffer.fd))

    def attest(self, buffer: Buffer, *, dma_bits: int = 64) -> Attestation:
        """Ask the kernel where any dma-buf lies, and whether a dma_bits wide device reaches it.

        All runs are returned, up to the million that the kernel stores. Addresses only with
        CAP_SYS_RAWIO. The exporter's own errno when it does not let others import the buffer.
        """
        capacity = _FIRST_RUNS
        while True:
            runs = uapi.new_runs(capacity)
            got = self._call(
                "CM_IOC_ATTEST",
                f"cannot attest {buffer!r}",
                fd=buffer.fd,
                dma_bits=dma_bits,
                runs_capacity=capacity,
                runs=uapi.address_of(runs),
            )
            if got.run_count <= capacity or capacity >= uapi.ATTEST_MAX_RUNS:
                return Attestation.read(got, runs)
            capacity = got.run_count

    def pattern_fill(self, buffer: Buffer, seed: int) -> PatternResult:
        """Write the pattern over any dma-buf through the kernel's mapping, and read it back."""
        return self._pattern(buffer, seed, uapi.PATTERN_FILL)

    def pattern_check(self, buffer: Buffer, seed: int) -> PatternResult:
        """Compare any dma-buf with the pattern through the kernel's mapping."""
        return self._pattern(buffer, seed, 0)

    def _pattern(self, buffer: Buffer, seed: int, flags: int) -> PatternResult:
        got = self._call(
            "CM_IOC_PATTERN",
            f"cannot use the pattern on {buffer!r}",
            fd=buffer.fd,
            flags=flags,
            seed=seed,
        )
        return PatternResult.read(got)

    def _call(self, request: str, failure: str, **fields: object) -> Any:
        fd = self.fileno()
        try:
            return uapi.call(fd, request, **fields)
        except OSError as error:
            raise explained(error, f"context {self.name!r} {failure}") from None

    def _refused(
        self, error: OSError, argument: Any, size: int, alignment: int, action: str = _ALLOCATION
    ) -> OSError:
        reason = Reason(argument.reason)
        what = f"context {self.name!r}: {action.format(format_size(size))}"
        if error.errno == errno.ENODEV:
            return ContextGoneError(error.errno, f"{what} failed: it was destroyed")
        owner_pid = getattr(argument, "owner_pid", 0)
        if owner_pid and error.errno in _OWNER:
            return explained(error, f"{what} failed: {_OWNER[error.errno].format(owner_pid)}")
        if reason is Reason.NONE or (reason is Reason.INVALID and error.errno != errno.EINVAL):
            return explained(error, f"{what} failed")
        total = self._total() if reason is Reason.FULL else None
        return AllocationError(
            error.errno or 0,
            context=self.name,
            size=size,
            alignment=alignment,
            reason=reason,
            free=argument.free,
            largest_hole=argument.largest_hole,
            quota=getattr(argument, "quota", uapi.QUOTA_NONE),
            used=getattr(argument, "used", 0),
            max_chunks=getattr(argument, "max_chunks", uapi.QUOTA_NO_CHUNKS),
            chunks=getattr(argument, "chunks", 0),
            action=action,
            owner_pid=owner_pid,
            total=total,
            holders=None if total and size > total else self._holders(reason, argument),
        )

    def _holders(self, reason: Reason, argument: Any) -> Holders | None:
        """Ask once who has the most of what is missing; None when that fails, too."""
        own = reason is Reason.QUOTA or (
            reason is Reason.CHUNKS and argument.chunks >= argument.max_chunks
        )
        if reason not in _HELD or (own and argument.owner_pid):
            return None
        with suppress(OSError, ValueError, MemoryError):
            uid, by_number = self._opener if own else None, reason is Reason.CHUNKS
            return Holders.ask(self.fileno(), uid=uid, by_number=by_number)
        return None

    def _total(self) -> int | None:
        with suppress(OSError, ValueError):
            self._size = self._size or self.query().size
        return self._size


def _nanoseconds(deadline: float | None) -> int:
    if deadline is None:
        return 0
    if not isinstance(deadline, SupportsFloat):
        raise TypeError(f"a deadline is seconds, not {deadline!r} ({type(deadline).__name__})")
    if deadline <= 0:
        raise ValueError(f"a deadline of {deadline} s has passed already")
    if not deadline < _MOST_SECONDS:
        raise ValueError(f"a deadline of {deadline} s cannot be: it is below {_MOST_SECONDS:,} s")
    return max(1, round(deadline * 1e9))


def _require_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a context is opened by its name, a str, not by {name!r}")
    if not is_name(name):
        last = os.path.basename(name.rstrip("/"))
        fix = f": give its name alone, {last!r}" if name == str(node(last)) else ""
        raise ValueError(f"{name!r} cannot be the name of a context{fix}")


def _hint(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        there = ", ".join(contexts()) or "none, see `cm-agent doctor`"
        return f"{DEV} has no such node (there: {there})"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"its node in {DEV} may not be opened; become a member of group cm"
    return f"its node in {DEV} cannot be opened"
