# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Every call of cm.h, made by a program for 32-bit ARM: the same results as Python's.

On a 64-bit kernel such calls come in by an entry of their own (compat). What they must answer to
what is wrong is known from test_ioctl.py.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from cm_agent.core import uapi
from hil import heap
from hil.compat import NOWHERE, ask, build, request
from hil.test_control import RELOAD, WRONG, destroy
from hil.test_ioctl import (
    DESCRIPTORS,
    NAMES,
    READ_ONLY,
    READING,
    TAKES_ANY_DMABUF,
    WITH_FD,
    WRITING,
    WRONG_VALUES,
    call,
    struct_of,
)

pytestmark = pytest.mark.lg_feature("armhf-programs")
PAGE, MIB = 1 << 12, 1 << 20
PROGRAM = "/var/tmp/cm-compat"
RUN, ENTRY, USER = (uapi.ffi.sizeof(f"struct cm_{it}") for it in ("run", "layout_entry", "user"))
CONTROL = sorted(set(uapi.NUMBERS) - set(NAMES))
ITS_OWN = {"CM_IOC_ALLOC", "CM_IOC_FREE"}
# Of who allocated, and when.
OTHERWISE = {"fd", "id", "pid", "comm"}
CONTEXTS = pytest.mark.parametrize(
    ("context", "other"), [("shared", "private"), ("private", "shared")]
)


@pytest.fixture(scope="module")
def program(board: Any) -> Iterator[str]:
    """The program on the board, for all tests of the file."""
    board.need("module").put(build(), PROGRAM)
    board.check(f"chmod 755 {PROGRAM}")
    yield PROGRAM
    board.check(f"rm {PROGRAM}")


def refuse(board: Any, program: str, calls: list[Any], *numbers: int, **scene: str) -> None:
    """Expect every call to fail with this errno, or each with its own, and nothing to change."""
    numbers = numbers if len(numbers) > 1 else numbers * len(calls)
    same, told, _ = ask(board, program, calls, **scene)
    wrong = [
        f"{asked[0]:#x} {asked[1:]} expected {errno.errorcode.get(number, 0)}, "
        f"got {errno.errorcode.get(result, result)}"
        for asked, number, (result, *_) in zip(calls, numbers, told, strict=True)
        if result != number
    ]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(calls)} calls:", *wrong[:10]])
    assert same, "something has changed"


def read(name: str, argument: bytes) -> dict[str, Any]:
    """Return the members of an argument that do not depend on who made the call, and when."""
    got = uapi.ffi.from_buffer(f"{struct_of(name).cname} *", argument)
    values = {member: getattr(got, member) for member, _ in struct_of(name).fields}
    return {
        member: value if isinstance(value, int) else bytes(uapi.ffi.buffer(value))
        for member, value in values.items()
        if member not in OTHERWISE
    }


@CONTEXTS
def test_a_call_tells_it_what_it_tells_python(
    module: Any, program: str, context: str, other: str
) -> None:
    """Of the same chunk, to the byte."""
    calls = [
        request("CM_IOC_QUERY"),
        request("CM_IOC_PIN"),
        request("CM_IOC_INFO"),
        request("CM_IOC_ATTEST", runs_capacity=2, pointer="runs", room=2 * RUN),
        request("CM_IOC_PATTERN", flags=uapi.PATTERN_FILL),
        request("CM_IOC_PATTERN", seed=2),
        request("CM_IOC_STATS"),
        request("CM_IOC_COMPACT"),
        request("CM_IOC_LAYOUT", capacity=4, pointer="entries", room=4 * ENTRY),
        request("CM_IOC_USERS", capacity=4, pointer="entries", room=4 * USER),
        request("CM_IOC_UNPIN"),
    ]
    asked = {number for number, *_ in calls}
    assert asked == {uapi.NUMBERS[name] for name in set(NAMES) - ITS_OWN}
    same, told, python = ask(module, program, calls, context=context, other=other, twice=True)
    assert told == python
    assert same and [failure for failure, *_ in told] == [0] * len(calls)


