# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""CM_IOC_USERS: who has how much of a context, and what they may have. Bad input: test_ioctl.py.

The users here are numbers without a name.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest
from cm_agent.core import uapi

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
UNIT, MIB = 1 << 16, 1 << 20
ENTRY = uapi.ffi.sizeof("struct cm_user")
ALICE, BOB, CAROL = 61031, 61032, 61033
# No test gives these a quota of their own: once set, it stays one, even if it is none.
DORA, EMIL = 61034, 61035
OVERFLOW = 65534
"""The user that one without a number in a user namespace is there."""


def look(
    context: str, quotas: list[Any], sizes: dict[int, int], steps: list[Any]
) -> dict[str, Any]:
    """Set quotas, have users open the context and allocate; tell who is seen by whom.

    A quota is of a user or None, for all without one: bytes or None, chunks or None. A step is a
    user to look as; or "close", which closes all chunks; or a quota; or "namespace", to look as
    a user without a number in a user namespace of their own. Quotas are gone afterwards.
    """
    import ctypes
    import grp
    import json
    import os
    from contextlib import ExitStack, contextmanager
    from dataclasses import astuple

    from cm_agent.core.context import Context
    from cm_agent.core.control import Control

    new_user, groups = 0x10000000, os.getgroups()

    @contextmanager
    def acting_as(uid: int) -> Any:
        os.setgroups([grp.getgrnam("cm").gr_gid])
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setgroups(groups)

    def users() -> list[Any]:
        with Context(context) as mine:
            return [list(astuple(it)) for it in mine.users()]

    def users_in_a_namespace(uid: int) -> list[Any]:
        reader, writer = os.pipe()
        if not (child := os.fork()):
            try:
                os.setgroups([grp.getgrnam("cm").gr_gid])
                os.setresuid(uid, uid, uid)
                assert not ctypes.CDLL(None).unshare(new_user)
                os.write(writer, json.dumps(users()).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
        return json.loads(told)

    told: list[Any] = []
    with Control() as control, ExitStack() as stack:

        def limit(uid: int | None, size: int | None, chunks: int | None) -> None:
            control.set_quota(context, size, uid=uid, chunks=chunks)

        for quota in quotas:
            limit(*quota)
            stack.callback(limit, quota[0], None, None)
        chunks = stack.enter_context(ExitStack())
        for uid, size in sizes.items():
            with acting_as(int(uid)):
                mine = stack.enter_context(Context(context))
            chunks.enter_context(mine.alloc(size))
        for step in steps:
            if step == "close":
                chunks.close()
            elif isinstance(step, list):
                limit(*step)
            elif step == "namespace":
                told.append(users_in_a_namespace(61033))
            elif step:
                with acting_as(step):
                    told.append(users())
            else:
                told.append(users())
    return {"told": told, "left": users()}


@CONTEXTS
def test_root_sees_all_who_have_chunks_or_a_quota_of_their_own(module: Any, context: str) -> None:
    """With what applies to each of them."""
    quotas = [[None, 8 * MIB, None], [ALICE, 2 * MIB, 3]]
    scene = {"quotas": quotas, "sizes": {EMIL: UNIT, DORA: 2 * UNIT}, "steps": [0]}
    got = module.call(look, context=context, **scene)
    alice, dora = [ALICE, 0, 2 * MIB, 0, 3], [DORA, 2 * UNIT, 8 * MIB, 1, None]
    emil = [EMIL, UNIT, 8 * MIB, 1, None]
    assert got == {"told": [[alice, dora, emil]], "left": []}


@CONTEXTS
def test_others_see_themselves_only_and_always(module: Any, context: str) -> None:
    """Those who have nothing, too."""
    scene = {"quotas": [[ALICE, 2 * MIB, 3]], "sizes": {ALICE: UNIT}, "steps": [ALICE, BOB]}
    got = module.call(look, context=context, **scene)
    assert got["told"] == [[[ALICE, UNIT, 2 * MIB, 1, 3]], [[BOB, 0, None, 0, None]]]


@CONTEXTS
def test_a_user_is_as_seen_from_the_callers_user_namespace(module: Any, context: str) -> None:
    scene = {"quotas": [[CAROL, MIB, None]], "sizes": {ALICE: UNIT}, "steps": ["namespace"]}
    got = module.call(look, context=context, **scene)
    assert got["told"] == [[[OVERFLOW, 0, MIB, 0, None]]]


@CONTEXTS
def test_a_user_vanishes_with_the_last_chunk_and_the_quota(module: Any, context: str) -> None:
    """Whichever goes first."""
    none = [ALICE, None, None]
    scene = {"quotas": [[ALICE, MIB, None]], "sizes": {ALICE: UNIT}}
    got = module.call(look, context=context, **scene, steps=[none, 0, "close", 0])
    assert got["told"] == [[[ALICE, UNIT, None, 1, None]], []]
    got = module.call(look, context=context, **scene, steps=["close", 0, none, 0])
    assert got["told"] == [[[ALICE, 0, MIB, 0, None]], []]


def fill(context: str, capacities: list[int], uids: list[int]) -> list[list[Any]]:
    """Give users quotas and list them in arrays of these capacities; tell the count, and which
    entries were filled in.
    """
    from cm_agent.core import uapi
    from cm_agent.core.context import Context
    from cm_agent.core.control import Control

    told = []
    with Context(context) as pool, Control() as control:
        for uid in uids:
            control.set_quota(context, 1 << 20, uid=uid)
        for capacity in capacities:
            room = uapi.new_users(8)
            uapi.ffi.memmove(room, b"\xff" * uapi.ffi.sizeof(room), uapi.ffi.sizeof(room))
            entries = uapi.address_of(room) if capacity else 0
            got = uapi.call(pool.fileno(), "CM_IOC_USERS", entries=entries, capacity=capacity)
            filled = [it.uid for it in room if it.bytes == 0 and it.reserved == 0]
            told.append([got.count, len(filled), set(filled) <= set(uids), len(set(filled))])
        for uid in uids:
            control.set_quota(context, None, uid=uid)
    return told


@CONTEXTS
def test_no_more_are_stored_than_there_is_room_for(module: Any, context: str) -> None:
    """And all are counted."""
    scene = {"capacities": [0, 1, 2, 3, 8, (1 << 32) - 1], "uids": [ALICE, BOB, CAROL]}
    got = module.call(fill, context=context, **scene)
    assert got == [[3, stored, True, stored] for stored in (0, 1, 2, 3, 3, 3)]


def store(context: str, uid: int, rooms: list[int]) -> list[int]:
    """List the users, as one who has a chunk, in arrays that end flush with accessible memory.

    They have these bytes. Tell each call's errno.
    """
    import ctypes
    import grp
    import mmap
    import os

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    memory, groups, told = mmap.mmap(-1, 2 * mmap.PAGESIZE), os.getgroups(), []
    end = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + mmap.PAGESIZE
    assert not ctypes.CDLL(None).mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, 0)
    os.setgroups([grp.getgrnam("cm").gr_gid])
    os.seteuid(uid)
    try:
        with Context(context) as pool, pool.alloc(4096):
            for room in rooms:
                number, where = 0, {"entries": end - room, "capacity": 2}
                try:
                    uapi.call(pool.fileno(), "CM_IOC_USERS", **where)
                except OSError as error:
                    number = error.errno or 0
                told.append(number)
    finally:
        os.seteuid(0)
        os.setgroups(groups)
    return told


