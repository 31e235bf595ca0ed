# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Allocating on behalf of a process: who may, and for whom. Whose it is then: test_on_behalf.py.

The users here are numbers without a name.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest
from cm_agent.core.uapi import Reason

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
SYS_RESOURCE = 1 << 24
EVERY_OTHER = (1 << 64) - 1 ^ SYS_RESOURCE
ALICE, BOB = 61011, 61012


def refuse(context: str, case: str) -> dict[str, Any]:
    """Ask on behalf of somebody for whom that cannot be; tell the errno, and what has changed."""
    import ctypes
    import os
    import threading
    from contextlib import suppress

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

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

    from cm_agent.core.context import Context

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

    from cm_agent.core.context import Context

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

    from cm_agent.core.context import Context

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
