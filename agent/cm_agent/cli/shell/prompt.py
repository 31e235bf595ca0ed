# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The prompt of a session: lines that a person types, or that come through a pipe."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import suppress

from cm_agent.cli._output import flush, say
from cm_agent.cli.shell.command import VERBS, parse
from cm_agent.cli.shell.session import Session
from cm_agent.core.errors import CommandError, UsageError


def converse(session: Session, name: str) -> int:
    """Do command after command until `quit`, the end of the input or Ctrl-C.

    Return 0 to a person, who has seen what failed; to a program 1 when a command failed and 2
    when a line was no command.
    """
    person, worst = sys.stdin.isatty(), 0
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    try:
        for line in _typed(f"{name}> ") if person else sys.stdin:
            code = _do(session, line)
            if code is None:
                break
            worst = max(worst, code)
            flush()
    except KeyboardInterrupt:
        say()
    return 0 if person else worst


def _do(session: Session, line: str) -> int | None:
    """Do one line and return its exit code; None for `quit`."""
    try:
        command = parse(line)
        if command and command.verb == "quit":
            return None
        if command:
            session.run(command)
    except (CommandError, UsageError) as error:
        flush()
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _typed(prompt: str) -> Iterator[str]:
    _edit_lines()
    while True:
        try:
            yield input(prompt)
        except EOFError:
            say()
            return


def _edit_lines() -> None:
    """Let a person edit lines, go back to old ones and complete commands, where there is readline.

    Importing it is what makes input() use it.
    """
    with suppress(ImportError):
        import readline

        readline.set_completer(_complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")


def _complete(text: str, nth: int) -> str | None:
    matching = [f"{verb} " for verb in VERBS if verb.startswith(text)]
    return matching[nth] if nth < len(matching) else None
