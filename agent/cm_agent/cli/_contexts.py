# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The argument [CONTEXT...] of verbs that show contexts: those that are named, or all."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from cm_agent.cli._arguments import context_name
from cm_agent.cli._output import Problem
from cm_agent.core.context import Context, contexts
from cm_agent.diagnose.doctor import Machine, examine

_T = TypeVar("_T")


def add_contexts(parser: argparse.ArgumentParser) -> None:
    """Add [CONTEXT...], for ask_contexts()."""
    parser.add_argument(
        "contexts",
        type=context_name,
        nargs="*",
        metavar="CONTEXT",
        help="name of a context (default: all)",
    )


def ask_contexts(
    names: list[str], question: Callable[[Context], _T]
) -> tuple[list[_T], list[Problem]]:
    """Return the answers of contexts, and what failed; OSError at once when it was named.

    Without names, all are asked; there being none is a problem.
    """
    answers: list[_T] = []
    problems: list[Problem] = []
    for name in dict.fromkeys(names or contexts()):
        try:
            with Context(name) as context:
                answers.append(question(context))
        except OSError as error:
            if names:
                raise
            problems.append(Problem.of(error, name))
    return answers, problems if answers or problems else [_nothing()]


def _nothing() -> Problem:
    causes = [finding for finding in examine(Machine()) if finding.ok is False]
    why = f": {causes[0].what}" if causes else ""
    return Problem(f"there is no context{why}; `cm-agent doctor` shows how to fix it")
