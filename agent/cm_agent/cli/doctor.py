# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent doctor`: what is missing, and how to fix it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace

from cm_agent.cli._arguments import Subparsers, add_common, add_config
from cm_agent.diagnose.doctor import Finding, Machine, examine

_MARKS = {True: "ok  ", False: "FAIL", None: "-   "}


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser("doctor", help="show what is missing and how to fix it")
    add_config(parser)
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every finding; 1 when something must be fixed."""
    findings = examine(replace(Machine(), config=args.config))
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            _show(finding)
    return 1 if any(finding.ok is False for finding in findings) else 0


def _show(finding: Finding) -> None:
    print(f"{_MARKS[finding.ok]}  {finding.what}")
    if finding.fix:
        print(f"      -> {finding.fix}")
