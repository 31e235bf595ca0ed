# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Parsers of command lines whose errors are exceptions."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn, TypeAlias

from cm_agent.cli._output import MisuseError, say

Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"


class Parser(argparse.ArgumentParser):
    """Read a command line; MisuseError has the usage of the verb that was meant.

    Options are written in full, so that a new one never changes what a script does.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print before it ends the program."""
        raise MisuseError(message, usage=self.format_usage())

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print --help and --version, all that argparse prints here; it would pass over errors."""
        say(message.rstrip("\n"))


def add_verb(sub: Subparsers, verb: str, what: str, description: str, epilog: str = "") -> Parser:
    """Add a verb: `what` is its line in the list of verbs, the others are texts of its --help."""
    parser: Parser = sub.add_parser(verb, help=what, description=description, epilog=epilog)
    return parser
