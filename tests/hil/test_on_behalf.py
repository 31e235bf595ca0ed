# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Allocating on behalf of a process: who may, for whom, and whose chunk and quota it is then.

The users here are numbers without a name.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from cm_agent.uapi import QUOTA_NO_CHUNKS, QUOTA_NONE, Reason

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
UNIT, MIB = 1 << 16, 1 << 20
SYS_RESOURCE = 1 << 24
EVERY_OTHER = (1 << 64) - 1 ^ SYS_RESOURCE
ALICE, BOB = 61011, 61012
TEN = list(range(61020, 61030))
QUOTA, CHUNKS = Reason.QUOTA.value, Reason.CHUNKS.value


# -- who may, and for whom


def refuse(context: str, case: str) -> dict[str, Any]:
    """Ask on behalf of somebody for whom that cannot be; tell the errno, and what has changed."""
    import ctypes
    import os
    import threading
    from contextlib import suppress

    from cm_agent import uapi
    from cm_agent.context import Context

    def of_the_dead(reap: bool) -> int:
        if not (child := os.fork()):
            os._exit(0)
        os.waitid(os.P_PID, child, os.WEXITED | (0 if reap else os.WNOWAIT))
        return child

    def without_capability() -> None:
        libc, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0)
        sets = (ctypes.c_uint32 * 6)()
        libc.capget(header, sets)
        sets[0] &= ~(1 << 24)
        assert not libc.capset(header, sets)

    def ask(owner_pid: int, **members: int) -> Any:
        request, number = uapi.prepare("CM_IOC_ALLOC", size=4096, owner_pid=owner_pid), 0
        for name, value in members.items():
            setattr(request, name, value)
        try:
            uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
        except OSError as error:
            number = error.errno or 0
        return [number, request.reason, request.fd]

    def in_a_child(owner_pid: int) -> Any:
        reader, writer = os.pipe()
        if not (child := os.fork()):
            try:
                without_capability()
                told = ask(owner_pid)
                os.write(writer, b"".join(it.to_bytes(4, "little", signed=True) for it in told))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            words = pipe.read()
        os.waitpid(child, 0)
        return [int.from_bytes(words[at : at + 4], "little", signed=True) for at in (0, 4, 8)]

    def of_a_thread() -> Any:
        end, told = threading.Event(), threading.Event()
        numbers: list[int] = []

        def live() -> None:
            numbers.append(threading.get_native_id())
            told.set()
            end.wait()

        thread = threading.Thread(target=live)
        thread.start()
        told.wait()
        try:
            return ask(numbers[0])
        finally:
            end.set()
            thread.join()

    cases = {
        "dead": lambda: ask(of_the_dead(reap=True)),
        "dead, and nobody has taken note of it": lambda: ask(of_the_dead(reap=False)),
        "a thread": of_a_thread,
        "nobody": lambda: ask((1 << 31) - 1),
        "negative": lambda: ask(-1),
        "most negative": lambda: ask(-(1 << 31)),
        "reserved": lambda: ask(os.getpid(), reserved=1),
        "without the capability": lambda: in_a_child(os.getpid()),
        "without the capability, for nobody": lambda: in_a_child((1 << 31) - 1),
    }
    with Context(context) as pool:
        before, counted = pool.query(), pool.stats()
        got = cases[case]()
        with suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        after = pool.stats()
        return {
            "got": got,
            "same": pool.query() == before,
            "attempts": after.attempts - counted.attempts,
            "failures": after.failures[uapi.Reason.INVALID] - counted.failures[uapi.Reason.INVALID],
        }


REFUSED = {
    "dead": errno.ESRCH,
    "dead, and nobody has taken note of it": errno.ESRCH,
    "a thread": errno.ESRCH,
    "nobody": errno.ESRCH,
    "negative": errno.EINVAL,
    "most negative": errno.EINVAL,
    "reserved": errno.EINVAL,
    "without the capability": errno.EPERM,
    "without the capability, for nobody": errno.EPERM,
}


@CONTEXTS
@pytest.mark.parametrize("case", REFUSED)
def test_somebody_for_whom_it_cannot_be_is_refused(module: Any, context: str, case: str) -> None:
    """Nothing is allocated, and it counts as a failure."""
    got = module.call(refuse, context=context, case=case)
    said = [REFUSED[case], Reason.INVALID.value, -1]
    assert got == {"got": said, "same": True, "attempts": 1, "failures": 1}


