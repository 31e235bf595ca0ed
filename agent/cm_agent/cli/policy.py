# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent policy`: which rule holds for a device, and where its buffers would come from."""

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
from cm_agent.policy.rules import COMMON

_DESCRIPTION = """\
Show which rule of the policy applies to a device, and the contexts its buffers come from, in the
order in which they are tried, with their free space."""
_EPILOG = """\
DEVICE is the name that rules match; for a video device, the name of its driver. The device need not
exist.
Exit codes: 0 every context of the rule is there; 1 one is not, or no rule matches; 2 an error in
the arguments or the configuration."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "show which rule applies to a device, and where its buffers come from"
    parser = add_verb(sub, "policy", what, _DESCRIPTION, _EPILOG)
    parser.add_argument("device", metavar="DEVICE", help="as a rule names it, such as s5p-mfc")
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
    """Print the rule and its contexts, in order; 1 when one of them does not answer."""
    policy = load_config(args).policy
    rule = policy.match(args.device, args.type)
    problems: list[Problem] = []
    states = {name: _ask(name, problems) for name in rule.contexts}
    result = {
        "device": args.device,
        "type": args.type,
        "number": policy.rules.index(rule) + 1,
        "rule": str(rule),
        "contexts": [
            {"name": name, "state": state and asdict(state)} for name, state in states.items()
        ],
    }
    return show(args, result, _lines(result, states), problems)


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
