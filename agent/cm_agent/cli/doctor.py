# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent doctor`: what is missing, and how to fix it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace

from cm_agent.cli._arguments import add_common, add_config
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.diagnose.doctor import Machine, examine
from cm_agent.diagnose.finding import Finding

_MARKS = {True: "ok  ", False: "FAIL", None: "-   "}
_DESCRIPTION = """\
Check everything that contexts need on this machine, from the kernel to the service, and show what
is missing and how to fix it. Nothing is changed."""
_EPILOG = """\
A line begins with `ok`, with `FAIL` when something must be fixed, and with `-` for what cannot be
judged or need not be fixed.
Exit codes: 0 nothing must be fixed; 1 something must be; 2 an error in the arguments."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "show what is missing and how to fix it"
    parser = add_verb(sub, "doctor", what, _DESCRIPTION, _EPILOG)
    add_config(parser)
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every finding; 1 when something must be fixed."""
    findings = examine(replace(Machine(), config=args.config))
    good = all(finding.ok is not False for finding in findings)
    return show(args, [asdict(it) for it in findings], _lines(findings), ok=good)


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"{_MARKS[finding.ok]}  {finding.what}"
        if finding.fix:
            yield f"      -> {finding.fix}"
