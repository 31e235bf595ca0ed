# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Allocation by policy, from contexts that are data: who is asked, in which order, until when."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError, ContextGoneError
from cm_agent.core.uapi import Reason
from cm_agent.policy.allocator import Allocator, RefusedError
from cm_agent.policy.rules import NoRuleError, Policy

MIB = 1 << 20
POLICY = Policy.parse("cam/f=fw;cam=left,right,spare")
OF_ONE_CONTEXT = (
    Reason.FULL,
    Reason.FRAGMENTED,
    Reason.BUSY,
    Reason.DEADLINE,
    Reason.NO_MEMORY,
    Reason.QUOTA,
    Reason.CHUNKS,
)
ERRNO = {
    Reason.BUSY: errno.EBUSY,
    Reason.DEADLINE: errno.ETIMEDOUT,
    Reason.INTERRUPTED: errno.EINTR,
    Reason.INVALID: errno.EINVAL,
    Reason.QUOTA: errno.EDQUOT,
    Reason.CHUNKS: errno.EDQUOT,
}


def refused(context: str, reason: Reason) -> AllocationError:
    """Return what a context raises when it has no chunk."""
    return AllocationError(
        ERRNO.get(reason, errno.ENOMEM),
        context=context,
        size=4 * MIB,
        alignment=0,
        reason=reason,
        free=2 * MIB,
        largest_hole=MIB,
        quota=3 * MIB,
        used=2 * MIB,
    )


@pytest.fixture
def bank_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bank]:
    """Make a bank, whose clock is the allocator's."""

    def make(**answers: BaseException | None) -> Bank:
        bank = Bank(**answers)
        clock = SimpleNamespace(monotonic=lambda: bank.now)
        monkeypatch.setattr("cm_agent.policy.allocator.time", clock)
        return bank

    return make


class Bank:
    """Lend contexts that answer as `answers` says, an exception or nothing; note what happens."""

    def __init__(self, **answers: BaseException | None) -> None:
        self.answers = answers
        self.events: list[str] = []
        self.asked: list[tuple[Any, ...]] = []
        self.unopened: dict[str, OSError | None] = {}
        self.now, self.seconds_taken = 100.0, 0.0

    @contextmanager
    def use(self, name: str) -> Iterator[Context | None]:
        """Lend one, None or an error when `unopened` has it."""
        if name in self.unopened:
            if error := self.unopened[name]:
                raise error
            yield None
            return
        self.events.append(f"{name} lent")
        yield cast(
            Context, SimpleNamespace(name=name, alloc=lambda *a, **k: self.alloc(name, *a, **k))
        )
        self.events.append(f"{name} back")

    def alloc(self, context: str, size: int, alignment: int, **options: Any) -> str:
        """Answer, after the seconds that it takes."""
        self.asked.append((context, size, alignment, options["deadline"], options["name"]))
        self.now += self.seconds_taken
        if answer := self.answers.get(context):
            raise answer
        return f"chunk of {context}"

    @property
    def allocator(self) -> Allocator:
        """Return an allocator over these contexts and their clock."""
        return Allocator(POLICY, self.use)

    def alloc_by_policy(self, type: str = "common", deadline: float | None = None) -> str:
        """Allocate for device `cam`."""
        return str(self.allocator.alloc("cam", type, 4 * MIB, deadline=deadline, name="it"))


def test_the_first_context_of_the_rule_is_asked_and_no_other(bank_of: Callable[..., Bank]) -> None:
    bank = bank_of()
    assert bank.alloc_by_policy() == "chunk of left"
    assert bank.asked == [("left", 4 * MIB, 0, None, "it")]
    assert bank.events == ["left lent", "left back"]


@pytest.mark.parametrize("reason", OF_ONE_CONTEXT)
def test_what_another_context_may_be_spared_moves_on(
    bank_of: Callable[..., Bank], reason: Reason
) -> None:
    bank = bank_of(left=refused("left", reason))
    assert bank.alloc_by_policy() == "chunk of right"


@pytest.mark.parametrize(
    "failure",
    [
        *(refused("left", reason) for reason in (Reason.INVALID, Reason.INTERRUPTED)),
        refused("left", Reason(99)),
        OSError(errno.EMFILE, "too many files"),
        OSError(errno.ENODEV, "the camera is gone"),
        TimeoutError(errno.ETIMEDOUT, "the camera is silent"),
        ValueError("a bug"),
    ],
)
def test_what_would_fail_everywhere_does_not_move_on(
    bank_of: Callable[..., Bank], failure: Exception
) -> None:
    bank = bank_of(left=failure)
    with pytest.raises(type(failure)) as caught:
        bank.alloc_by_policy()
    assert caught.value is failure
    assert [asked[0] for asked in bank.asked] == ["left"]


def test_a_rule_with_one_context_never_gives_memory_of_another(
    bank_of: Callable[..., Bank],
) -> None:
    bank = bank_of(fw=refused("fw", Reason.FULL))
    with pytest.raises(RefusedError):
        bank.alloc_by_policy("f")
    assert [asked[0] for asked in bank.asked] == ["fw"]


