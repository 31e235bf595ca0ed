# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Every call of cm.h, called wrongly in one way: the documented errno, and nothing changed.

Arguments are made here, from the binding's layouts, and sent as bytes; on the board each one ends
flush with the end of accessible memory, so a kernel that reads or writes too far says EFAULT.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest
from cm_agent.core import uapi

PAGE = 4096
"""The smallest that a kernel has, whatever the board's own is."""
FIRST_OF_CONTROL = 0x20
NAMES = sorted(
    (name for name, number in uapi.NUMBERS.items() if number & 0xFF < FIRST_OF_CONTROL),
    key=lambda name: uapi.NUMBERS[name] & 0xFF,
)
READ, WRITE = 2, 1
NO_ACCESS, READ_ONLY = 0, 1
U64 = (1 << 64) - 1

# The members that say something, as a valid call has them; all others must be zero.
VALID: dict[str, dict[str, int]] = {
    "CM_IOC_QUERY": {},
    "CM_IOC_ALLOC": {"size": 3 * PAGE, "alignment": 0, "deadline_ns": 0, "owner_pid": 0},
    "CM_IOC_FREE": {"fd": 0},
    "CM_IOC_PIN": {"fd": 0},
    "CM_IOC_UNPIN": {"fd": 0},
    "CM_IOC_INFO": {"fd": 0},
    "CM_IOC_ATTEST": {"fd": 0, "dma_bits": 64, "runs_capacity": 0, "runs": 0},
    "CM_IOC_PATTERN": {"fd": 0, "seed": 1},
    "CM_IOC_STATS": {},
    "CM_IOC_COMPACT": {"size": 3 * PAGE, "alignment": 0, "deadline_ns": 0},
    "CM_IOC_LAYOUT": {"entries": 0, "capacity": 0},
    "CM_IOC_USERS": {"entries": 0, "capacity": 0},
}
CHANGES = {"CM_IOC_ALLOC", "CM_IOC_FREE", "CM_IOC_PIN", "CM_IOC_UNPIN"}
TAKES_ANY_DMABUF = {"CM_IOC_ATTEST", "CM_IOC_PATTERN"}
WITH_FD = [name for name in NAMES if "fd" in VALID[name]]
WRITING = [name for name in NAMES if uapi.NUMBERS[name] >> 30 & WRITE]
READING = [name for name in NAMES if uapi.NUMBERS[name] >> 30 & READ]


def struct_of(name: str) -> Any:
    return uapi.ffi.typeof(uapi.prepare(name)).item


def zero_bits(name: str) -> list[tuple[int, int]]:
    """List the bits that must be zero, as offsets of bytes and numbers in them."""
    members = {member: field for member, field in struct_of(name).fields}
    fill = (members["flags"].offset, 0) if name == "CM_IOC_PATTERN" else ()
    return [
        (field.offset + byte, bit)
        for member, field in members.items()
        if member not in VALID[name]
        for byte in range(uapi.ffi.sizeof(field.type))
        for bit in range(8)
        if (field.offset + byte, bit) != fill
    ]


def call(
    name: str,
    argument: bytes | None = None,
    *,
    kind: str | None = None,
    number: int | None = None,
    beyond: int = 0,
    there: int = NO_ACCESS,
    address: int | None = None,
    **members: int,
) -> tuple[Any, ...]:
    """Describe an ioctl for `attempt`; its size is that of the argument."""
    if argument is None:
        argument = bytes(uapi.ffi.buffer(uapi.prepare(name, **{**VALID[name], **members})))
    if number is None:
        number = uapi.NUMBERS[name] & ~(0x3FFF << 16) | len(argument) << 16
    fields = dict(struct_of(name).fields)
    at = fields["fd"].offset if "fd" in fields else None
    kind = kind or ("chunk" if "fd" in VALID[name] else "new")
    return number, argument, at, kind, beyond, there, address


