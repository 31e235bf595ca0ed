# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whose a chunk is: who may free it, who cannot keep it from being freed, who is told of it.

The owner is the user who opened the node. The users here are numbers without a name.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
SIZE = 1 << 20
ALICE, BOB = 61001, 61002


def free_between_users(context: str, opens: int, frees: int, via: int) -> dict[str, Any]:
    """Allocate through a node that one user opened; free it as another through a node that maybe a
    third one opened. Tell what became of it, and of the chunk when it is root who frees it then.
    """
    import grp
    import mmap
    import os
    from contextlib import contextmanager

    from cm_agent.core.context import Context

    @contextmanager
    def acting_as(uid: int) -> Any:
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)

    def free(pool: Any, chunk: Any) -> int:
        try:
            pool.free(chunk)
        except OSError as error:
            return error.errno or 0
        return 0

    groups = os.getgroups()
    os.setgroups([grp.getgrnam("cm").gr_gid])
    try:
        with acting_as(opens):
            pool = Context(context)
        with acting_as(via):
            other = Context(context) if via != opens else pool
    finally:
        os.setgroups(groups)
    with pool, other:
        empty = pool.query()
        chunk = pool.alloc(1 << 20)
        with chunk, mmap.mmap(chunk.fd, chunk.size) as view:
            view[:4] = b"mine"
            before, owner = pool.query(), pool.info(chunk).uid
            with acting_as(frees):
                number = free(other, chunk)
            told = {"owner": owner, "errno": number}
            if number:
                told["same"] = pool.query() == before and view[:4] == b"mine"
                told["root"] = free(other, chunk)
            told["empty"] = pool.query() == empty
    return told


REFUSED = {"errno": errno.EPERM, "same": True, "root": 0, "empty": True}
GRANTED = {"errno": 0, "empty": True}
# Who opens the node that the chunk is from, who frees it, who opened the node used for that.
CASES = {
    "another user": (ALICE, BOB, BOB, REFUSED),
    "another user, of root's": (0, BOB, BOB, REFUSED),
    "the owner": (ALICE, ALICE, ALICE, GRANTED),
    "root, through another's node": (ALICE, 0, BOB, GRANTED),
    "another user, through the owner's node": (ALICE, BOB, ALICE, GRANTED),
    "the owner, through another's node": (ALICE, ALICE, BOB, REFUSED),
    "who was root when it was opened": (0, ALICE, 0, GRANTED),
}


@CONTEXTS
@pytest.mark.parametrize("case", CASES)
def test_a_chunk_is_freed_by_its_owner_and_by_root_only(
    module: Any, context: str, case: str
) -> None:
    """Who that is, is what was so when the nodes were opened, but for capabilities."""
    opens, frees, via, outcome = CASES[case]
    got = module.call(free_between_users, context=context, opens=opens, frees=frees, via=via)
    assert got == {"owner": opens} | outcome


def free_while_looked_at(context: str, requests: list[str], count: int) -> dict[str, Any]:
    """Free chunk after chunk, while processes that have them too do these calls on the one that is
    next, each one the same call; tell how the frees ended, and the calls.
    """
    import mmap
    import os
    import signal
    from collections import Counter
    from contextlib import ExitStack

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    def look(request: str, slot: int) -> None:
        members = {"CM_IOC_ATTEST": {"dma_bits": 64}, "CM_IOC_PATTERN": {"flags": 1, "seed": 7}}
        mine, calls = Context(context), 0
        while True:
            at = int.from_bytes(shared[:8], "little")
            try:
                uapi.call(mine.fileno(), request, fd=chunks[at].fd, **members[request])
            except OSError as error:
                shared[slot + 8] = error.errno or 0
            calls += 1
            shared[slot : slot + 8] = calls.to_bytes(8, "little")

    frees: Counter[int] = Counter()
    with ExitStack() as stack, Context(context) as pool:
        shared = stack.enter_context(mmap.mmap(-1, 4096))
        before = pool.query()
        chunks = [stack.enter_context(pool.alloc(1 << 16)) for _ in range(count)]
        children = []
        for number, request in enumerate(requests):
            if not (child := os.fork()):
                try:
                    look(request, 16 * (number + 1))
                finally:
                    os._exit(1)
            children.append(child)

        def calls() -> list[int]:
            slots = range(16, 16 * (len(requests) + 1), 16)
            return [int.from_bytes(shared[at : at + 8], "little") for at in slots]

        try:
            for at, chunk in enumerate(chunks):
                seen = calls()
                shared[:8] = at.to_bytes(8, "little")
                # Each has looked at it once before it is freed, and goes on to do so.
                while not all(now > then + 1 for now, then in zip(calls(), seen, strict=True)):
                    os.sched_yield()
                try:
                    pool.free(chunk)
                    frees[0] += 1
                except OSError as error:
                    frees[error.errno or 0] += 1
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        errors = {shared[16 * (number + 1) + 8] for number in range(len(requests))}
        same = pool.query() == before
    return {"frees": dict(frees), "errors": sorted(errors), "same": same}


@CONTEXTS
@pytest.mark.parametrize("request_name", ["CM_IOC_ATTEST", "CM_IOC_PATTERN"])
def test_who_looks_at_a_chunk_does_not_keep_its_owner_from_freeing_it(
    module: Any, context: str, request_name: str
) -> None:
    """Nor does the kernel warn when it is freed in the middle of that: see `unharmed`."""
    module.run("echo 1 >/sys/kernel/debug/clear_warn_once")
    scene = {"requests": [request_name] * 3, "count": 200}
    got = module.call(free_while_looked_at, timeout=300, context=context, **scene)
    assert got["frees"] == {0: 200} and got["same"], got
    assert set(got["errors"]) <= {0, errno.ESTALE}, got


def look_at_others(context: str, uid: int | None) -> list[list[Any]]:
    """List the chunks, one of root's and one of a user's, as that user or as root sees them."""
    import grp
    import os

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    def see(node: int) -> list[list[Any]]:
        entries = uapi.new_entries(8)
        got = uapi.call(node, "CM_IOC_LAYOUT", entries=uapi.address_of(entries), capacity=8)
        told = []
        for entry in entries[0 : got.count]:
            hidden = bool(entry.state & uapi.constant("CM_CHUNK_HIDDEN"))
            words = [uapi.text(entry.comm) != "", uapi.text(entry.name)]
            told.append([entry.size >> 16, entry.uid, entry.pid != 0, *words, hidden])
        return sorted(told)

    groups = os.getgroups()
    os.setgroups([grp.getgrnam("cm").gr_gid])
    with Context(context) as pool:
        os.seteuid(uid or 0)
        try:
            mine = Context(context)
        finally:
            os.seteuid(0)
            os.setgroups(groups)
        with mine, pool.alloc(1 << 16, name="secret"), mine.alloc(1 << 17, name="own"):
            os.seteuid(uid or 0)
            try:
                return see(mine.fileno())
            finally:
                os.seteuid(0)


@CONTEXTS
def test_a_user_is_not_told_whose_the_others_chunks_are(module: Any, context: str) -> None:
    """Nor what they are called; how large they are and that they are somebody's, all are told."""
    got = module.call(look_at_others, context=context, uid=ALICE)
    assert got == [[1, 0, False, False, "", True], [2, ALICE, True, True, "own", False]]


@CONTEXTS
def test_root_is_told_whose_all_chunks_are(module: Any, context: str) -> None:
    got = module.call(look_at_others, context=context, uid=None)
    assert got == [[1, 0, True, True, "secret", False], [2, 0, True, True, "own", False]]
