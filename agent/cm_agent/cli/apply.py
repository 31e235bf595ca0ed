# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent apply`: make the contexts and quotas of the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from cm_agent.cli._arguments import add_common, add_config, load_config
from cm_agent.cli._output import FAILED, MISUSED, Problem, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.config import setup
from cm_agent.config.contexts import ContextEntry, QuotaEntry
from cm_agent.config.settings import Config
from cm_agent.config.setup import Outcome, Setup
from cm_agent.core.control import Control
from cm_agent.core.devicetree import bank_sizes
from cm_agent.core.errors import UsageError
from cm_agent.core.place import places
from cm_agent.core.size import format_size

_DESCRIPTION = """\
Make the contexts of the configuration that are missing, and set its quotas; needs root. What is
there as configured is left alone. A context that is there and differs is an error: nothing is ever
destroyed. cm-agent-contexts.service does this at boot."""
_EPILOG = """\
Errors of one context or quota do not stop the others, and none is made in part.
Exit codes: 0 all is as configured; 1 something could not be made; 2 an error in the arguments or
the configuration, or it names a bank, a context or a user that is not there."""
_DONE = {setup.MADE: "made", setup.SET: "set", setup.KEPT: "there already"}
_WOULD = {setup.MADE: "would be made", setup.SET: "would be set", setup.KEPT: "there already"}


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "make the contexts and quotas of the configuration (root only)"
    parser = add_verb(sub, "apply", what, _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be made, and change nothing"
    )
    add_config(parser)
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make everything, and print what was done about each entry."""
    outcomes = _apply(load_config(args), dry_run=args.dry_run)
    errors = [it.error for it in outcomes if it.error]
    problems = [Problem.of(it.error, _context(it)) for it in outcomes if it.error]
    code = show(args, _result(outcomes, args.dry_run), _lines(outcomes, args.dry_run), problems)
    if code == FAILED and all(isinstance(error, UsageError) for error in errors):
        return MISUSED
    return code


def _apply(config: Config, *, dry_run: bool) -> list[Outcome]:
    """Contexts come first, then the quotas of anybody: what a user has of their own holds then."""
    if not config.contexts and not config.quotas:
        return []
    quotas = sorted(config.quotas, key=lambda entry: entry.user is not None)
    with Control() as control:
        setup = Setup(control, places(), bank_sizes(), dry_run=dry_run)
        return [*map(setup.make, config.contexts), *map(setup.limit, quotas)]


def _context(outcome: Outcome) -> str:
    entry = outcome.entry
    return entry.name if isinstance(entry, ContextEntry) else entry.context


def _result(outcomes: Sequence[Outcome], dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "contexts": [
            _described(it.entry) | {"done": it.done}
            for it in outcomes
            if isinstance(it.entry, ContextEntry)
        ],
        "quotas": [
            _limited(it.entry) | {"uid": it.uid, "done": it.done}
            for it in outcomes
            if isinstance(it.entry, QuotaEntry)
        ],
    }


def _described(entry: ContextEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "bank": entry.bank,
        "offset": entry.offset,
        "size": entry.size,
        "private": entry.private,
        "min_alignment": entry.min_alignment,
    }


def _limited(entry: QuotaEntry) -> dict[str, Any]:
    return {
        "context": entry.context,
        "user": entry.whose,
        "quota": entry.size,
        "max_chunks": entry.chunks,
    }


def _lines(outcomes: Sequence[Outcome], dry_run: bool) -> Iterator[str]:
    if not outcomes:
        yield "nothing to do: no contexts and no quotas are configured"
    words = _WOULD if dry_run else _DONE
    for outcome in outcomes:
        if outcome.done in words:
            yield f"{_sentence(outcome.entry)}: {words[outcome.done]}"


def _sentence(entry: ContextEntry | QuotaEntry) -> str:
    if isinstance(entry, QuotaEntry):
        return f"{entry.context}: {entry.whose} may have {_most(entry)}"
    kind = "private" if entry.private else "shared"
    size = "the rest" if entry.size is None else format_size(entry.size)
    where = f" from {format_size(entry.offset)} on" if entry.offset else ""
    return f"{entry.name}: {kind}, {size} of {entry.bank}{where}"


def _most(entry: QuotaEntry) -> str:
    size = "any size" if entry.size is None else format_size(entry.size)
    return size if entry.chunks is None else f"{size} in at most {entry.chunks} chunks"
