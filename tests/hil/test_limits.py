# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How many chunks there may be, of a user and in a context, how many mappings of one that moves,
and what a context may be called.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
UNIT, MIB = 1 << 16, 1 << 20
NO_CHUNKS, NO_BYTES = (1 << 32) - 1, (1 << 64) - 1
CAROL = 61003
DEFAULT = 4096


@pytest.fixture
def limited(module: Any) -> Iterator[Any]:
    """The board; parameter and quotas are as before afterwards."""
    yield module
    module.check(f"echo {DEFAULT} >/sys/module/cm/parameters/max_chunks")
    for context in ("shared", "private"):
        module.call(limit, context=context, uid=CAROL, bytes=NO_BYTES, chunks=NO_CHUNKS)


def limit(context: str, uid: int, bytes: int, chunks: int) -> None:
    """Set a quota."""
    from cm_agent.core import uapi
    from cm_agent.core.control import Control

    with Control() as control:
        asked = {"name": context.encode(), "uid": uid, "bytes": bytes, "chunks": chunks}
        uapi.call(control.fileno(), "CM_IOC_QUOTA", **asked)


def fill_with_pages(context: str, max_chunks: int | None) -> dict[str, Any]:
    """Allocate page after page until one is refused; free one and try once more."""
    import os
    import resource
    from pathlib import Path

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    if max_chunks:
        Path("/sys/module/cm/parameters/max_chunks").write_text(str(max_chunks))
    descriptors: list[int] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, limits[1])))

    def ask() -> list[Any]:
        request, number = uapi.prepare("CM_IOC_ALLOC", size=4096), 0
        try:
            uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
            descriptors.append(request.fd)
        except OSError as error:
            number = error.errno or 0
        return [number, uapi.Reason(request.reason).value, request.max_chunks, request.chunks]

    try:
        with Context(context) as pool:
            while not (refused := ask())[0] and len(descriptors) < 8000:
                pass
            count = len(descriptors)
            os.close(descriptors.pop())
            return {"count": count, "refused": refused, "then": ask(), "again": ask()}
    finally:
        for fd in descriptors:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


CHUNKS = 9
"""CM_REASON_CHUNKS"""


def test_a_context_has_4096_chunks_at_most(limited: Any) -> None:
    """Also if they are root's; one that goes makes room for another."""
    got = limited.call(fill_with_pages, timeout=600, context="private", max_chunks=None)
    refused = [errno.EDQUOT, CHUNKS, DEFAULT, DEFAULT]
    granted = [0, 0, DEFAULT, DEFAULT - 1]
    assert got == {"count": DEFAULT, "refused": refused, "then": granted, "again": refused}


@CONTEXTS
def test_the_parameter_sets_another_limit(limited: Any, context: str) -> None:
    got = limited.call(fill_with_pages, context=context, max_chunks=5)
    refused = [errno.EDQUOT, CHUNKS, 5, 5]
    assert got == {"count": 5, "refused": refused, "then": [0, 0, 5, 4], "again": refused}


# -- a user's quota


def alloc_by_quota(context: str, uid: int, sizes: list[int]) -> dict[str, Any]:
    """Allocate as a user; tell how each one ended, and what the quota says before, when all are
    there, and afterwards.
    """
    import grp
    import os

    from cm_agent.core import uapi
    from cm_agent.core.context import Context
    from cm_agent.core.control import Control

    def read() -> list[int]:
        asked = {"name": context.encode(), "uid": uid}
        got = uapi.call(control.fileno(), "CM_IOC_GET_QUOTA", quota=asked)
        return [got.quota.bytes, got.quota.chunks, got.used, got.used_chunks]

    told: dict[str, Any] = {"asked": []}
    groups, descriptors = os.getgroups(), []
    with Control() as control:
        told["before"] = read()
        os.setgroups([grp.getgrnam("cm").gr_gid])
        os.seteuid(uid)
        try:
            with Context(context) as pool:
                for size in sizes:
                    request, number = uapi.prepare("CM_IOC_ALLOC", size=size), 0
                    try:
                        uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
                        descriptors.append(request.fd)
                    except OSError as error:
                        number = error.errno or 0
                    numbers = [request.quota, request.used, request.max_chunks, request.chunks]
                    told["asked"].append([number, uapi.Reason(request.reason).value, *numbers])
        finally:
            os.seteuid(0)
            os.setgroups(groups)
        told["during"] = read()
        for fd in descriptors:
            os.close(fd)
        told["after"] = read()
    return told