@CONTEXTS
def test_a_chunk_of_its_own_is_like_pythons(
    module: Any, program: str, context: str, other: str
) -> None:
    names = [f"CM_IOC_{it}" for it in ("ALLOC", "INFO", "PATTERN", "FREE", "INFO")]
    calls = [request(it, kind="new" if it == names[0] else "allocated") for it in names]
    _, told, python = ask(module, program, calls, context=context, other=other, twice=True)
    assert [failure for failure, *_ in told] == [0, 0, 0, 0, errno.ESTALE]
    for name, its, pythons in zip(names, told, python, strict=True):
        assert read(name, its[1]) == read(name, pythons[1])
    assert b"cm-compat\0" in told[1][1]


def test_an_array_that_is_too_short_is_filled_and_not_exceeded(module: Any, program: str) -> None:
    layout = {"name": "CM_IOC_LAYOUT", "pointer": "entries"}
    calls = [
        request("CM_IOC_ALLOC"),
        request(**layout, capacity=2, room=2 * ENTRY),
        request(**layout, capacity=1, room=ENTRY),
        request(**layout, capacity=2, room=2 * ENTRY - 1),
        request("CM_IOC_ATTEST", runs_capacity=1, pointer="runs", room=RUN - 1),
        request("CM_IOC_USERS", capacity=1, pointer="entries", room=USER - 1),
    ]
    _, (_, both, one, *short), _ = ask(module, program, calls)
    assert [it[0] for it in (both, one, *short)] == [0, 0, *[errno.EFAULT] * 3]
    assert [read("CM_IOC_LAYOUT", it[1])["count"] for it in (both, one)] == [2, 2]
    assert any(one[2]) and one[2] == both[2][:ENTRY]


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_length_is_refused(module: Any, program: str, name: str) -> None:
    valid = call(name)[1]
    calls = [request(name, valid[:size]) for size in range(len(valid))]
    refuse(module, program, calls, errno.EINVAL)
    if name in WRITING:
        tails = [bytes(at) + b"\1" for at in (0, 3, 7, PAGE)]
        refuse(module, program, [request(name, valid + it) for it in tails], errno.E2BIG)


@pytest.mark.parametrize("name", NAMES)
def test_a_longer_structure_works_and_its_tail_is_zero(
    module: Any, program: str, name: str
) -> None:
    valid = call(name)[1]
    fill = b"\0" if name in WRITING else b"\xff"
    first = [request("CM_IOC_PIN")] if name == "CM_IOC_UNPIN" else []
    for tail in (1, 8, PAGE):
        _, told, _ = ask(module, program, [*first, request(name, valid + tail * fill)])
        failure, after, _ = told[-1]
        assert (failure, after[len(valid) :]) == (0, bytes(tail))


