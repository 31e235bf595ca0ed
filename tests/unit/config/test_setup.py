# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Making what is configured, with a control node that is data."""

from __future__ import annotations

import errno
import mmap
from dataclasses import replace
from typing import Any

import pytest
from cm_agent.config.contexts import ContextEntry, QuotaEntry
from cm_agent.config.setup import FAILED, KEPT, MADE, SET, Outcome, Setup, difference
from cm_agent.core.errors import RequestError, UsageError, request_error
from cm_agent.core.place import Place
from cm_agent.core.reports import Quota

MIB = 1 << 20
BANKS = {"bank@1": 64 * MIB, "late": None}


class DataControl:
    """Note what is made; refuse contexts of the names in `refused`, with that error."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int, int]] = []
        self.quotas: dict[tuple[str, int | None], tuple[int | None, int | None]] = {}
        self.refused: dict[str, RequestError] = {}

    def create(self, name: str, bank: str, *, offset: int, size: int, **_: Any) -> None:
        """Make a context."""
        if error := self.refused.get(name):
            raise error
        self.made.append((name, offset, size))

    def quota(self, name: str, uid: int | None = None) -> Quota:
        """Return what applies to a user: their own, or anybody's."""
        anybody = self.quotas.get((name, None), (None, None))
        return Quota(*self.quotas.get((name, uid), anybody), 0, 0)

    def set_quota(
        self, name: str, size: int | None, *, uid: int | None = None, chunks: int | None = None
    ) -> None:
        """Set one."""
        self.quotas[name, uid] = (size, chunks)


@pytest.fixture
def control() -> DataControl:
    return DataControl()


def setup(control: Any, *there: Place, dry_run: bool = False) -> Setup:
    return Setup(control, {it.name: it for it in there}, BANKS, dry_run=dry_run)


def entry(name: str = "left", **more: Any) -> ContextEntry:
    return ContextEntry(name, more.pop("bank", "bank@1"), where=f"c.toml: {name}", **more)


def place(name: str = "left", **more: Any) -> Place:
    """Return where entry(name) is."""
    return replace(Place(name, "bank@1", 0, 64 * MIB, False, mmap.PAGESIZE), **more)


def why(outcome: Outcome, kind: type[Exception] = UsageError) -> str:
    """Return the text of an error of this kind, with which an entry failed."""
    assert outcome.done == FAILED and isinstance(outcome.error, kind), outcome
    return getattr(outcome.error, "strerror", None) or str(outcome.error)


def test_a_context_that_is_missing_is_made(control: DataControl) -> None:
    assert setup(control).make(entry(offset=8 * MIB, size=4 * MIB)).done == MADE
    assert control.made == [("left", 8 * MIB, 4 * MIB)]


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        (entry(), place()),
        (entry(size=64 * MIB), place()),
        (entry(offset=MIB), place(offset=MIB, size=63 * MIB)),
        (entry(private=True, min_alignment=MIB), place(private=True, min_alignment=MIB)),
        (entry(min_alignment=1), place()),
        (entry(), place(offset=None)),
        (entry(bank="late"), place(bank="late", size=MIB)),
    ],
)
def test_a_context_that_is_as_configured_is_left_alone(
    control: DataControl, wanted: ContextEntry, there: Place
) -> None:
    assert setup(control, there).make(wanted) == Outcome(wanted, KEPT)
    assert control.made == []


@pytest.mark.parametrize(
    ("there", "text"),
    [
        ({"bank": "other@2"}, "bank other@2 instead of bank@1"),
        ({"offset": MIB}, "offset 1 MiB instead of 0 B"),
        ({"size": MIB}, "size 1 MiB instead of 64 MiB"),
        ({"private": True}, "kind private instead of shared"),
        ({"min_alignment": MIB}, "minimum alignment 1 MiB instead of"),
    ],
)
def test_a_context_that_differs_is_an_error_that_names_both(
    control: DataControl, there: dict[str, Any], text: str
) -> None:
    error = why(setup(control, place(**there)).make(entry()))
    assert error.startswith(f"c.toml: left: context 'left' is there, but with {text}")
    assert "change the configuration, or run `cm-agent destroy left`" in error
    assert control.made == []


def test_all_that_differs_is_named() -> None:
    text = difference(entry(private=True), place(offset=MIB, size=MIB), 64 * MIB)
    assert text.count(" instead of ") == 3


