# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent policy`: which rule holds for a device, and where its buffers would come from."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from cm_agent.cli._arguments import Subparsers, add_common, add_config, load_config
from cm_agent.core.context import Context
from cm_agent.core.reports import ContextState
from cm_agent.core.size import format_size
from cm_agent.policy.rules import COMMON

_EPILOG = """\
DEVICE is the name that rules match: of a video device, that of its driver. It need not be there.
Exit codes: 0 every context of the rule can be asked; 1 no rule matches, or a context is not there;
2 an error in the arguments or the configuration."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser(
        "policy",
        help="tell which rule holds for a device, and where its buffers would come from",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("device", metavar="DEVICE", help="as a rule names it, such as s5p-mfc")
    parser.add_argument(
        "type", metavar="TYPE", nargs="?", default=COMMON, help="default: %(default)s"
    )
    add_config(parser)
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the rule and its contexts, in order; 1 when one of them cannot be asked."""
    policy = load_config(args).policy
    rule = policy.match(args.device, args.type)
    asked = {name: _ask(name) for name in rule.contexts}
    report = {
        "device": args.device,
        "type": args.type,
        "number": policy.rules.index(rule) + 1,
        "rule": str(rule),
        "contexts": [_to_json(name, answer) for name, answer in asked.items()],
    }
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print("device {device!r}, type {type!r}: rule {number}, {rule}".format(**report))
        for name, answer in asked.items():
            print(f"  {name}: {_describe(answer)}")
    return 1 if any(isinstance(answer, OSError) for answer in asked.values()) else 0


def _ask(name: str) -> ContextState | OSError:
    try:
        with Context(name) as context:
            return context.query()
    except OSError as error:
        return error


def _to_json(name: str, answer: ContextState | OSError) -> dict[str, Any]:
    if isinstance(answer, OSError):
        return {"name": name, "state": None, "error": answer.strerror}
    return {"name": name, "state": asdict(answer), "error": None}


def _describe(answer: ContextState | OSError) -> str:
    if isinstance(answer, OSError):
        return str(answer.strerror)
    kind = "private" if answer.private else "shared"
    free, hole = format_size(answer.free), format_size(answer.largest_hole)
    return f"{kind}, {format_size(answer.size)}, {free} free, largest hole {hole}"