def attempt(context: str, other: str, calls: list[Any], pin: bool) -> list[Any]:
    """Do ioctls on a scene; tell each one's errno, whether nothing changed, and its argument."""
    import ctypes
    import mmap
    import os
    from contextlib import ExitStack

    from cm_agent.core.context import Context

    def state() -> tuple[Any, ...]:
        return pool.query(), second.query(), len(os.listdir("/proc/self/fd"))

    libc, answers = ctypes.CDLL(None, use_errno=True), []
    memory = mmap.mmap(-1, 6 * mmap.PAGESIZE)
    end = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + 5 * mmap.PAGESIZE
    with Context(context) as pool, Context(other) as second, ExitStack() as stack:
        chunks = [stack.enter_context(it.alloc(8 << 12)) for it in (pool, pool, second)]
        opened = [*os.pipe(), os.memfd_create("it"), os.open("/dev/null", os.O_RDWR)]
        stack.callback(lambda: [os.close(fd) for fd in opened])
        kinds = ("pipe", "pipe's end", "memfd", "null", "chunk", "stale", "other")
        fds = dict(zip(kinds, [*opened, *[it.fd for it in chunks]], strict=True))
        fds |= {"node": pool.fileno(), "negative": -1, "closed": 1 << 16}
        pool.free(chunks[1])
        if pin:
            pool.pin(chunks[0])
        for number, argument, at, kind, beyond, there, address in calls:
            if kind != "new" and len(argument) >= at + 4:
                fd = fds[kind].to_bytes(4, "little", signed=True)
                argument = argument[:at] + fd + argument[at + 4 :]
            start = ctypes.c_void_p(end - len(argument) + beyond)
            libc.mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, 3)
            ctypes.memmove(start, argument, len(argument))
            libc.mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, there)
            before, where = state(), start if address is None else ctypes.c_void_p(address)
            failed = libc.ioctl(pool.fileno(), ctypes.c_ulong(number), where)
            same, after = before == state(), ctypes.string_at(start, len(argument) - beyond)
            if kind == "new" and at is not None and not failed:
                os.close(int.from_bytes(after[at : at + 4], "little"))
            answers.append((ctypes.get_errno() if failed else 0, same, after))
    return answers


def ask(
    board: Any, calls: list[Any], *, context: str = "shared", pin: bool | None = None
) -> list[tuple[int, bool, bytes]]:
    """Do ioctls on a fresh scene, whose chunk is pinned only if UNPIN is among them."""
    other = "private" if context == "shared" else "shared"
    if pin is None:
        pin = any(number & 0xFF == uapi.NUMBERS["CM_IOC_UNPIN"] & 0xFF for number, *_ in calls)
    got = board.call(attempt, context=context, other=other, calls=calls, pin=pin)
    return [tuple(answer) for answer in got]


def refuse(board: Any, calls: list[Any], *numbers: int, **scene: Any) -> None:
    """Expect every call to fail with this errno, or each with its own, and to change nothing."""
    numbers = numbers if len(numbers) > 1 else numbers * len(calls)
    got = ask(board, calls, **scene)
    wrong = [
        f"{asked[0]:#x} {asked[1:]} expected {errno.errorcode.get(number, 0)}, "
        f"got {errno.errorcode.get(result, result)}, {'nothing' if same else 'something'} changed"
        for asked, number, (result, same, _) in zip(calls, numbers, got, strict=True)
        if (result, same) != (number, True)
    ]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(calls)} calls:", *wrong[:10]])


def test_the_table_has_every_call_of_the_header() -> None:
    """But for those of the control node: see test_control.py."""
    assert set(VALID) == set(NAMES)


@pytest.mark.two_kernels
@pytest.mark.parametrize("context", ["shared", "private"])
@pytest.mark.parametrize("name", NAMES)
def test_a_valid_call_works(module: Any, name: str, context: str) -> None:
    """All tests below spoil one thing in exactly this call."""
    ((result, same, _),) = ask(module, [call(name)], context=context)
    assert (result, same) == (0, name not in CHANGES)


@pytest.mark.parametrize("name", WRITING)
def test_every_bit_that_must_be_zero_is_einval(module: Any, name: str) -> None:
    valid = call(name)[1]
    calls = [
        call(name, valid[:at] + bytes([1 << bit]) + valid[at + 1 :]) for at, bit in zero_bits(name)
    ]
    assert len(calls) >= 32, "each structure has flags"
    refuse(module, calls, errno.EINVAL)