def ask_with(context: str, capabilities: int, client: int, broker: int) -> dict[str, Any]:
    """Allocate on behalf of a user's process, as another user who has no more than these.

    Tell the errno, whose the chunk is, and whether CAP_SYS_ADMIN was among them.
    """
    import ctypes
    import grp
    import json
    import os
    import re
    import signal
    from pathlib import Path

    from cm_agent.context import Context

    def become_broker() -> None:
        keep_capabilities, libc = 8, ctypes.CDLL(None)
        assert not libc.prctl(keep_capabilities, 1, 0, 0, 0)
        os.setgroups([grp.getgrnam("cm").gr_gid])
        os.setresuid(broker, broker, broker)
        header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert not libc.capget(header, sets)
        for effective, bits in ((0, capabilities), (3, capabilities >> 32)):
            permitted = effective + 1
            sets[permitted] &= bits
            sets[effective] = sets[permitted]
        assert not libc.capset(header, sets)

    def ask() -> dict[str, Any]:
        status = Path("/proc/self/status").read_text()
        admin = int(re.findall(r"CapEff:\s+(\w+)", status)[0], 16) >> 21 & 1
        try:
            with Context(context) as pool, pool.alloc(4096, owner_pid=pid) as chunk:
                info = pool.info(chunk)
                return {"errno": 0, "of": [info.uid, info.pid == pid], "admin": admin}
        except OSError as error:
            return {"errno": error.errno, "of": None, "admin": admin}

    os.seteuid(client)
    if not (pid := os.fork()):
        signal.pause()
        os._exit(1)
    os.seteuid(0)
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            become_broker()
            os.write(writer, json.dumps(ask()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    os.kill(pid, signal.SIGKILL)
    for ended in (pid, child):
        os.waitpid(ended, 0)
    return json.loads(told)


@CONTEXTS
def test_a_broker_needs_the_one_capability_and_no_other(module: Any, context: str) -> None:
    """Who has it need not be root, nor be able to do anything else to the process."""
    scene = {"context": context, "client": ALICE, "broker": BOB}
    got = module.call(ask_with, capabilities=SYS_RESOURCE, **scene)
    assert got == {"errno": 0, "of": [ALICE, True], "admin": 0}


@CONTEXTS
def test_no_other_capability_makes_a_broker(module: Any, context: str) -> None:
    """Nor do all of them."""
    scene = {"context": context, "client": ALICE, "broker": BOB}
    got = module.call(ask_with, capabilities=EVERY_OTHER, **scene)
    assert got == {"errno": errno.EPERM, "of": None, "admin": 1}


def ask_after_the_first_thread(context: str, uid: int) -> dict[str, Any]:
    """Allocate on behalf of a user's process of two threads, the first of which has ended.

    Tell whose the chunk is, and the states of the threads, the first one's first.
    """
    import ctypes
    import os
    import signal
    import threading
    import time
    from pathlib import Path

    from cm_agent.context import Context

    def live_on_without_it() -> None:
        threading.Thread(target=time.sleep, args=(600,)).start()
        Path("/proc/self/comm").write_text("first")
        os.setresuid(uid, uid, uid)
        # The system call ends this thread alone, which no function of Python's does.
        ctypes.CDLL(None).syscall(93 if os.uname().machine == "aarch64" else 1, 0)

    def states() -> str:
        tasks = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda it: int(it.name) != pid)
        return "".join((it / "stat").read_text().rpartition(") ")[2][0] for it in tasks)

    if not (pid := os.fork()):
        try:
            live_on_without_it()
        finally:
            os._exit(1)
    try:
        end = time.monotonic() + 60
        while states() != "ZS" and time.monotonic() < end:
            time.sleep(0.01)
        with Context(context) as pool, pool.alloc(4096, owner_pid=pid) as chunk:
            info = pool.info(chunk)
            return {"of": [info.uid, info.pid == pid, info.comm], "states": states()}
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@CONTEXTS
def test_a_process_lives_as_long_as_any_thread_of_it(module: Any, context: str) -> None:
    """Its number, user and name are those of its first thread, which may have ended."""
    got = module.call(ask_after_the_first_thread, context=context, uid=ALICE)
    assert got == {"of": [ALICE, True, "first"], "states": "ZS"}


def ask_in_a_namespace(context: str) -> dict[str, Any]:
    """Allocate in a pid namespace of one's own, for a process outside and for process 1."""
    import ctypes
    import json
    import os

    from cm_agent.context import Context

    new_pid = 0x20000000
    outside = os.getpid()
    reader, writer = os.pipe()

    def ask(owner_pid: int) -> list[Any]:
        try:
            with pool.alloc(4096, owner_pid=owner_pid) as chunk:
                return [0, pool.info(chunk).pid]
        except OSError as error:
            return [error.errno, 0]

    with Context(context) as pool:
        if not (child := os.fork()):
            try:
                assert not ctypes.CDLL(None).unshare(new_pid)
                if not (first := os.fork()):
                    told = {"outside": ask(outside), "inside": ask(1), "own": os.getpid()}
                    os.write(writer, json.dumps(told).encode())
                    os._exit(0)
                os.waitpid(first, 0)
                os.write(writer, json.dumps(first).encode().rjust(16))
            finally:
                os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as pipe:
            words = pipe.read()
    return json.loads(words[:-16]) | {"first": int(words[-16:])}


@CONTEXTS
def test_a_number_is_of_the_callers_pid_namespace(module: Any, context: str) -> None:
    """A process outside has none there; INFO has that of the initial namespace."""
    got = module.call(ask_in_a_namespace, context=context)
    assert got["outside"] == [errno.ESRCH, 0]
    assert got["inside"] == [0, got["first"]] and got["own"] == 1


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

    from cm_agent import uapi
    from cm_agent.context import Context
    from cm_agent.control import Control

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

    from cm_agent import uapi
    from cm_agent.context import Context

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
    from cm_agent.context import Context

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
