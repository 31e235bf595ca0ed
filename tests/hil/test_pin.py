# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Pins, which belong to the open file that took them, and what INFO says of a chunk."""

from __future__ import annotations

import errno
from typing import Any

import pytest

pytestmark = [
    pytest.mark.every_board,
    pytest.mark.parametrize("context", ["shared", "private"]),
]
SIZE = 1 << 16


def pin_and_unpin(context: str, steps: str) -> list[list[int]]:
    """Pin (p) and unpin (u); return each errno, the chunk's pins and the pinned bytes."""
    from cm_agent.core.context import Context

    told = []
    with Context(context) as pool, pool.alloc(1 << 16) as chunk:
        for step in steps:
            number = 0
            try:
                (pool.pin if step == "p" else pool.unpin)(chunk)
            except OSError as error:
                number = error.errno or 0
            told.append([number, pool.info(chunk).pins, pool.query().pinned])
    return told


def test_pins_nest_and_their_bytes_count_once(module: Any, context: str) -> None:
    got = module.call(pin_and_unpin, context=context, steps="ppuuu")
    counts = [[0, 1, SIZE], [0, 2, SIZE], [0, 1, SIZE], [0, 0, 0], [errno.ENOENT, 0, 0]]
    assert got == counts


def pin_through_two_files(context: str) -> dict[str, Any]:
    """Pin through one open file, try to unpin through another, then close the first."""
    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(1 << 16) as chunk:
        first = Context(context)
        first.pin(chunk)
        first.pin(chunk)
        number = 0
        try:
            pool.unpin(chunk)
        except OSError as error:
            number = error.errno or 0
        during = [pool.info(chunk).pins, pool.query().pinned]
        first.close()
        return {
            "errno": number,
            "during": during,
            "after": [pool.info(chunk).pins, pool.query().pinned],
        }


def test_pins_belong_to_the_open_file_and_go_with_it(module: Any, context: str) -> None:
    got = module.call(pin_through_two_files, context=context)
    assert got == {"errno": errno.ENOENT, "during": [2, SIZE], "after": [0, 0]}


def outlive_the_descriptor(context: str) -> dict[str, Any]:
    """Close a pinned chunk's only descriptor, then the open file that pinned it."""
    from cm_agent.core.context import Context

    with Context(context) as pool:
        before = pool.query()
        owner = Context(context)
        chunk = owner.alloc(1 << 16)
        owner.pin(chunk)
        chunk.close()
        pinned = pool.query()
        owner.close()
        during = [before.free - pinned.free, pinned.chunks - before.chunks, pinned.pinned]
        return {"during": during, "same": pool.query() == before}


def test_a_pinned_chunk_outlives_its_descriptor(module: Any, context: str) -> None:
    got = module.call(outlive_the_descriptor, context=context)
    assert got == {"during": [SIZE, 1, SIZE], "same": True}


def pin_again_and_again(context: str) -> list[int]:
    """Return the addresses that pins, the attestation and another open file's pin tell."""
    from cm_agent.core.context import Context

    with Context(context) as pool, Context(context) as other, pool.alloc(1 << 16) as chunk:
        pins = [pool.pin(chunk), other.pin(chunk), pool.pin(chunk)]
        attested = pool.attest(chunk).runs
        return [*[pin.address for pin in pins], *[run.address or 0 for run in attested]]


def test_all_pins_tell_the_address_that_is_attested(module: Any, context: str) -> None:
    addresses = module.call(pin_again_and_again, context=context)
    assert len(addresses) == 4 and len(set(addresses)) == 1 and addresses[0]


def name_a_chunk(context: str, names: list[str]) -> list[str]:
    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(4096) as chunk:
        told = [pool.info(chunk).name]
        for name in names:
            chunk.set_name(name)
            told.append(pool.info(chunk).name)
        return told


def test_the_name_of_the_dma_buf_is_in_info(module: Any, context: str) -> None:
    names = ["camera 0", "x" * 31, ""]
    assert module.call(name_a_chunk, context=context, names=names) == ["", *names]


def allocate_as_somebody_else(context: str) -> dict[str, Any]:
    """Have a child become another user, allocate with a node it was given, and pass the chunk."""
    import mmap
    import os
    import socket

    from cm_agent.core.buffer import Buffer
    from cm_agent.core.context import Context

    ours, theirs = socket.socketpair()
    with Context(context) as pool, ours:
        if not (child := os.fork()):
            code = 1
            try:
                with open("/proc/self/comm", "w") as comm:
                    comm.write("painter")
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(4321, 4321, 4321)
                chunk = pool.alloc(3 * mmap.PAGESIZE, 2 * mmap.PAGESIZE)
                seen = pool.info(chunk).uid
                socket.send_fds(theirs, [seen.to_bytes(4, "big")], [chunk.fd])
                code = 0
            finally:
                os._exit(code)
        theirs.close()
        data, (fd,), _, _ = socket.recv_fds(ours, 4, 1)
        os.waitpid(child, 0)
        with Buffer.from_fd(fd) as chunk, pool.alloc(4096) as mine:
            info, own = pool.info(chunk), pool.info(mine)
        return {
            "who": [info.uid, info.pid == child, info.comm, int.from_bytes(data, "big")],
            "what": [info.size, info.alignment, info.pins, info.imports, info.maps],
            "newer": own.id > info.id,
            "own": [own.uid, own.pid == os.getpid()],
        }


def test_info_tells_who_asked_for_the_chunk(module: Any, page_size: int, context: str) -> None:
    """Also after that process is gone and the chunk belongs to another one."""
    got = module.call(allocate_as_somebody_else, context=context)
    assert got["who"] == [0, True, "painter", 0], "the user who opened the node"
    assert got["what"] == [3 * page_size, 2 * page_size, 0, 0, 0]
    assert got["newer"] and got["own"] == [0, True]
