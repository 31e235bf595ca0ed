# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What devices take, added up: by rule of the policy, by context, and as banks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cm_agent.core.reports import ContextState
from cm_agent.policy.rules import NoRuleError, Policy, Rule
from cm_agent.video.demand import Demand


@dataclass(slots=True)
class Share:
    """What the devices of one rule take; `rule` None: no rule has them, `context` is for those."""

    number: int | None
    rule: Rule | None
    contexts: tuple[str, ...]
    demands: list[Demand] = field(default_factory=list)

    @property
    def chunks(self) -> list[int]:
        """Bytes of every chunk."""
        return [size for demand in self.demands for size in demand.chunks]

    @property
    def bytes(self) -> int:
        """Bytes of all chunks."""
        return sum(self.chunks)


def shares(demands: Sequence[Demand], policy: Policy, context: str) -> list[Share]:
    """Group devices by the rule for their driver, type "common", in the policy's order.

    context: for devices that no rule matches, and for those whose driver is not known.
    """
    found: dict[int | None, Share] = {}
    for demand in demands:
        number = _rule_number(policy, demand.driver)
        if number is None:
            share = found.setdefault(None, Share(None, None, (context,)))
        else:
            rule = policy.rules[number - 1]
            share = found.setdefault(number, Share(number, rule, rule.contexts))
        share.demands.append(demand)
    return [found[key] for key in sorted(found, key=lambda it: (it is None, it or 0))]


def chunks_of(context: str, every: Sequence[Share], besides: Share | None = None) -> list[int]:
    """Return the chunks of a context: of the rules that name it first, and of one other rule."""
    mine = [share for share in every if share.contexts[0] == context or share is besides]
    return [size for share in mine for size in share.chunks]


def fits(chunks: Sequence[int], state: ContextState) -> bool:
    """Return whether an empty context has room for all chunks, at its alignment."""
    end = 0
    for size in chunks:
        end = _up(end, state.min_alignment) + size
    return end <= state.size


@dataclass(frozen=True, slots=True)
class Bank:
    """Memory to be set aside for a context: bytes needed, and those rounded up to whole blocks."""

    context: str
    needed: int
    size: int
    private: bool


def banks(
    every: Sequence[Share], states: Mapping[str, ContextState | None], block: int
) -> list[Bank]:
    """Return a bank for each context that a rule names first; private if it is private already."""
    found = []
    for context in dict.fromkeys(share.contexts[0] for share in every):
        needed = sum(chunks_of(context, every))
        state = states.get(context)
        found.append(Bank(context, needed, _up(needed, block), bool(state and state.private)))
    return found


def _rule_number(policy: Policy, driver: str | None) -> int | None:
    if driver is None:
        return None
    try:
        return policy.rules.index(policy.match(driver)) + 1
    except NoRuleError:
        return None


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