@CONTEXTS
def test_a_quota_limits_the_number_of_a_users_chunks(limited: Any, context: str) -> None:
    """And who is refused, or asks, is told the numbers."""
    limited.call(limit, context=context, uid=CAROL, bytes=NO_BYTES, chunks=2)
    got = limited.call(alloc_by_quota, context=context, uid=CAROL, sizes=[MIB, 65000, 4096])
    assert got["asked"] == [
        [0, 0, NO_BYTES, 0, 2, 0],
        [0, 0, NO_BYTES, 0, 2, 1],
        [errno.EDQUOT, CHUNKS, NO_BYTES, 0, 2, 2],
    ]
    assert got["before"] == got["after"] == [NO_BYTES, 2, 0, 0]
    assert got["during"] == [NO_BYTES, 2, MIB + UNIT, 2]


@CONTEXTS
def test_bytes_and_chunks_are_limited_side_by_side(limited: Any, context: str) -> None:
    quota = 8
    limited.call(limit, context=context, uid=CAROL, bytes=2 * MIB, chunks=3)
    sizes = [MIB, 2 * MIB, UNIT, UNIT, UNIT]
    got = limited.call(alloc_by_quota, context=context, uid=CAROL, sizes=sizes)
    assert got["asked"] == [
        [0, 0, 2 * MIB, 0, 3, 0],
        [errno.EDQUOT, quota, 2 * MIB, MIB, 3, 1],
        [0, 0, 2 * MIB, MIB, 3, 1],
        [0, 0, 2 * MIB, MIB + UNIT, 3, 2],
        [errno.EDQUOT, CHUNKS, 2 * MIB, MIB + 2 * UNIT, 3, 3],
    ]
    assert got["during"] == [2 * MIB, 3, MIB + 2 * UNIT, 3]


def alloc_in_a_namespace(context: str, uid: int, users: int, size: int) -> list[list[Any]]:
    """Make a user namespace as a user, with some ids in it, and allocate as each of them."""
    import ctypes
    import grp
    import json
    import os

    from cm_agent.core import uapi

    libc, new_user = ctypes.CDLL(None, use_errno=True), 0x10000000
    (ready, tell_ready), (go, tell_go), (answer, tell) = os.pipe(), os.pipe(), os.pipe()

    def ask() -> list[Any]:
        request, number = uapi.prepare("CM_IOC_ALLOC", size=size), 0
        try:
            uapi.submit(os.open(f"/dev/cm/{context}", os.O_RDWR), "CM_IOC_ALLOC", request)
        except OSError as error:
            number = error.errno or 0
        return [number, request.used]

    def inside() -> list[list[Any]]:
        os.setgroups([grp.getgrnam("cm").gr_gid])
        os.setresuid(uid, uid, uid)
        if libc.unshare(new_user):
            raise OSError(ctypes.get_errno(), "unshare")
        os.write(tell_ready, b"1")
        os.read(go, 1)
        told = []
        for user in range(users):
            os.setresuid(user, user, 0)
            told.append(ask())
            os.setresuid(0, 0, 0)
        return told

    if not (child := os.fork()):
        try:
            os.write(tell, json.dumps(inside()).encode())
        except OSError as error:
            os.write(tell, json.dumps([[error.errno, str(error)]]).encode())
        finally:
            os._exit(0)
    for fd in (tell_ready, go, tell):
        os.close(fd)
    if os.read(ready, 1):
        with open(f"/proc/{child}/uid_map", "w") as file:
            file.write(f"0 {uid} 1\n1 200000 {users}\n")
        os.write(tell_go, b"1")
    with os.fdopen(answer) as pipe:
        told: list[list[Any]] = json.loads(pipe.read())
    os.waitpid(child, 0)
    os.close(ready)
    os.close(tell_go)
    return told


