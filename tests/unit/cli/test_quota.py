# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent quota CONTEXT`: who has how much, as a table and as JSON."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
from cm_agent.cli import main
from cm_agent.core.reports import Quota, User

MIB = 1 << 20
NOBODYS = 4_000_000_000
"""A number that no user of this machine has."""
USERS = [User(0, 3 * MIB, None, 2, None), User(NOBODYS, 0, MIB, 0, 7)]
EVERYBODY = "left: each user without a quota of their own may have 8 MiB"
TABLE = [
    "USER        IN USE  QUOTA  CHUNKS  MAX CHUNKS",
    "root         3 MiB   none       2        none",
    "4000000000     0 B  1 MiB       0           7",
]


class Data:
    """Answer for the context and the control node; without `limits` the latter is root's."""

    def __init__(self, users: list[User], limits: Quota | None) -> None:
        self._users, self._limits = users, limits

    def users(self) -> list[User]:
        """Return the users."""
        return self._users

    def quota(self, name: str, uid: int | None = None) -> Quota:
        """Return what applies to everybody, and to a user."""
        if self._limits is None:
            raise PermissionError("that needs root")
        return self._limits

    def set_quota(self, name: str, size: int | None, **more: int | None) -> None:
        """Take it."""


def ask(monkeypatch: pytest.MonkeyPatch, line: str, users: list[User], limits: Quota | None) -> int:
    data: Any = nullcontext(Data(users, limits))
    monkeypatch.setattr("cm_agent.cli.quota.Context", lambda name: data)
    monkeypatch.setattr("cm_agent.cli.quota.Control", lambda: data)
    return main(line.split())


def test_root_sees_what_everybody_may_have_and_all_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "quota left", USERS, Quota(8 * MIB, None, 0, 0)) == 0
    assert capsys.readouterr().out.splitlines() == [EVERYBODY, *TABLE]


def test_others_see_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "quota left", USERS[1:], None) == 0
    assert capsys.readouterr().out.splitlines() == [TABLE[0], TABLE[2]]


def test_without_users_there_is_no_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "quota left", [], Quota(8 * MIB, None, 0, 0)) == 0
    assert capsys.readouterr().out.splitlines() == [EVERYBODY]


@pytest.mark.parametrize("limits", [None, Quota(8 * MIB, None, 0, 0)])
def test_json_has_the_same_in_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limits: Quota | None
) -> None:
    assert ask(monkeypatch, "quota left --json", USERS[1:], limits) == 0
    assert json.loads(capsys.readouterr().out)["result"] == {
        "context": "left",
        "everybody": limits and {"quota": 8 * MIB, "max_chunks": None},
        "users": [{"uid": NOBODYS, "bytes": 0, "quota": MIB, "chunks": 0, "max_chunks": 7}],
    }


def test_json_has_what_applies_to_everybody_once_it_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "quota left 1MiB --json", [], Quota(8 * MIB, 5, 0, 0)) == 0
    assert json.loads(capsys.readouterr().out)["result"] == {
        "context": "left",
        "everybody": {"quota": MIB, "max_chunks": 5},
        "users": [],
    }


def test_json_has_what_applies_to_a_user_and_what_is_in_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = Quota(8 * MIB, None, 3 * MIB, 2)
    assert ask(monkeypatch, "quota left --chunks 4 --user 0 --json", [], limits) == 0
    assert json.loads(capsys.readouterr().out)["result"] == {
        "context": "left",
        "everybody": None,
        "users": [{"uid": 0, "bytes": 3 * MIB, "quota": 8 * MIB, "chunks": 2, "max_chunks": 4}],
    }
