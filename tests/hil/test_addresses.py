# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Who is told where a chunk lies: those who may see physical addresses, and nobody else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

ADDRESS = re.compile(r"0x[0-9a-f]{6,}|\b1[89]\d{8}\b|\b20\d{8}\b|\b21[0-4]\d{7}\b")
"""What looks like an address, or like one of the banks' (0x70000000 to 0x7fffffff) in decimal."""
GUEST = "setpriv --reuid guest --regid guest --groups cm"


def guest_looks(context: str) -> dict[str, Any]:
    """Say all that the library tells a member of group cm without any capability."""
    import ctypes
    import grp
    import json
    import os
    from dataclasses import asdict

    def look() -> dict[str, Any]:
        from cm_agent.contiguity.verification import verify
        from cm_agent.core.context import Context

        with Context(context) as pool, pool.alloc(1 << 20) as buffer:
            try:
                pinned = repr(pool.pin(buffer))
            except PermissionError as error:
                pinned = f"errno {error.errno}"
            return {
                "pin": pinned,
                "attest": asdict(pool.attest(buffer)),
                "info": asdict(pool.info(buffer)),
                "query": asdict(pool.query()),
                "layout": [asdict(entry) for entry in pool.layout()],
                "verify": verify(buffer, pool).to_json(),
                "alone": verify(buffer, None).to_json(),
            }

    reader, writer = os.pipe()
    if not os.fork():
        try:
            os.setgroups([grp.getgrnam("cm").gr_gid])
            os.setgid(1000)
            os.setuid(1000)
            ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE, as after exec()
            os.write(writer, json.dumps(look()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def guest(board: Any) -> dict[str, Any]:
    """What a user without capabilities is told."""
    return board.call(guest_looks, context="shared")


def test_a_guest_may_not_pin(guest: dict[str, Any]) -> None:
    assert guest["pin"] == "errno 1"


def test_a_guest_is_told_that_it_is_one_run_and_not_where(guest: dict[str, Any]) -> None:
    attested = guest["attest"]
    assert (attested["has_addresses"], attested["in_bank"]) == (False, True)
    assert [run["address"] for run in attested["runs"]] == [None]
    assert (guest["verify"]["verdict"], guest["verify"]["agree"]) == ("CONTIGUOUS", True)


def test_a_guests_pagemap_is_blind_and_says_so(guest: dict[str, Any]) -> None:
    (pagemap,) = (it for it in guest["verify"]["witnesses"] if it["name"] == "pagemap")
    assert pagemap["verdict"] == "UNVERIFIABLE"
    assert "CAP_SYS_ADMIN" in pagemap["detail"]
    assert guest["alone"]["verdict"] == "UNVERIFIABLE"


def test_a_guest_finds_no_address_anywhere(guest: dict[str, Any]) -> None:
    assert not ADDRESS.findall(json.dumps(guest))


@pytest.mark.parametrize(
    "command",
    [
        "cm-agent verify shared 1MiB --json",
        "cm-agent verify shared 1MiB",
        "cm-agent alloc private 2MiB --verify --json",
        "cm-agent alloc private 2MiB --verify",
        "cm-agent list --json",
        "cat /sys/class/cm/*/uevent",
    ],
)
def test_a_command_tells_a_guest_no_address(board: Any, command: str) -> None:
    said = board.check(f"{GUEST} sh -c '{command}' 2>&1")
    assert said and not ADDRESS.findall(said), said


def test_root_is_told_the_address(board: Any) -> None:
    """So that the tests above look for the right thing."""
    assert ADDRESS.findall(board.check("cm-agent verify shared 1MiB"))
    assert ADDRESS.findall(board.check("cm-agent verify shared 1MiB --json"))