def test_when_all_refuse_the_error_has_each_ones_reason_and_numbers(
    bank_of: Callable[..., Bank],
) -> None:
    bank = bank_of(
        left=refused("left", Reason.FULL),
        right=refused("right", Reason.FRAGMENTED),
        spare=refused("spare", Reason.QUOTA),
    )
    with pytest.raises(RefusedError) as caught:
        bank.alloc_by_policy()
    head, *lines = str(caught.value.strerror).splitlines()
    assert head == ("no context of rule 'cam=left,right,spare' served device 'cam', type 'common':")
    failed = ": allocation of 4 MiB failed:"
    assert [line.split(";")[:2] for line in lines] == [
        [f"  context 'left'{failed} FULL", " 2 MiB free, largest hole 1 MiB"],
        [f"  context 'right'{failed} FRAGMENTED", " 2 MiB free, largest hole 1 MiB"],
        [f"  context 'spare'{failed} QUOTA", " you have 2 MiB of your 3 MiB"],
    ]
    assert [refusal.context for refusal in caught.value.refusals] == ["left", "right", "spare"]


def test_the_errno_of_all_is_theirs_when_they_agree_and_enomem_otherwise() -> None:
    def number(*reasons: Reason) -> int | None:
        names = ("left", "right", "spare")
        pairs = zip(names, reasons, strict=True)
        with pytest.raises(RefusedError) as caught:
            Bank(**{name: refused(name, reason) for name, reason in pairs}).alloc_by_policy()
        return caught.value.errno

    assert number(Reason.BUSY, Reason.BUSY, Reason.BUSY) == errno.EBUSY
    assert number(Reason.BUSY, Reason.FULL, Reason.BUSY) == errno.ENOMEM


def test_no_rule_asks_nobody(bank_of: Callable[..., Bank]) -> None:
    bank = bank_of()
    with pytest.raises(NoRuleError):
        bank.allocator.alloc("dsp", "common", MIB)
    assert bank.events == []


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM]
)
def test_a_context_that_cannot_be_opened_is_passed_over_with_a_warning(
    bank_of: Callable[..., Bank], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    bank = bank_of()
    bank.unopened["left"] = OSError(number, "context 'left': not for you")
    assert bank.alloc_by_policy() == "chunk of right"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "device=cam type=common rule=cam=left,right,spare: context 'left': not for you"
    )


def test_a_context_that_the_service_has_not_open_is_passed_over(
    bank_of: Callable[..., Bank],
) -> None:
    bank = bank_of()
    bank.unopened["left"] = None
    assert bank.alloc_by_policy() == "chunk of right"
    bank.unopened["fw"] = None
    with pytest.raises(
        RefusedError, match="context 'fw' is not open: it is not there, or"
    ) as caught:
        bank.alloc_by_policy("f")
    assert caught.value.errno == errno.ENOENT


def test_no_descriptors_left_is_no_reason_to_move_on(bank_of: Callable[..., Bank]) -> None:
    bank = bank_of()
    bank.unopened["left"] = OSError(errno.EMFILE, "too many files")
    with pytest.raises(OSError, match="too many files"):
        bank.alloc_by_policy()


def test_a_context_that_is_destroyed_meanwhile_is_passed_over(bank_of: Callable[..., Bank]) -> None:
    bank = bank_of(left=ContextGoneError(errno.ENODEV, "context 'left' was destroyed"))
    assert bank.alloc_by_policy() == "chunk of right"


def test_the_deadline_is_shared_evenly_among_those_not_asked_yet(
    bank_of: Callable[..., Bank],
) -> None:
    bank = bank_of(left=refused("left", Reason.DEADLINE), right=refused("right", Reason.FULL))
    bank.seconds_taken = 2.0
    bank.alloc_by_policy(deadline=9.0)
    assert [asked[3] for asked in bank.asked] == [3.0, 3.5, 5.0]


def test_when_time_is_up_the_rest_is_not_asked_and_the_error_says_so(
    bank_of: Callable[..., Bank],
) -> None:
    bank = bank_of(left=refused("left", Reason.DEADLINE))
    bank.seconds_taken = 10.0
    with pytest.raises(RefusedError) as caught:
        bank.alloc_by_policy(deadline=9.0)
    assert [asked[0] for asked in bank.asked] == ["left"]
    assert [str(refusal) for refusal in caught.value.refusals[1:]] == [
        f"context {name!r} was not asked: the deadline had passed" for name in ("right", "spare")
    ]
    assert caught.value.errno == errno.ETIMEDOUT


def test_a_deadline_that_has_passed_is_refused(bank_of: Callable[..., Bank]) -> None:
    with pytest.raises(ValueError, match="a deadline of 0 s has passed already"):
        bank_of().alloc_by_policy(deadline=0)


def test_what_is_taken_together_has_its_context_lent_and_knows_who_refused_before(
    bank_of: Callable[..., Bank],
) -> None:
    bank = bank_of(left=refused("left", Reason.FULL))
    with bank.allocator.take(
        "cam", "common", lambda it, _: [it.alloc(1, 0, deadline=None, name=None)] * 2
    ) as got:
        assert list(map(str, got.what)) == ["chunk of right"] * 2
        assert (got.context.name, str(got.rule)) == ("right", "cam=left,right,spare")
        assert [refusal.context for refusal in got.refusals] == ["left"]
        assert bank.events[-1] == "right lent"
    assert bank.events[-1] == "right back"


def test_a_failure_of_the_taker_is_not_taken_for_a_refusal(bank_of: Callable[..., Bank]) -> None:
    bank = bank_of()
    with (
        pytest.raises(AllocationError),
        bank.allocator.take("cam", "common", lambda context, seconds: None),
    ):
        raise refused("left", Reason.FULL)
    assert [event for event in bank.events if "lent" in event] == ["left lent"]
