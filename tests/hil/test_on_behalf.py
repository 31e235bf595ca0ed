# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Allocating on behalf of a process: whose chunk and quota it is. Who may: test_broker.py.

The users here are numbers without a name.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from cm_agent.core.uapi import QUOTA_NO_CHUNKS, QUOTA_NONE, Reason

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
UNIT, MIB = 1 << 16, 1 << 20
ALICE, BOB = 61011, 61012
TEN = list(range(61020, 61030))
QUOTA, CHUNKS = Reason.QUOTA.value, Reason.CHUNKS.value


# -- whose chunk and quota it is


def serve(context: str, clients: list[int], quotas: list[Any], asks: list[Any]) -> dict[str, Any]:
    """Have a process live for each of these users, and allocate on behalf of one after the other.

    A quota is a user, bytes or None, and chunks or None. Who asks, in the place of a client's
    number, for -1 is the caller, who is root. Tell how each one ended, what INFO has, and LAYOUT
    and what the users have once all are there.
    """
    import os
    import resource
    import signal

    from cm_agent.core import uapi
    from cm_agent.core.context import Context
    from cm_agent.core.control import Control

    def start(number: int, uid: int) -> int:
        reader, writer = os.pipe()
        if not (child := os.fork()):
            try:
                with open("/proc/self/comm", "w") as comm:
                    comm.write(f"client {number}")
                if uid:
                    os.setgroups([])
                    os.setresuid(uid, uid, uid)
                os.write(writer, b"1")
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        assert os.read(reader, 1)
        os.close(reader)
        return child

    def whose(it: Any) -> list[Any]:
        return [it.uid, it.pid, uapi.text(it.comm)]

    pids = [start(number, uid) for number, uid in enumerate(clients)]
    told: dict[str, Any] = {"pids": pids, "own": os.getpid(), "asked": [], "info": []}
    descriptors: list[int] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, limits[1])))
    try:
        with Context(context) as pool, Control() as control:
            for uid, size, chunks in quotas:
                control.set_quota(context, size, uid=uid, chunks=chunks)
            for client, size in asks:
                owner_pid = 0 if client < 0 else pids[client]
                request = uapi.prepare("CM_IOC_ALLOC", size=size, owner_pid=owner_pid)
                number = 0
                try:
                    uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
                    descriptors.append(request.fd)
                    got = uapi.call(pool.fileno(), "CM_IOC_INFO", fd=request.fd)
                    told["info"].append(whose(got))
                except OSError as error:
                    number = error.errno or 0
                numbers = [request.quota, request.used, request.max_chunks, request.chunks]
                told["asked"].append([number, request.reason, *numbers])
            told["layout"] = [[it.uid, it.pid, it.comm, it.size] for it in pool.layout()]
            told["users"] = {it.uid: [it.bytes, it.chunks] for it in pool.users()}
            for uid, _, _ in quotas:
                control.set_quota(context, None, uid=uid, chunks=None)
    finally:
        for fd in descriptors:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return told


@CONTEXTS
def test_a_chunk_is_the_process_for_which_it_was_allocated(module: Any, context: str) -> None:
    """INFO and LAYOUT have its user, number and name; the caller's own are as ever."""
    asks = [[0, UNIT], [-1, UNIT]]
    got = module.call(serve, context=context, clients=[ALICE], quotas=[], asks=asks)
    assert got["info"][0] == [ALICE, got["pids"][0], "client 0"]
    assert got["info"][1][:2] == [0, got["own"]]
    assert sorted(it[:3] for it in got["layout"]) == sorted(got["info"])
    assert got["users"] == {ALICE: [UNIT, 1], 0: [UNIT, 1]}


