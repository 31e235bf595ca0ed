# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The ABI of /dev/cm/<context>: the only place that knows cm.h's structures and numbers."""

from __future__ import annotations

import errno
import operator
import os
from enum import IntEnum
from functools import partial
from typing import Any

from cm_agent.core import _abi
from cm_agent.core.text import printable

ffi: Any = _abi.ffi
_IOCTLS: dict[str, tuple[int, int, int, str]] = _abi.IOCTLS
libc: Any = ffi.dlopen(None)
_errno = partial(getattr, ffi, "errno")


def constant(name: str) -> int:
    """Return the value of a #define or an enumerator of cm.h; AttributeError without it."""
    return int(ffi.integer_const(name))


def _number(name: str) -> int:
    direction, kind, number, argument = _IOCTLS[name]
    return int(direction << 30 | ffi.sizeof(argument) << 16 | kind << 8 | number)


_UNKNOWN = constant("CM_IOC_MAGIC") << 8 | 0xFF
NUMBERS = {name: _number(name) for name in _IOCTLS}
CONTEXT_PRIVATE = constant("CM_CONTEXT_PRIVATE")
NAME_LEN = constant("CM_NAME_LEN")
BANK_NAME_LEN = constant("CM_BANK_NAME_LEN")
QUOTA_NONE = constant("CM_QUOTA_NONE")
QUOTA_NO_CHUNKS = constant("CM_QUOTA_NO_CHUNKS")
QUOTA_ANYBODY = constant("CM_QUOTA_ANYBODY")
CHUNK_FIXED = constant("CM_CHUNK_FIXED")
CHUNK_DRAINING = constant("CM_CHUNK_DRAINING")
CHUNK_OFFSET = constant("CM_CHUNK_OFFSET")
CHUNK_HIDDEN = constant("CM_CHUNK_HIDDEN")
LAYOUT_MAX_ENTRIES = constant("CM_LAYOUT_MAX_ENTRIES")
USERS_MAX_ENTRIES = constant("CM_USERS_MAX_ENTRIES")
ATTEST_BOUNCED = constant("CM_ATTEST_BOUNCED")
ATTEST_MAX_RUNS = constant("CM_ATTEST_MAX_RUNS")
ATTEST_IN_BANK = constant("CM_ATTEST_IN_BANK")
ATTEST_ADDRESSES = constant("CM_ATTEST_ADDRESSES")
PATTERN_FILL = constant("CM_PATTERN_FILL")
PATTERN_LINEAR = constant("CM_PATTERN_LINEAR")
PATTERN_CELL = constant("CM_PATTERN_CELL")
SIZE_CLASSES = constant("CM_SIZE_CLASSES")
SIZE_CLASS_SHIFT = constant("CM_SIZE_CLASS_SHIFT")
LATENCY_BUCKETS = constant("CM_LATENCY_BUCKETS")
LATENCY_SHIFT = constant("CM_LATENCY_SHIFT")


_FEATURES = ("COMPACT", "LAYOUT", "QUOTA", "CONTROL", "OWNER", "USERS", "DMA_HEAP")


def feature_names(features: int) -> list[str]:
    """Return the names of CM_FEATURE_* that are set; `bit N` for one that cm.h does not have."""
    known = {constant(f"CM_FEATURE_{name}"): name for name in _FEATURES}
    bits = (1 << n for n in range(features.bit_length()) if features >> n & 1)
    return [known.get(bit, f"bit {bit.bit_length() - 1}") for bit in bits]