@CONTEXTS
@pytest.mark.parametrize("uid", [0, ALICE])
def test_an_array_that_cannot_be_written_to_is_efault(module: Any, context: str, uid: int) -> None:
    """For root and for others; there need be no more room than for those who are there."""
    got = module.call(store, context=context, uid=uid, rooms=[ENTRY, ENTRY - 1, 8, 0])
    assert got == [0, *[errno.EFAULT] * 3]


def alloc_and_ask(command: str, uid: int, size: int) -> str:
    """Hold a chunk of a user's and run a command."""
    import grp
    import os
    import subprocess

    from cm_agent.core.context import Context

    groups = os.getgroups()
    os.setgroups([grp.getgrnam("cm").gr_gid])
    os.seteuid(uid)
    try:
        pool = Context("shared")
    finally:
        os.seteuid(0)
        os.setgroups(groups)
    with pool, pool.alloc(size):
        return subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout


def test_the_command_lists_the_users(module: Any) -> None:
    got = module.call(alloc_and_ask, command="cm-agent quota shared", uid=ALICE, size=MIB)
    assert got.splitlines() == [
        "shared: each user without a quota of their own may have as much as there is",
        "USER   IN USE  QUOTA  CHUNKS  MAX CHUNKS",
        f"{ALICE}   1 MiB   none       1        none",
    ]
