# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Quotas: how much of a context a user may have."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

MIB = 1 << 20


def alloc_as(context: str, uid: int, sizes: list[int]) -> list[list[Any]]:
    """Allocate as a user without capabilities, keep it all, and tell how each one ended."""
    import grp
    import json
    import os

    reader, writer = os.pipe()
    if not os.fork():
        try:
            from cm_agent.context import Context
            from cm_agent.errors import AllocationError

            os.setgroups([grp.getgrnam("cm").gr_gid])
            os.setgid(uid)
            os.setuid(uid)
            told, kept = [], []
            with Context(context) as pool:
                for size in sizes:
                    try:
                        kept.append(pool.alloc(size))
                        told.append([0, None, 0, ""])
                    except AllocationError as error:
                        told.append([error.errno, error.quota, error.used, error.strerror])
            os.write(writer, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        told = json.loads(answer.read())
    os.wait()
    return told


def limit(quotas: list[list[Any]]) -> None:
    """Set quotas: context, bytes or None, and the user or None."""
    from cm_agent.control import Control

    with Control() as control:
        for name, size, uid in quotas:
            control.set_quota(name, size, uid=uid)


@pytest.fixture
def unlimited(module: Any) -> Iterator[Any]:
    """The board; quotas are gone afterwards."""
    yield module
    everything = [[name, None, uid] for name in ("shared", "private") for uid in (None, 1000)]
    module.call(limit, quotas=everything)


@pytest.mark.parametrize("context", ["shared", "private"])
def test_who_would_exceed_his_quota_is_told_the_numbers(unlimited: Any, context: str) -> None:
    unlimited.call(limit, quotas=[[context, 3 * MIB, 1000]])
    sizes = [2 * MIB, 2 * MIB, MIB, 4 * MIB]
    got = unlimited.call(alloc_as, context=context, uid=1000, sizes=sizes)
    assert [it[:3] for it in got] == [
        [0, None, 0],
        [errno.EDQUOT, 3 * MIB, 2 * MIB],
        [0, None, 0],
        [errno.EDQUOT, 3 * MIB, 3 * MIB],
    ]
    assert "QUOTA; you have 2 MiB of your 3 MiB; free chunks of yours" in got[1][3]
    assert "of 4 MiB: QUOTA; you have 3 MiB of your 3 MiB; ask for less" in got[3][3]


def test_a_quota_is_of_one_user_and_one_context(unlimited: Any) -> None:
    unlimited.call(limit, quotas=[["shared", 0, 1000]])
    refused, other_user, other_context = (
        unlimited.call(alloc_as, context=context, uid=uid, sizes=[4096])[0][0]
        for context, uid in (("shared", 1000), ("shared", 1001), ("private", 1000))
    )
    assert (refused, other_user, other_context) == (errno.EDQUOT, 0, 0)


def test_the_quota_for_everybody_is_for_those_without_one(unlimited: Any) -> None:
    guest = int(unlimited.check("id -u guest"))
    said = unlimited.check("cm-agent quota shared 1MiB && cm-agent quota shared none --user guest")
    assert said.splitlines() == [
        "shared: each user without a quota of his own may have 1 MiB",
        f"shared: user {guest} may have as much as there is",
    ]
    root = unlimited.check("cm-agent quota shared 4MiB --user root")
    assert root == "shared: user 0 may have 4 MiB; root may exceed it"
    limited, own = (
        unlimited.call(alloc_as, context="shared", uid=uid, sizes=[2 * MIB])[0][0]
        for uid in (guest + 1, guest)
    )
    assert (limited, own) == (errno.EDQUOT, 0)


def test_root_may_exceed_it(unlimited: Any) -> None:
    unlimited.call(limit, quotas=[["shared", 0, None]])
    unlimited.check("cm-agent verify shared 1MiB")


def test_a_user_that_does_not_exist_is_a_mistake(module: Any) -> None:
    got = module.run("cm-agent quota shared 1MiB --user nobody-at-all")
    assert got.code == 2 and "there is no user" in got.stderr