class Reason(IntEnum):
    """Why an allocation failed, as the kernel module reports it.

    A number that a newer module knows and this binding does not becomes a member, too, with the
    name UNKNOWN_<number>.
    """

    NONE = constant("CM_REASON_NONE")
    """It did not fail."""
    FULL = constant("CM_REASON_FULL")
    """Fewer bytes are free than were asked for."""
    FRAGMENTED = constant("CM_REASON_FRAGMENTED")
    """Enough bytes are free, but no aligned hole is large enough, nor can one be made."""
    BUSY = constant("CM_REASON_BUSY")
    """Holes are large enough, but pages in every one of them would not leave."""
    DEADLINE = constant("CM_REASON_DEADLINE")
    """The deadline passed first."""
    INTERRUPTED = constant("CM_REASON_INTERRUPTED")
    """A fatal signal arrived."""
    NO_MEMORY = constant("CM_REASON_NO_MEMORY")
    """The system had no memory for bookkeeping or for the pages in the way."""
    INVALID = constant("CM_REASON_INVALID")
    """The request itself is wrong, or nothing could be allocated for who asks."""
    QUOTA = constant("CM_REASON_QUOTA")
    """The user would have more bytes than their quota."""
    CHUNKS = constant("CM_REASON_CHUNKS")
    """The user would have more chunks than their quota, or the context more than it may have."""

    @classmethod
    def _missing_(cls, value: object) -> Reason | None:
        if not isinstance(value, int):
            return None
        reason = int.__new__(cls, value)
        reason._name_, reason._value_ = f"UNKNOWN_{value}", value
        return reason


def prepare(request: str, /, **fields: object) -> Any:
    """Return the argument of a request such as "CM_IOC_ALLOC" with these members set, others 0.

    ValueError for a number that its member cannot hold.
    """
    try:
        return ffi.new(f"{_IOCTLS[request][3]} *", fields)
    except OverflowError as error:
        raise ValueError(f"{request} with {fields}: {error}") from None


def submit(fd: int, request: str, argument: Any) -> None:
    """Do the request. On OSError the argument holds what the kernel wrote back, if anything.

    Other threads run meanwhile; fcntl.ioctl() would stop them for arguments above 1,024 bytes.
    """
    ioctl(fd, NUMBERS[request], argument)


def ioctl(fd: int, number: int, argument: Any) -> None:
    """Do any request of any device, of which the argument is a pointer; OSError.

    Again when a signal interrupts it and its handler returns, as Python's own calls do (PEP 475).
    """
    request = partial(libc.ioctl, fd, number, argument)
    while True:
        # In one step: between two, the handler of a signal may do requests of its own.
        result, error = map(operator.call, (request, _errno))
        if result >= 0:
            return
        if error != errno.EINTR:
            raise OSError(error, os.strerror(error))


def call_nothing(fd: int) -> None:
    """Do a request that no node knows: what any request costs before it does anything.

    RuntimeError when the node knows it.
    """
    if libc.ioctl(fd, _UNKNOWN, ffi.NULL) >= 0 or ffi.errno != errno.ENOTTY:
        raise RuntimeError(f"request {_UNKNOWN:#x} is known")


def call(fd: int, request: str, /, **fields: object) -> Any:
    """Do a request with these members set and return its argument, filled in by the kernel.

    The descriptor stays the caller's. OSError carries the kernel's errno and nothing more.
    """
    argument = prepare(request, **fields)
    submit(fd, request, argument)
    return argument


def text(characters: Any) -> str:
    """Return a NUL-terminated character array as text; what does not print is escaped: \\xNN."""
    return printable(bytes(ffi.string(characters)).decode(errors="backslashreplace"))


def new_entries(capacity: int) -> Any:
    """Return an array of struct cm_layout_entry for CM_IOC_LAYOUT to fill; keep it alive."""
    return ffi.new("struct cm_layout_entry[]", capacity)


def new_users(capacity: int) -> Any:
    """Return an array of struct cm_user for CM_IOC_USERS to fill; keep it alive."""
    return ffi.new("struct cm_user[]", capacity)


def new_runs(capacity: int) -> Any:
    """Return an array of struct cm_run for CM_IOC_ATTEST to fill; keep it alive meanwhile."""
    return ffi.new("struct cm_run[]", capacity)


def address_of(memory: Any) -> int:
    """Return the virtual address of a cdata array or of anything with the buffer protocol."""
    if not isinstance(memory, ffi.CData):
        memory = ffi.from_buffer(memory)
    return int(ffi.cast("uintptr_t", memory))
