# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Quotas: how much of a context, in how many chunks, a user may have."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hil.test_addresses import GUEST

MIB = 1 << 20
MAX_CHUNKS = "/sys/module/cm/parameters/max_chunks"
# Users of tests: a limit of one's own, once set, stays one, even if it is none.
WITH_OWN, WITHOUT_OWN = 1002, 1003


def alloc_as(context: str, uid: int, sizes: list[int], becomes: int = -1) -> list[dict[str, Any]]:
    """Allocate as a user, keep it all, and return how each one ended.

    Once the context is open the process may become another user's.
    """
    import grp
    import json
    import os

    reader, writer = os.pipe()
    if not os.fork():
        try:
            from cm_agent.core.context import Context
            from cm_agent.core.errors import AllocationError

            os.setgroups([grp.getgrnam("cm").gr_gid])
            os.setgid(uid)
            os.setresuid(uid, uid, 0)
            ends, kept = [], []
            with Context(context) as pool:
                if becomes != -1:
                    os.seteuid(0)
                    os.setresuid(becomes, becomes, becomes)
                for size in sizes:
                    end = {"errno": 0, "reason": None, "text": ""}
                    try:
                        kept.append(pool.alloc(size))
                    except AllocationError as error:
                        end = {"errno": error.errno, "reason": error.reason.name}
                        end |= {"text": error.strerror, "quota": error.quota, "used": error.used}
                        end |= {"max_chunks": error.max_chunks, "chunks": error.chunks}
                    ends.append(end)
            os.write(writer, json.dumps(ends).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        ends = json.loads(answer.read())
    os.wait()
    return ends


def limit(quotas: list[list[Any]]) -> None:
    """Set quotas: context, bytes or None, the user or None, chunks or None."""
    from cm_agent.core.control import Control

    with Control() as control:
        for name, size, uid, chunks in quotas:
            control.set_quota(name, size, uid=uid, chunks=chunks)


def read_quota(context: str, uid: int, size: int, count: int) -> list[list[Any]]:
    """Read a user's quota before, while and after there are chunks of theirs."""
    import grp
    import os
    import time
    from dataclasses import astuple

    from cm_agent.core.context import Context
    from cm_agent.core.control import Control

    with Control() as control:
        os.setegid(grp.getgrnam("cm").gr_gid)
        os.seteuid(uid)
        try:
            pool = Context(context)
        finally:
            os.seteuid(0)
            os.setegid(0)
        with pool:
            found = [control.quota(context, uid)]
            chunks = [pool.alloc(size) for _ in range(count)]
            found.append(control.quota(context, uid))
            for chunk in chunks:
                chunk.close()
        end = time.monotonic() + 5
        while control.quota(context, uid).used and time.monotonic() < end:
            time.sleep(0.05)
        return [list(astuple(it)) for it in (*found, control.quota(context, uid))]


@pytest.fixture
def unlimited(module: Any) -> Iterator[Any]:
    """The board; limits are gone afterwards."""
    yield module
    users = (None, 0, 1000, WITH_OWN)
    everything = [[name, None, uid, None] for name in ("shared", "private") for uid in users]
    module.call(limit, quotas=everything)
    module.check(f"echo 4096 > {MAX_CHUNKS}")


@pytest.mark.parametrize("context", ["shared", "private"])
def test_an_allocation_beyond_a_quota_fails_with_the_numbers(unlimited: Any, context: str) -> None:
    unlimited.call(limit, quotas=[[context, 3 * MIB, 1000, None]])
    sizes = [2 * MIB, 2 * MIB, MIB, 4 * MIB]
    got = unlimited.call(alloc_as, context=context, uid=1000, sizes=sizes)
    assert [it["errno"] for it in got] == [0, errno.EDQUOT, 0, errno.EDQUOT]
    assert [it["reason"] for it in got] == [None, "QUOTA", None, "QUOTA"]
    assert [(it["quota"], it["used"]) for it in got[1::2]] == [
        (3 * MIB, 2 * MIB),
        (3 * MIB, 3 * MIB),
    ]
    assert "QUOTA; you have 2 MiB of your 3 MiB; free chunks of yours" in got[1]["text"]
    assert "4 MiB failed: QUOTA; you have 3 MiB of your 3 MiB; ask for less" in got[3]["text"]


@pytest.mark.parametrize("context", ["shared", "private"])
def test_a_chunk_beyond_a_users_number_fails_with_the_numbers(unlimited: Any, context: str) -> None:
    unlimited.call(limit, quotas=[[context, None, 1000, 2]])
    first, second, third = unlimited.call(alloc_as, context=context, uid=1000, sizes=[4096] * 3)
    assert (first["errno"], second["errno"]) == (0, 0)
    assert (third["errno"], third["reason"]) == (errno.EDQUOT, "CHUNKS")
    assert (third["max_chunks"], third["chunks"], third["quota"]) == (2, 2, None)
    assert "CHUNKS; you have 2 of your 2 chunks; free chunks of yours" in third["text"]


@pytest.mark.parametrize("uid", [1000, 0])
def test_a_context_has_no_more_chunks_than_the_module_allows(unlimited: Any, uid: int) -> None:
    """Nor do those who may exceed their own limits get more."""
    unlimited.check(f"echo 3 > {MAX_CHUNKS}")
    ends = unlimited.call(alloc_as, context="shared", uid=uid, sizes=[4096] * 4)
    assert [it["errno"] for it in ends] == [0, 0, 0, errno.EDQUOT]
    assert (ends[3]["reason"], ends[3]["max_chunks"], ends[3]["chunks"]) == ("CHUNKS", 3, 3)


def test_a_quota_is_of_one_user_and_one_context(unlimited: Any) -> None:
    unlimited.call(limit, quotas=[["shared", 0, 1000, None]])
    refused, other_user, other_context = (
        unlimited.call(alloc_as, context=context, uid=uid, sizes=[4096])[0]["errno"]
        for context, uid in (("shared", 1000), ("shared", 1001), ("private", 1000))
    )
    assert (refused, other_user, other_context) == (errno.EDQUOT, 0, 0)


@pytest.mark.parametrize(
    ("opener", "user", "number"), [(1000, 1001, errno.EDQUOT), (1001, 1000, 0)]
)
def test_the_quota_is_that_of_who_opened_the_context(
    unlimited: Any, opener: int, user: int, number: int
) -> None:
    """Even when the process has become another user's since."""
    unlimited.call(limit, quotas=[["shared", 0, 1000, None]])
    (end,) = unlimited.call(alloc_as, context="shared", uid=opener, sizes=[4096], becomes=user)
    assert end["errno"] == number


def test_the_quota_for_everybody_is_for_those_without_one(unlimited: Any) -> None:
    guest = int(unlimited.check("id -u guest"))
    said = unlimited.check("cm-agent quota shared 1MiB && cm-agent quota shared none --user guest")
    assert said.splitlines() == [
        "shared: each user without a quota of their own may have 1 MiB",
        f"shared: user {guest} may have as much as there is",
    ]
    root = unlimited.check("cm-agent quota shared 4MiB --user root")
    assert root == "shared: user 0 may have 4 MiB; root may exceed it"
    limited, own = (
        unlimited.call(alloc_as, context="shared", uid=uid, sizes=[2 * MIB])[0]["errno"]
        for uid in (guest + 1, guest)
    )
    assert (limited, own) == (errno.EDQUOT, 0)


def test_root_may_exceed_it(unlimited: Any) -> None:
    unlimited.call(limit, quotas=[["shared", 0, None, 0]])
    unlimited.check("cm-agent verify shared 1MiB")


@pytest.mark.parametrize(("of", "uid"), [(WITH_OWN, WITH_OWN), (None, WITHOUT_OWN)])
def test_a_quota_is_read_back_with_what_is_in_use(unlimited: Any, of: int | None, uid: int) -> None:
    """Of a user with a quota of their own, and of one for whom that of everybody holds."""
    unlimited.call(limit, quotas=[["shared", 3 * MIB, of, 5]])
    before, while_held, after = unlimited.call(
        read_quota, context="shared", uid=uid, size=MIB, count=2
    )
    assert before == after == [3 * MIB, 5, 0, 0]
    assert while_held == [3 * MIB, 5, 2 * MIB, 2]


def test_without_a_quota_there_is_no_limit_to_read(unlimited: Any) -> None:
    assert unlimited.call(read_quota, context="private", uid=WITHOUT_OWN, size=MIB, count=1) == [
        [None, None, 0, 0],
        [None, None, MIB, 1],
        [None, None, 0, 0],
    ]


def test_the_command_shows_a_quota_and_sets_one_limit_at_a_time(unlimited: Any) -> None:
    ask = "cm-agent quota shared --user guest"
    guest = unlimited.check("id -u guest")
    nothing = "; in use: 0 B in 0 chunks"
    assert unlimited.check(ask) == f"shared: user {guest} may have as much as there is{nothing}"
    unlimited.check("cm-agent quota shared --chunks 3 --user guest")
    said = unlimited.check("cm-agent quota shared 2MiB --user guest")
    assert said == f"shared: user {guest} may have 2 MiB, in at most 3 chunks"
    assert unlimited.check(ask) == f"{said}{nothing}"
    assert unlimited.check("cm-agent quota shared").splitlines() == [
        "shared: each user without a quota of their own may have as much as there is",
        "USER   IN USE  QUOTA  CHUNKS  MAX CHUNKS",
        "guest     0 B  2 MiB       0           3",
    ]


def test_other_users_are_told_of_themselves_only(unlimited: Any) -> None:
    """Not even of what everybody may have; root is told it all."""
    guest, ask = int(unlimited.check("id -u guest")), "cm-agent quota shared --json"
    quotas = [[8 * MIB, None, None], [2 * MIB, guest, 3], [MIB, WITH_OWN, None]]
    unlimited.call(limit, quotas=[["shared", *it] for it in quotas])
    none = {"bytes": 0, "chunks": 0}
    mine = none | {"uid": guest, "quota": 2 * MIB, "max_chunks": 3}
    other = none | {"uid": WITH_OWN, "quota": MIB, "max_chunks": None}
    told = json.loads(unlimited.check(f"{GUEST} {ask}"))["result"]
    assert told == {"context": "shared", "everybody": None, "users": [mine]}
    told = json.loads(unlimited.check(ask))["result"]
    assert told["everybody"] == {"quota": 8 * MIB, "max_chunks": None}
    assert sorted(told["users"], key=lambda it: it["uid"]) == [mine, other]


def test_a_quota_of_a_context_that_is_not_there_is_answered_with_those_that_are(
    module: Any,
) -> None:
    got = module.run("cm-agent quota nowhere")
    assert got.code == 2
    assert "there is no such context; there are private, shared" in got.stderr


def test_a_user_that_does_not_exist_is_an_error(module: Any) -> None:
    got = module.run("cm-agent quota shared 1MiB --user nobody-at-all")
    assert got.code == 2 and "there is no user" in got.stderr
