# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent policy`: the rules, or which one holds for a device, and what is free."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from cm_agent.cli._arguments import add_common, add_config, load_config
from cm_agent.cli._output import Problem, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.context import Context
from cm_agent.core.reports import ContextState
from cm_agent.core.size import format_size
from cm_agent.policy.rules import COMMON, Policy, Rule

_DESCRIPTION = """\
Show which rule of the policy applies to a device, and the contexts its buffers come from, in the
order in which they are tried, with their free space. Without DEVICE, show all rules: the first that
matches a device applies."""
_EPILOG = """\
DEVICE is the name that rules match; for a video device, the name of its driver. The device need not
exist.
Exit codes: 0 every context of the rules shown is there; 1 one is not, or no rule matches; 2 an
error in the arguments or the configuration."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "show the rules, or which one applies to a device, and where its buffers come from"
    parser = add_verb(sub, "policy", what, _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "device",
        nargs="?",
        metavar="DEVICE",
        help="as a rule names it, such as s5p-mfc (default: show all rules)",
    )
    parser.add_argument(
        "type",
        metavar="TYPE",
        nargs="?",
        default=COMMON,
        help="type of buffer (default: %(default)s)",
    )
    add_config(parser)
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the rule, or all, and their contexts, in order; 1 when one of those does not answer."""
    policy = load_config(args).policy
    return _show_all(args, policy) if args.device is None else _show_one(args, policy)


def _show_all(args: argparse.Namespace, policy: Policy) -> int:
    problems: list[Problem] = []
    names = dict.fromkeys(name for rule in policy.rules for name in rule.contexts)
    states = {name: _ask(name, problems) for name in names}
    rules = [
        {"number": number, "rule": str(rule), "contexts": _contexts(rule, states)}
        for number, rule in enumerate(policy.rules, 1)
    ]
    return show(args, {"rules": rules}, _lines_of_all(policy, states), problems)


def _lines_of_all(policy: Policy, states: dict[str, ContextState | None]) -> Iterator[str]:
    if not policy.rules:
        yield "there are no rules, so no device is given a buffer; write [policy] in the file"
    for number, rule in enumerate(policy.rules, 1):
        yield f"rule {number}: {rule}"
        for name in rule.contexts:
            yield f"  {name}: {_describe(states[name])}"


def _show_one(args: argparse.Namespace, policy: Policy) -> int:
    rule = policy.match(args.device, args.type)
    problems: list[Problem] = []
    states = {name: _ask(name, problems) for name in rule.contexts}
    result = {
        "device": args.device,
        "type": args.type,
        "number": policy.rules.index(rule) + 1,
        "rule": str(rule),
        "contexts": _contexts(rule, states),
    }
    return show(args, result, _lines(result, states), problems)


def _contexts(rule: Rule, states: dict[str, ContextState | None]) -> list[dict[str, Any]]:
    found = ((name, states[name]) for name in rule.contexts)
    return [{"name": name, "state": state and asdict(state)} for name, state in found]


def _ask(name: str, problems: list[Problem]) -> ContextState | None:
    try:
        with Context(name) as context:
            return context.query()
    except OSError as error:
        problems.append(Problem.of(error, name))
        return None


def _lines(result: Mapping[str, Any], states: dict[str, ContextState | None]) -> Iterator[str]:
    yield "device {device!r}, type {type!r}: rule {number}, {rule}".format_map(result)
    for name, state in states.items():
        yield f"  {name}: {_describe(state)}"


def _describe(state: ContextState | None) -> str:
    if state is None:
        return "not available"
    kind = "private" if state.private else "shared"
    free, hole = format_size(state.free), format_size(state.largest_hole)
    return f"{kind}, {format_size(state.size)}, {free} free, largest hole {hole}"
