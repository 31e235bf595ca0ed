# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The events cm:*, in a trace buffer of their own: each with the numbers that the calls tell."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from boards.tracing import trace_buffer
from cm_agent.core.uapi import Reason

pytestmark = pytest.mark.parametrize("context", ["shared", "private"])
MIB = 1 << 20
FIELDS = {
    "cm_alloc": ["context", "id", "size", "alignment", "cleared", "ns", "retries", "reason"],
    "cm_free": ["context", "id", "size"],
    "cm_move": ["context", "id", "size", "to", "error"],
    "cm_compact": ["context", "size", "moves", "moved", "error"],
    "cm_migrate": ["context", "from", "size", "ns", "error"],
    "cm_sync": ["context", "id", "from", "size", "for_cpu"],
}
"""What the trace buffer holds of each event."""


@dataclass(frozen=True)
class Event:
    """An event as it is printed."""

    name: str
    fields: dict[str, str]

    def says(self, **numbers: int) -> bool:
        """Tell whether the event has these numbers."""
        return all(int(self.fields[name]) == number for name, number in numbers.items())


@pytest.fixture
def buffer(module: Any) -> Iterator[str]:
    """A trace buffer that the events cm:* go to, and no others."""
    with trace_buffer(module) as path:
        module.check(f"echo 'cm:*' >{path}/set_event")
        yield path


def everything(module: Any, buffer: str) -> list[Event]:
    """Return what is in the buffer."""
    printed = re.findall(r": (cm_\w+): (.*)", module.check(f"cat {buffer}/trace"))
    return [Event(name, dict(re.findall(r"(\w+)=(\S+)", rest))) for name, rest in printed]


def events(module: Any, buffer: str) -> list[Event]:
    """Return what is in the buffer but for migrations and syncs, which have tests of their own."""
    other = ("cm_migrate", "cm_sync")
    return [event for event in everything(module, buffer) if event.name not in other]


def alloc_and_free(context: str, size: int, alignment: int) -> dict[str, int]:
    """Allocate a chunk and close it; return what INFO and STATS tell of that."""
    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    with Context(context) as pool:
        before = uapi.call(pool.fileno(), "CM_IOC_STATS")
        with pool.alloc(size, alignment) as chunk:
            info = pool.info(chunk)
        after = uapi.call(pool.fileno(), "CM_IOC_STATS")
    return {
        "id": info.id,
        "size": info.size,
        "alignment": info.alignment,
        "retries": after.retries - before.retries,
        "ns": sum(it.sum_ns for it in after.latency) - sum(it.sum_ns for it in before.latency),
    }


def test_an_allocation_and_its_end(module: Any, buffer: str, context: str) -> None:
    told = module.call(alloc_and_free, context=context, size=3 * MIB - 1, alignment=MIB)
    alloc, free = events(module, buffer)
    assert (alloc.name, free.name) == ("cm_alloc", "cm_free")
    assert alloc.fields["context"] == free.fields["context"] == context
    assert alloc.says(**told, reason=Reason.NONE), (alloc, told)
    assert told["size"] == 3 * MIB and free.says(id=told["id"], size=told["size"])


def test_the_system_leaves_whole_granules_in_one_call(
    module: Any, buffer: str, page_size: int, context: str
) -> None:
    """In no more time than the allocation that they are for takes."""
    size = 5 * MIB + page_size
    module.check("echo 2 >/proc/sys/vm/drop_caches")  # granules that linger go back
    told = module.call(alloc_and_free, context=context, size=size, alignment=0)
    calls = [it for it in everything(module, buffer) if it.name == "cm_migrate"]
    if context == "private":
        assert calls == []
        return
    # Pages of another place may have been busy.
    (call,) = (it for it in calls if int(it.fields["error"]) == 0)
    assert call.fields["context"] == context
    assert call.says(size=6 * MIB, error=0) and int(call.fields["from"]) % (2 * MIB) == 0
    assert 0 < int(call.fields["ns"]) < told["ns"]


def refuse(context: str, size: int) -> str:
    """Ask for too much; return the reason why there is no chunk."""
    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    with Context(context) as pool:
        try:
            pool.alloc(size)
        except AllocationError as error:
            return error.reason.name
    return "NONE"


def test_a_refused_allocation_has_the_reason_and_no_id(
    module: Any, buffer: str, context: str
) -> None:
    reason = Reason[module.call(refuse, context=context, size=1 << 40)]
    (alloc,) = events(module, buffer)
    assert reason is Reason.FULL
    assert alloc.says(id=0, size=1 << 40, alignment=0, retries=0, reason=reason), alloc


def free_and_close(context: str) -> int:
    """Free a chunk before its descriptor is closed; return its number."""
    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(4096) as chunk:
        pool.free(chunk)
        return chunk.id or 0


