# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Allocate by policy: from the contexts of the rule that matches, in its order."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError, ContextGoneError, Error, request_error
from cm_agent.core.uapi import Reason
from cm_agent.policy.rules import Policy, Rule

log = logging.getLogger(__name__)

SPILLS: Final = frozenset(
    {
        Reason.FULL,
        Reason.FRAGMENTED,
        Reason.BUSY,
        Reason.DEADLINE,
        Reason.NO_MEMORY,
        Reason.QUOTA,
        Reason.CHUNKS,
    }
)
"""Reasons that are of one context, so that another may do better: it has other pages, in other
holes, and other quotas; a private one has no pages in the way that could find no place. INVALID
and INTERRUPTED would be the same everywhere, and one that is not known here may be anything."""
UNAVAILABLE: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EPERM})
"""What opening a context fails with when it is not there, or not for us."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A context whose allocation failed; only an AllocationError has the numbers."""

    context: str
    error: OSError

    def __str__(self) -> str:
        return self.error.strerror or str(self.error)


@dataclass(frozen=True, slots=True)
class Allocation(Generic[_T]):
    """What was allocated, from which context, and which ones of the rule had refused before.

    Without a rule, somebody asked for the context by its name.
    """

    what: _T
    context: Context
    rule: Rule | None = None
    refusals: tuple[Refusal, ...] = ()


class RefusedError(Error, OSError):
    """Every context of the rule refused; errno is theirs when they agree, ENOMEM otherwise."""

    def __init__(self, device: str, type: str, rule: Rule, refusals: tuple[Refusal, ...]) -> None:
        numbers = {refusal.error.errno for refusal in refusals}
        super().__init__(
            numbers.pop() if len(numbers) == 1 else errno.ENOMEM,
            f"no context of rule {str(rule)!r} served device {device!r}, type {type!r}:"
            + "".join(f"\n  {refusal}" for refusal in refusals),
        )
        self.device, self.type, self.rule, self.refusals = device, type, rule, refusals


class Allocator:
    """Try the contexts of a rule in order; move on only from what another one may be spared.

    `use` lends a context for a `with` block: Context itself, which is opened for it, or
    OpenContexts.use, for a service that keeps them open. A context that is not there is passed
    over like a full one, as in 2010. What was passed over is logged: as a warning when it is not
    there, since it may be misspelt.

    Synchronization: none required, if `use` needs none.
    """

    def __init__(
        self,
        policy: Policy,
        use: Callable[[str], AbstractContextManager[Context | None]] = Context,
    ) -> None:
        self.policy = policy
        self._use = use

    def alloc(
        self,
        device: str,
        type: str,
        size: int,
        alignment: int = 0,
        *,
        deadline: float | None = None,
        name: str | None = None,
    ) -> Buffer:
        """Allocate one chunk for a device; the Buffer owns its descriptor.

        Size, alignment and name are Context.alloc()'s, deadline is take()'s. NoRuleError;
        RefusedError when all contexts refused; what else Context.alloc() raises.
        """

        def attempt(context: Context, seconds: float | None) -> Buffer:
            return context.alloc(size, alignment, deadline=seconds, name=name)

        with self.take(device, type, attempt, deadline=deadline) as allocation:
            return allocation.what

    @contextmanager
    def take(
        self,
        device: str,
        type: str,
        attempt: Callable[[Context, float | None], _T],
        *,
        deadline: float | None = None,
    ) -> Iterator[Allocation[_T]]:
        """Have `attempt` allocate what belongs together, all from one context; lend it meanwhile.

        It gets the context and the seconds that an allocation may take, and leaves nothing behind
        when it raises AllocationError; what it returns is the caller's to close. deadline: seconds
        for all contexts together. Each may take an even share of what those before it left, so
        that one whose pages are busy leaves time for the next. None: the kernel's 10 for each.
        """
        if deadline is not None and deadline <= 0:
            raise ValueError(f"a deadline of {deadline} s has passed already")
        end = None if deadline is None else time.monotonic() + deadline
        rule = self.policy.match(device, type)
        refusals: list[Refusal] = []
        for number, name in enumerate(rule.contexts):
            left = None if end is None else end - time.monotonic()
            seconds = None if left is None else left / (len(rule.contexts) - number)
            with ExitStack() as stack:
                tried = self._try(stack, name, attempt, seconds)
                if isinstance(tried, Refusal):
                    refusals.append(tried)
                    continue
                _log(device, type, rule, refusals)
                yield Allocation(*tried, rule, tuple(refusals))
                return
        raise RefusedError(device, type, rule, tuple(refusals))

    def _try(
        self,
        stack: ExitStack,
        name: str,
        attempt: Callable[[Context, float | None], _T],
        seconds: float | None,
    ) -> tuple[_T, Context] | Refusal:
        if seconds is not None and seconds <= 0:
            what = f"context {name!r} was not asked: the deadline had passed"
            return Refusal(name, request_error(errno.ETIMEDOUT, what))
        try:
            context = stack.enter_context(self._use(name))
        except OSError as error:
            if error.errno not in UNAVAILABLE:
                raise
            return Refusal(name, error)
        if context is None:
            what = f"context {name!r} is not open: it is not there, or the log says why"
            return Refusal(name, request_error(errno.ENOENT, what))
        try:
            return attempt(context, seconds), context
        except (AllocationError, ContextGoneError) as error:
            if isinstance(error, AllocationError) and error.reason not in SPILLS:
                raise
            return Refusal(name, error)


def _log(device: str, type: str, rule: Rule, refusals: list[Refusal]) -> None:
    """Log the contexts that were passed over; one that is not there may be misspelt."""
    for refusal in refusals:
        level = logging.INFO if isinstance(refusal.error, AllocationError) else logging.WARNING
        log.log(level, "device=%s type=%s rule=%s: %s", device, type, rule, refusal)