@pytest.mark.parametrize("name", NAMES)
def test_every_shorter_structure_is_einval(module: Any, name: str) -> None:
    valid = call(name)[1]
    refuse(module, [call(name, valid[:size]) for size in range(len(valid))], errno.EINVAL)


@pytest.mark.parametrize("name", NAMES)
def test_a_longer_structure_works_and_its_tail_is_zero(module: Any, name: str) -> None:
    valid = call(name)[1]
    fill = b"\0" if name in WRITING else b"\xff"
    for tail in (1, 8, PAGE):
        ((result, _, after),) = ask(module, [call(name, valid + tail * fill)])
        assert (result, after[len(valid) :]) == (0, bytes(tail))


@pytest.mark.parametrize("name", WRITING)
def test_a_longer_structure_that_says_something_there_is_e2big(module: Any, name: str) -> None:
    valid = call(name)[1]
    tails = [bytes(at) + b"\1" + bytes(63 - at) for at in range(64)] + [bytes(PAGE) + b"\x80"]
    refuse(module, [call(name, valid + tail) for tail in tails], errno.E2BIG)


@pytest.mark.parametrize("name", NAMES)
def test_an_inaccessible_structure_is_efault(module: Any, name: str) -> None:
    size = len(call(name)[1])
    calls = [call(name, beyond=beyond) for beyond in (1, size // 2, size)]
    calls += [call(name, address=address) for address in (0, 8, -8 & U64, 0xFFFF << 48)]
    refuse(module, calls, errno.EFAULT)


@pytest.mark.parametrize("name", READING)
def test_a_structure_that_cannot_be_written_back_is_efault(module: Any, name: str) -> None:
    """And what was done until then is undone."""
    size = len(call(name)[1])
    calls = [call(name, beyond=beyond, there=READ_ONLY) for beyond in (1, size // 2)]
    refuse(module, calls, errno.EFAULT)


def test_unknown_calls_are_enotty(module: Any) -> None:
    known = {number & 0xFF for number in uapi.NUMBERS.values()}
    valid = uapi.NUMBERS["CM_IOC_ALLOC"]
    numbers = [valid & ~0xFF | nr for nr in range(256) if nr not in known]
    numbers += [valid ^ bit << 8 for bit in (1, 2, 0x80)]
    numbers += [number ^ flip << 30 for number in uapi.NUMBERS.values() for flip in (1, 2, 3)]
    refuse(module, [call("CM_IOC_ALLOC", number=number) for number in numbers], errno.ENOTTY)


DESCRIPTORS = {
    "negative": errno.EBADF,
    "closed": errno.EBADF,
    "pipe": errno.EINVAL,
    "pipe's end": errno.EINVAL,
    "null": errno.EINVAL,
    "memfd": errno.EINVAL,
    "node": errno.EINVAL,
    "other": errno.EXDEV,
    "stale": errno.ESTALE,
}


@pytest.mark.parametrize("context", ["shared", "private"])
@pytest.mark.parametrize("name", WITH_FD)
def test_a_descriptor_that_is_no_live_chunk_of_the_context(
    module: Any, name: str, context: str
) -> None:
    expected = DESCRIPTORS | ({"other": 0} if name in TAKES_ANY_DMABUF else {})
    calls = [call(name, kind=kind) for kind in expected]
    refuse(module, calls, *expected.values(), context=context)


WRONG_VALUES = {
    "size-0": ("CM_IOC_ALLOC", {"size": 0}, errno.EINVAL),
    "size-beyond-the-bank": ("CM_IOC_ALLOC", {"size": 1 << 40}, errno.ENOMEM),
    "size-all-ones": ("CM_IOC_ALLOC", {"size": U64}, errno.ENOMEM),
    "alignment-3": ("CM_IOC_ALLOC", {"alignment": 3}, errno.EINVAL),
    "alignment-3-pages": ("CM_IOC_ALLOC", {"alignment": 3 * PAGE}, errno.EINVAL),
    "alignment-page-and-1": ("CM_IOC_ALLOC", {"alignment": PAGE + 1}, errno.EINVAL),
    "alignment-all-ones": ("CM_IOC_ALLOC", {"alignment": U64}, errno.EINVAL),
    "alignment-high-and-page": ("CM_IOC_ALLOC", {"alignment": 1 << 63 | PAGE}, errno.EINVAL),
    "alignment-unmeetable": ("CM_IOC_ALLOC", {"alignment": 1 << 63}, errno.ENOMEM),
    "dma-bits-0": ("CM_IOC_ATTEST", {"dma_bits": 0}, errno.EINVAL),
    "dma-bits-65": ("CM_IOC_ATTEST", {"dma_bits": 65}, errno.EINVAL),
    "dma-bits-all-ones": ("CM_IOC_ATTEST", {"dma_bits": (1 << 32) - 1}, errno.EINVAL),
    "capacity-without-runs": ("CM_IOC_ATTEST", {"runs_capacity": 1}, errno.EINVAL),
    "runs-nowhere": ("CM_IOC_ATTEST", {"runs_capacity": 1, "runs": 8}, errno.EFAULT),
    "runs-in-the-kernel": ("CM_IOC_ATTEST", {"runs_capacity": 1, "runs": -64 & U64}, errno.EFAULT),
    "hole-beyond-the-bank": ("CM_IOC_COMPACT", {"size": 1 << 40}, errno.ENOMEM),
    "hole-alignment-3-pages": ("CM_IOC_COMPACT", {"alignment": 3 * PAGE}, errno.EINVAL),
    "hole-alignment-unmeetable": ("CM_IOC_COMPACT", {"alignment": 1 << 63}, errno.ENOMEM),
    "capacity-without-entries": ("CM_IOC_LAYOUT", {"capacity": 1}, errno.EINVAL),
    "entries-nowhere": ("CM_IOC_LAYOUT", {"capacity": 1, "entries": 8}, errno.EFAULT),
    "entries-in-the-kernel": ("CM_IOC_LAYOUT", {"capacity": 1, "entries": -64 & U64}, errno.EFAULT),
    "capacity-without-users": ("CM_IOC_USERS", {"capacity": 1}, errno.EINVAL),
    "users-nowhere": ("CM_IOC_USERS", {"capacity": 1, "entries": 8}, errno.EFAULT),
    "users-in-the-kernel": ("CM_IOC_USERS", {"capacity": 1, "entries": -64 & U64}, errno.EFAULT),
    "owner-negative": ("CM_IOC_ALLOC", {"owner_pid": -1}, errno.EINVAL),
    "owner-most-negative": ("CM_IOC_ALLOC", {"owner_pid": -(1 << 31)}, errno.EINVAL),
    "owner-nobody": ("CM_IOC_ALLOC", {"owner_pid": (1 << 31) - 1}, errno.ESRCH),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_a_value_that_makes_no_sense_is_refused(module: Any, case: str) -> None:
    name, members, number = WRONG_VALUES[case]
    for context in ("shared", "private"):
        refuse(module, [call(name, **members)], number, context=context)


def test_an_alignment_below_a_page_is_met_by_any_page(module: Any, page_size: int) -> None:
    alignments = (1, PAGE // 2, page_size // 2)
    got = ask(module, [call("CM_IOC_ALLOC", alignment=it) for it in alignments])
    said = [uapi.ffi.from_buffer("struct cm_alloc *", after).alignment for _, _, after in got]
    assert [(it[0], alignment) for it, alignment in zip(got, said, strict=True)] == (
        [(0, page_size)] * len(alignments)
    )


@pytest.mark.parametrize("wrong", [{"size": 0}, {"alignment": 3}, {"flags": 1}, {"size": U64}])
def test_a_refused_allocation_names_no_descriptor(module: Any, wrong: dict[str, int]) -> None:
    """A caller that ignores the errno must not go on with descriptor 0."""
    ((result, _, after),) = ask(module, [call("CM_IOC_ALLOC", **wrong)])
    said = uapi.ffi.from_buffer("struct cm_alloc *", after)
    assert result and said.fd == -1


def test_unpin_without_a_pin_is_enoent(module: Any) -> None:
    refuse(module, [call("CM_IOC_UNPIN")], errno.ENOENT, pin=False)