def test_a_bank_that_is_gone_is_answered_with_those_that_are_there(control: DataControl) -> None:
    error = why(setup(control).make(entry(bank="gone@7")))
    assert error.startswith("c.toml: left.bank: there is no bank 'gone@7'; ")
    assert "bank@1, late" in error
    bare = Setup(control, {}, {})  # type: ignore[arg-type]
    assert "apply an overlay (dts/README.md)" in why(bare.make(entry()))
    assert control.made == []


@pytest.mark.parametrize("more", [{"size": 65 * MIB}, {"offset": 64 * MIB}, {"offset": 99 * MIB}])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_part_beyond_the_end_is_an_error(
    control: DataControl, more: dict[str, Any], dry_run: bool
) -> None:
    error = why(setup(control, dry_run=dry_run).make(entry(**more)))
    assert "end beyond bank 'bank@1', which has 64 MiB" in error
    assert control.made == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_contexts_that_overlap_are_an_error_that_names_both(
    control: DataControl, dry_run: bool
) -> None:
    board = setup(control, place("old", offset=32 * MIB, size=MIB), dry_run=dry_run)
    assert board.make(entry("a", size=8 * MIB)).done == MADE
    assert board.make(entry("c", offset=8 * MIB, size=8 * MIB)).done == MADE
    error = why(board.make(entry("b", offset=7 * MIB, size=2 * MIB)))
    assert "'b' would overlap context 'a' of c.toml: a, which has 8 MiB from 0 B on" in error
    error = why(board.make(entry("d", offset=16 * MIB)))
    assert "'d' would overlap context 'old', which has 1 MiB from 32 MiB on" in error


def test_a_dry_run_changes_nothing(control: DataControl) -> None:
    board = setup(control, place("old", bank="late"), dry_run=True)
    assert board.make(entry()).done == MADE
    assert board.limit(QuotaEntry("left", None, MIB)).done == SET
    assert board.limit(QuotaEntry("old", None, MIB)).done == SET
    assert (control.made, control.quotas) == ([], {})


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EINVAL, UsageError),
        (errno.ENOENT, UsageError),
        (errno.EBUSY, RequestError),
        (errno.ENOMEM, RequestError),
        (errno.EPERM, PermissionError),
    ],
)
def test_an_error_of_the_kernel_has_the_place_and_does_not_stop_others(
    control: DataControl, number: int, kind: type[Exception]
) -> None:
    control.refused["left"] = request_error(number, "did not create context 'left': no")
    board = setup(control)
    failed, made = board.make(entry()), board.make(entry("right"))
    assert why(failed, kind) == "c.toml: left: did not create context 'left': no"
    assert made.done == MADE
    assert "no context 'left'; there are right" in why(board.limit(QuotaEntry("left", None, 1)))


def test_quotas_are_set_and_then_kept(control: DataControl) -> None:
    board = setup(control, place())
    entries = [QuotaEntry("left", None, MIB, 7), QuotaEntry("left", "root", None, 3)]
    assert [(it.done, it.uid) for it in map(board.limit, entries)] == [(SET, None), (SET, 0)]
    assert control.quotas == {("left", None): (MIB, 7), ("left", 0): (None, 3)}
    assert [setup(control, place()).limit(it).done for it in entries] == [KEPT, KEPT]


def test_a_quota_like_that_of_anybody_is_the_users_own_all_the_same(control: DataControl) -> None:
    board = setup(control, place())
    for user in (None, 1000):
        board.limit(QuotaEntry("left", user, MIB))
    assert control.quotas["left", 1000] == (MIB, None)


@pytest.mark.parametrize("user", ["no-such-user", "\0"])
def test_a_user_who_does_not_exist_is_an_error(control: DataControl, user: str) -> None:
    outcome = setup(control, place()).limit(QuotaEntry("left", user, 1, where="q"))
    assert why(outcome).startswith(f"q.user: there is no user {user!r}; correct the name, or make")
    assert control.quotas == {}


def test_a_user_by_name_and_by_number_is_an_error_that_names_both(control: DataControl) -> None:
    board = setup(control, place())
    assert board.limit(QuotaEntry("left", "root", 1, where="q1")).done == SET
    assert "q2.user: q1 has the same user" in why(board.limit(QuotaEntry("left", 0, 2, where="q2")))
    assert control.quotas == {("left", 0): (1, None)}