@CONTEXTS
def test_the_quota_is_that_of_the_process(module: Any, context: str) -> None:
    """What the caller may exceed is the caller's alone."""
    quotas = [[ALICE, 2 * MIB, 2], [0, 0, 0]]
    asks = [[0, MIB], [0, MIB + UNIT], [0, UNIT], [0, UNIT], [1, 4 * MIB], [-1, UNIT]]
    got = module.call(serve, context=context, clients=[ALICE, BOB], quotas=quotas, asks=asks)
    most = got["asked"][4][4]
    assert got["asked"] == [
        [0, 0, 2 * MIB, 0, 2, 0],
        [errno.EDQUOT, QUOTA, 2 * MIB, MIB, 2, 1],
        [0, 0, 2 * MIB, MIB, 2, 1],
        [errno.EDQUOT, CHUNKS, 2 * MIB, MIB + UNIT, 2, 2],
        [0, 0, QUOTA_NONE, 0, most, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert most < QUOTA_NO_CHUNKS


@CONTEXTS
def test_a_process_that_may_exceed_its_quota_does(module: Any, context: str) -> None:
    got = module.call(serve, context=context, clients=[0], quotas=[[0, 0, 0]], asks=[[0, UNIT]])
    assert got["asked"] == [[0, 0, 0, 0, 0, 0]]
    assert got["info"] == [[0, got["pids"][0], "client 0"]]


@CONTEXTS
def test_a_thousand_allocations_for_ten_users(module: Any, context: str, page_size: int) -> None:
    """Each user has their hundred, and the one more is beyond their quota."""
    quotas = [[uid, None, 100] for uid in TEN]
    asks = [[number % 10, page_size] for number in range(1000)] + [[it, 1] for it in range(10)]
    scene = {"clients": TEN, "quotas": quotas, "asks": asks}
    got = module.call(serve, timeout=300, context=context, **scene)
    assert [it[:2] for it in got["asked"]] == [[0, 0]] * 1000 + [[errno.EDQUOT, CHUNKS]] * 10
    assert got["users"] == {uid: [100 * page_size, 100] for uid in TEN}
    owners = zip(TEN, got["pids"], strict=True)
    assert Counter(tuple(it) for it in got["layout"]) == {
        (uid, pid, f"client {number}", page_size): 100 for number, (uid, pid) in enumerate(owners)
    }


# -- who frees it


def free_what_was_got(context: str, owner: int, other: int) -> list[int]:
    """Allocate on behalf of a user, and have first another one, then that one free the chunk."""
    import array
    import grp
    import os
    import socket

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    group = grp.getgrnam("cm").gr_gid

    def start(uid: int) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        if (child := os.fork()) == 0:
            try:
                ours.close()
                os.setgroups([group])
                os.setresuid(uid, uid, uid)
                mine, number = Context(context), 0
                theirs.send(b"1")
                _, (ancillary,), _, _ = theirs.recvmsg(1, socket.CMSG_SPACE(4))
                fd = array.array("i", ancillary[2][:4])[0]
                try:
                    uapi.call(mine.fileno(), "CM_IOC_FREE", fd=fd)
                except OSError as error:
                    number = error.errno or 0
                theirs.send(bytes([number]))
            finally:
                os._exit(0)
        theirs.close()
        assert ours.recv(1) == b"1"
        return child, ours

    def let_free(channel: socket.socket, fd: int) -> int:
        socket.send_fds(channel, [b"1"], [fd])
        return channel.recv(1)[0]

    users = {uid: start(uid) for uid in (owner, other)}
    try:
        with Context(context) as pool:
            before = pool.query()
            with pool.alloc(1 << 20, owner_pid=users[owner][0]) as chunk:
                told = [let_free(users[uid][1], chunk.fd) for uid in (other, owner)]
                return [*told, pool.query() == before]
    finally:
        for child, channel in users.values():
            channel.close()
            os.waitpid(child, 0)


@CONTEXTS
def test_the_owner_frees_it_and_no_other_user(module: Any, context: str) -> None:
    """Through a node that they have opened themselves."""
    got = module.call(free_what_was_got, context=context, owner=ALICE, other=BOB)
    assert got == [errno.EPERM, 0, True]


# -- what a caller is told


@pytest.fixture
def sleeper(module: Any) -> Iterator[int]:
    """The number of a process that has ended."""
    yield int(module.check("sh -c 'echo $$'"))


def say(context: str, pid: int) -> str:
    """Allocate on behalf of a process; return the error's text."""
    from cm_agent.core.context import Context

    with Context(context) as pool:
        try:
            pool.alloc(4096, owner_pid=pid).close()
        except ProcessLookupError as error:
            return str(error)
    return ""


def test_the_error_names_the_process_and_what_to_do(module: Any, sleeper: int) -> None:
    got = module.call(say, context="shared", pid=sleeper)
    assert f"process {sleeper}, which has ended, is a thread, or" in got
    assert "use the pid that the process has here" in got
