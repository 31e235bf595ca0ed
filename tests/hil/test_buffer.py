# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Buffers of real chunks: what outlives a block, and chunks that come from elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])


def keep(context: str, size: int) -> dict[str, Any]:
    """Keep a part of a view, close the chunk, and say what became of both."""
    import cm_agent

    with cm_agent.Context(context) as pool:
        before = pool.query()
        error, kept = "", memoryview(b"")
        with pool.alloc(size) as buffer:
            try:
                with buffer.cpu_access("rw") as view:
                    view[5] = 77
                    kept = view[:8]
            except cm_agent.KeptError as caught:
                error = str(caught)
            with buffer.cpu_access("rw") as view:
                view[5] = 1
        kept[6] = 9
        return {"error": error, "kept": bytes(kept[5:7]), "same": pool.query() == before}


@pytest.mark.every_board
@CONTEXTS
def test_what_outlives_a_block_has_a_copy_and_the_chunk_is_free(module: Any, context: str) -> None:
    got = module.call(keep, context=context, size=4 << 20)
    assert "outlives its `with` block" in got["error"]
    assert (got["kept"], got["same"]) == (b"M\t", True), got


def access_freed(context: str) -> str:
    """Free a chunk in a block, keep its view, and return how the block ended."""
    import cm_agent

    with cm_agent.Context(context) as pool, pool.alloc(1 << 20) as buffer:
        try:
            with buffer.cpu_access("rw") as view:
                view[0] = 1
                kept = view[:8]
                pool.free(buffer)
        except OSError as error:
            return f"{error.errno} {len(kept)}"
    return "no error"


@CONTEXTS
def test_a_chunk_that_is_freed_in_a_block_is_not_read_for_a_copy(module: Any, context: str) -> None:
    assert module.call(access_freed, context=context) == "116 8"


def adopt(context: str) -> dict[str, Any]:
    """Send a chunk to another process, have that adopt and verify it, and return its answer."""
    import json
    import os
    import socket

    import cm_agent

    def receive(place: socket.socket) -> None:
        _, (fd,), _, _ = socket.recv_fds(place, 1, 1)
        with cm_agent.Context(context) as pool, pool.adopt(fd) as buffer:
            found = cm_agent.verify(buffer, pool)
            told = {"id": buffer.id, "context": buffer.context, "size": len(buffer)}
            told |= {"verdict": found.verdict, "agree": found.agree, "seen": len(found.witnesses)}
            place.send(json.dumps(told).encode())

    here, there = socket.socketpair()
    with cm_agent.Context(context) as pool, pool.alloc(1 << 20) as buffer:
        if not (child := os.fork()):
            try:
                receive(there)
            finally:
                os._exit(1)
        socket.send_fds(here, [b"x"], [buffer.fd])
        answer: dict[str, Any] = json.loads(here.recv(1000))
        os.waitpid(child, 0)
        return answer | {"same": answer["id"] == buffer.id}


@CONTEXTS
def test_another_process_adopts_a_chunk_with_full_proof(module: Any, context: str) -> None:
    got = module.call(adopt, context=context)
    assert got["context"] == context and got["same"] and got["size"] == 1 << 20, got
    assert (got["verdict"], got["agree"], got["seen"]) == ("CONTIGUOUS", True, 3), got


def own_copy(context: str, name: str | None) -> tuple[str, int, int | None]:
    """Make a foreign Buffer of a chunk's descriptor; return its link in /proc, its size and id."""
    import os

    import cm_agent

    with (
        cm_agent.Context(context) as pool,
        pool.alloc(8192, name=name) as buffer,
        cm_agent.Buffer.from_fd(os.dup(buffer.fd)) as foreign,
    ):
        return os.readlink(f"/proc/self/fd/{foreign.fd}"), len(foreign), foreign.id


@pytest.mark.every_board
@pytest.mark.parametrize("name", [None, "camera"])
def test_a_dma_buf_is_known_by_its_link(module: Any, name: str | None) -> None:
    got = module.call(own_copy, context="shared", name=name)
    assert tuple(got) == (f"/dmabuf:{name or ''}", 8192, None)


def refuse(context: str, other: str, what: str) -> str:
    """Have a context adopt what is not its own, which stays open, and return the error."""
    import os

    import cm_agent

    def foreign() -> int:
        if what == "no dma-buf":
            return os.memfd_create("x")
        fd = (its if what == "another's" else pool).alloc(8192).detach()
        if what == "stale":
            with pool.adopt(os.dup(fd)) as buffer:
                pool.free(buffer)
        return fd

    with cm_agent.Context(context) as pool, cm_agent.Context(other) as its:
        fd = foreign()
        try:
            pool.adopt(fd)
        except cm_agent.RequestError as error:
            return str(error.strerror)
        finally:
            os.close(fd)
    return "adopted"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("another's", " but of context 'private': "),
        ("no dma-buf", ": Invalid argument"),
        ("stale", ": Stale file handle"),
    ],
)
def test_what_is_not_a_contexts_own_is_not_adopted(module: Any, what: str, why: str) -> None:
    got = module.call(refuse, context="shared", other="private", what=what)
    assert f"is no chunk of context 'shared'{why}" in got, got