def test_a_chunk_is_freed_once(module: Any, buffer: str, context: str) -> None:
    number = module.call(free_and_close, context=context)
    _, *frees = events(module, buffer)
    assert [(it.name, it.fields["id"]) for it in frees] == [("cm_free", str(number))]


def make_way(context: str, size: int, how: str) -> dict[str, int]:
    """Have a chunk between two holes make way for `call` (COMPACT) or `alloc`; tell what moved."""
    from contextlib import ExitStack

    from cm_agent.core.context import Context

    with ExitStack() as stack, Context(context) as pool:
        first, chunk = [stack.enter_context(pool.alloc(size)) for _ in range(2)]
        first.close()
        wanted, before = pool.query().free, pool.stats()
        if how == "call":
            pool.compact(wanted)
        else:
            stack.enter_context(pool.alloc(wanted))
        after = pool.stats()
        (entry,) = (it for it in pool.layout() if it.id == chunk.id)
        return {
            "id": entry.id,
            "size": entry.size,
            "to": entry.offset,
            "wanted": wanted,
            "moves": after.moves - before.moves,
            "moved": after.moved_bytes - before.moved_bytes,
            "bank": pool.pin(chunk).address - entry.offset,
            "length": pool.query().size,
        }


@pytest.mark.parametrize("how", ["call", "alloc"])
def test_a_compaction_and_its_move(module: Any, buffer: str, context: str, how: str) -> None:
    """Before the allocation that it is for, if it is for one."""
    told = module.call(make_way, context=context, size=MIB, how=how)
    got = [it for it in events(module, buffer) if it.name != "cm_free"][2:]
    names = ["cm_move", "cm_compact", *(["cm_alloc"] if how == "alloc" else [])]
    assert [it.name for it in got] == names
    assert {it.fields["context"] for it in got} == {context}
    assert told["moves"] == 1
    assert got[0].says(**{it: told[it] for it in ("id", "size", "to")}, error=0), (got, told)
    assert got[1].says(size=told["wanted"], moves=1, moved=told["moved"], error=0), (got, told)


def stay(context: str, size: int) -> str:
    """Want a chunk moved while a pipe holds a page of it; return the reason why it was not."""
    import ctypes
    import mmap
    import os

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    reader, writer = os.pipe()
    reason = "NONE"
    with Context(context) as pool, pool.alloc(size) as first, pool.alloc(size) as chunk:
        first.close()
        with mmap.mmap(chunk.fd, size) as mapping:
            mapping[0] = 1
            page = ctypes.c_char.from_buffer(mapping)
            vector = (ctypes.c_size_t * 2)(ctypes.addressof(page), 4096)
            assert ctypes.CDLL(None).vmsplice(writer, vector, 1, 0) == 4096
            del page
        try:
            pool.compact(pool.query().free)
        except AllocationError as error:
            reason = error.reason.name
        os.close(reader)
        os.close(writer)
    return reason


def test_a_move_that_failed(module: Any, buffer: str, context: str) -> None:
    assert module.call(stay, context=context, size=MIB) == "BUSY"
    move, compact = (it for it in events(module, buffer) if it.name in ("cm_move", "cm_compact"))
    assert move.says(size=MIB, error=-errno.EBUSY), move
    assert compact.says(moves=0, moved=0, error=-errno.ENOSPC), compact


def test_the_buffer_holds_what_is_printed(module: Any, buffer: str, context: str) -> None:
    """So that whoever reads it raw is told no more: no address, say."""
    for name, fields in FIELDS.items():
        said = module.check(f"cat {buffer}/events/cm/{name}/format")
        held = re.findall(r"field:[^;]*?(\w+)(?:\[\w+\])?;", said)
        assert [it for it in held if not it.startswith("common_")] == fields
        assert sorted(re.findall(r"(\w+)=", said.partition("print fmt:")[2])) == sorted(fields)


def test_no_event_tells_a_physical_address(
    module: Any, buffer: str, page_size: int, context: str
) -> None:
    """Neither in bytes nor in page frames. `ns` may be any number: another test says which."""
    module.check("echo 2 >/proc/sys/vm/drop_caches")  # so that granules are taken
    told = module.call(make_way, context=context, size=MIB, how="alloc")
    got = everything(module, buffer)
    numbers = {
        int(n)
        for it in got
        for name, n in it.fields.items()
        if name not in ("context", "device", "ns")
    }
    bank = range(told["bank"], told["bank"] + told["length"])
    frames = range(bank.start // page_size, bank.stop // page_size)
    absent = {"cm_migrate"} if context == "private" else set()
    assert {it.name for it in got} == set(FIELDS) - absent
    assert not [number for number in numbers if number in bank or number in frames]