@CONTEXTS
def test_a_user_namespace_has_no_quota_of_its_own(limited: Any, context: str) -> None:
    """Whatever ids its users have: they count as the user who made it."""
    limited.call(limit, context=context, uid=CAROL, bytes=8 * MIB, chunks=NO_CHUNKS)
    scene = {"uid": CAROL, "users": 4, "size": 3 * MIB}
    got = limited.call(alloc_in_a_namespace, context=context, **scene)
    assert got == [[0, 0], [0, 3 * MIB], [errno.EDQUOT, 6 * MIB], [errno.EDQUOT, 6 * MIB]]


# -- mappings of one chunk

MAPPINGS = 64
"""A chunk with more of them stays where it is."""


def map_often(context: str, count: int, how: str) -> list[Any]:
    """Map a chunk that must make way so often, or `how`: have a child double that; compact; end
    one mapping (or the child), and compact again. Tell LAYOUT, then how that ended, of both.
    """
    import mmap
    import os
    import signal

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    def compact() -> list[Any]:
        (entry,) = (it for it in pool.layout() if it.id == chunk.id)
        try:
            moves, reason = pool.compact(pool.query().free).moves, "NONE"
        except AllocationError as error:
            moves, reason = 0, error.reason.name
        return [entry.immovable, moves, reason]

    child = 0
    with Context(context) as pool, pool.alloc(1 << 20) as first, pool.alloc(1 << 20) as chunk:
        first.close()
        views = [mmap.mmap(chunk.fd, chunk.size) for _ in range(count)]
        views[0][:4] = b"here"
        if how == "fork" and not (child := os.fork()):
            signal.pause()
        told = [compact()]
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        else:
            views.pop().close()
        told.append(compact())
        told.append({view[:4] for view in views} == {b"here"})
        for view in views:
            view.close()
    return told


@CONTEXTS
@pytest.mark.parametrize("how", ["mmap", "fork"])
def test_a_chunk_that_is_mapped_too_often_stays_until_it_is_not(
    module: Any, context: str, how: str
) -> None:
    """It makes way no more: a move would have to look at each mapping."""
    count = MAPPINGS + 1 if how == "mmap" else MAPPINGS // 2 + 1
    first, then, same = module.call(map_often, context=context, count=count, how=how)
    assert first[:2] == [True, 0] and first[2] in ("BUSY", "FRAGMENTED"), first
    assert then == [False, 1, "NONE"] and same


@CONTEXTS
def test_a_chunk_that_is_mapped_64_times_moves(module: Any, context: str) -> None:
    first, _, same = module.call(map_often, context=context, count=MAPPINGS, how="mmap")
    assert first == [False, 1, "NONE"] and same


# -- names


def create(names: list[list[int]], bank: str) -> list[list[Any]]:
    """Create contexts with these bytes as names; tell errno and sentence of each one."""
    from cm_agent.core import uapi
    from cm_agent.core.control import Control

    told: list[list[Any]] = []
    with Control() as control:
        for name in names:
            request = uapi.prepare("CM_IOC_CREATE", name=bytes(name), bank=bank.encode())
            number = 0
            try:
                uapi.submit(control.fileno(), "CM_IOC_CREATE", request)
            except OSError as error:
                number = error.errno or 0
            told.append([number, uapi.text(request.error)])
    return told


NAMES = [
    b"caf\xe9",
    b"\xdf",
    b"\xaa",
    b"stra\xc3\x9fe",
    b"\xf8l",
    b"Left",
    b"a b",
    b"a/b",
    b".",
    b"",
]


@pytest.mark.lg_feature("device-tree")
def test_a_name_is_of_a_to_z_digits_and_two_more(module: Any, banks: dict[str, str]) -> None:
    """In ASCII: what other codes take for small letters is none."""
    got = module.call(create, names=[list(name) for name in NAMES], bank=banks["shared"])
    assert [number for number, _ in got] == [errno.EINVAL] * len(NAMES), got
    assert all("must be 1 to 31 of a-z, 0-9, - and _" in said for _, said in got), got
    assert module.check("ls /dev/cm").split() == ["control", "private", "shared"]