@pytest.mark.parametrize("name", NAMES)
def test_an_inaccessible_structure_is_efault(module: Any, program: str, name: str) -> None:
    size = len(call(name)[1])
    calls = [request(name, beyond=beyond) for beyond in (1, size // 2, size)]
    calls += [request(name, address=address) for address in (0, 8, NOWHERE - 7)]
    refuse(module, program, calls, errno.EFAULT)


@pytest.mark.parametrize("name", READING)
def test_a_structure_that_cannot_be_written_back_is_efault(
    module: Any, program: str, name: str
) -> None:
    """And what was done until then is undone."""
    size = len(call(name)[1])
    calls = [request(name, beyond=beyond, there=READ_ONLY) for beyond in (1, size // 2)]
    refuse(module, program, calls, errno.EFAULT)


@pytest.mark.parametrize("name", WITH_FD)
def test_a_descriptor_that_is_no_live_chunk_of_the_context(
    module: Any, program: str, name: str
) -> None:
    expected = DESCRIPTORS | ({"other": 0} if name in TAKES_ANY_DMABUF else {})
    calls = [request(name, kind=kind) for kind in expected]
    refuse(module, program, calls, *expected.values())


def test_a_value_that_makes_no_sense_is_refused(module: Any, program: str) -> None:
    """A pointer into nowhere, too, and one that does not fit into 32 bits."""
    calls = [request(name, **members) for name, members, _ in WRONG_VALUES.values()]
    refuse(module, program, calls, *[number for _, _, number in WRONG_VALUES.values()])


def test_unknown_calls_are_enotty(module: Any, program: str) -> None:
    known = {number & 0xFF for number in uapi.NUMBERS.values()}
    valid = uapi.NUMBERS["CM_IOC_ALLOC"]
    numbers = [valid & ~0xFF | nr for nr in range(256) if nr not in known]
    numbers += [uapi.NUMBERS[name] for name in CONTROL]
    calls = [request("CM_IOC_ALLOC", number=number) for number in numbers]
    refuse(module, program, calls, errno.ENOTTY)


def heap_call(**how: Any) -> tuple[Any, ...]:
    """Describe an allocation by the call of the kernel's dma-heaps; it has no pointer member."""
    return (*heap.call(**how), NOWHERE, 0)


@CONTEXTS
def test_it_allocates_by_the_call_of_dma_heaps(
    module: Any, program: str, context: str, other: str
) -> None:
    """As Python does, and it can use what it gets."""
    calls = [heap_call(), request("CM_IOC_INFO", kind="allocated")]
    _, told, python = ask(module, program, calls, context=context, other=other, twice=True)
    assert [failure for failure, *_ in told] == [0, 0]
    assert read("CM_IOC_INFO", told[1][1]) == read("CM_IOC_INFO", python[1][1])
    assert b"cm-compat\0" in told[1][1]


def test_a_heaps_structure_that_cannot_be_written_back_is_efault(module: Any, program: str) -> None:
    calls = [heap_call(beyond=beyond, there=READ_ONLY) for beyond in (1, heap.SIZE // 2)]
    refuse(module, program, calls, errno.EFAULT)


def control(name: str, /, **members: Any) -> tuple[Any, ...]:
    """Describe a call to the control node."""
    return request(name, bytes(uapi.ffi.buffer(uapi.prepare(name, **members))), kind="new")


@pytest.fixture
def codec(module: Any) -> Iterator[str]:
    """The name of a bank that is in nobody's hands for the length of a test."""
    module.call(destroy, names=["private"])
    yield module.check("basename /proc/device-tree/reserved-memory/codec@*")
    module.check(RELOAD)


def look(context: str) -> list[Any]:
    """Return what a context is, and the quota that its caller has there."""
    import os

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    with Context(context) as pool:
        got = uapi.call(pool.fileno(), "CM_IOC_ALLOC", size=1)
        os.close(got.fd)
        state = pool.query()
        return [state.size, state.private, state.min_alignment, got.quota]


@pytest.mark.lg_feature("emulated")
def test_it_makes_a_context_and_removes_it(module: Any, program: str, codec: str) -> None:
    place = {"bank": codec.encode(), "offset": 16 * MIB, "size": 8 * MIB, "min_alignment": MIB}
    calls = [
        control("CM_IOC_CREATE", name=b"it", flags=uapi.CONTEXT_PRIVATE, **place),
        control("CM_IOC_QUOTA", name=b"it", bytes=3 * MIB, uid=0),
    ]
    scene = {"node": "control", "other": "shared"}
    assert [it[0] for it in ask(module, program, calls, **scene)[1]] == [0, 0]
    assert module.call(look, context="it") == [8 * MIB, True, MIB, 3 * MIB]
    calls = [control("CM_IOC_DESTROY", name=b"it")] * 2
    assert [it[0] for it in ask(module, program, calls, **scene)[1]] == [0, errno.ENOENT]
    assert module.check("ls /dev/cm").split() == ["control", "shared"]


def test_a_wrong_call_of_the_control_node_is_einval(module: Any, program: str) -> None:
    calls = [control(name, **members) for name, members, _ in WRONG.values()]
    calls += [request(name, bytes(3), kind="new") for name in CONTROL]
    refuse(module, program, calls, errno.EINVAL, node="control")
