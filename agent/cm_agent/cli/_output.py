# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a verb prints, for people or as one JSON document, and what it ends with.

agent/COMMAND.md describes both, agent/command.schema.json the document.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from cm_agent import __version__
from cm_agent.core.context import CONTROL, node
from cm_agent.core.errors import (
    AllocationError,
    Error,
    NoProcessError,
    NotFoundError,
    UsageError,
)
from cm_agent.core.text import printable

DONE, FAILED, MISUSED, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141
"""The exit codes. UNREAD is what a shell reports of a program that SIGPIPE ended."""
_FIGURES = ("size", "alignment", "free", "largest_hole", "quota", "used", "max_chunks", "chunks")


class OutputError(Error):
    """Standard output takes no more; `code` is the exit code."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror}")
        self.code = UNREAD if error.errno == errno.EPIPE else FAILED


class MisuseError(UsageError):
    """A command line or a configuration is wrong in one place or several, one line for each.

    `usage` is how the verb is written, empty when that is not the point.
    """

    def __init__(self, *problems: str, usage: str = "") -> None:
        super().__init__("\n".join(problems))
        self.problems, self.usage = problems, usage


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that failed: a sentence, and what programs compare.

    `errno` and `reason` are names, such as ENOMEM and FULL; `figures` are an AllocationError's.
    """

    message: str
    errno: str | None = None
    reason: str | None = None
    context: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: BaseException, context: str | None = None) -> Problem:
        """Make it of an error, which is about a context or not."""
        number = error.errno if isinstance(error, OSError) else None
        name = None if number is None else errno.errorcode.get(number, str(number))
        if isinstance(error, AllocationError):
            figures = {figure: getattr(error, figure) for figure in _FIGURES}
            figures["holders"] = error.holders and [asdict(it) for it in error.holders.largest]
            return cls(_sentence(error), name, error.reason.name, error.context, figures)
        return cls(_sentence(error), name, context=context)

    def to_json(self) -> dict[str, Any]:
        """Return an entry of `errors`."""
        return {
            "message": self.message,
            "errno": self.errno,
            "reason": self.reason,
            "context": self.context,
            **self.figures,
        }


def show(
    args: argparse.Namespace,
    result: Any,
    lines: Iterable[str],
    problems: Sequence[Problem] = (),
    *,
    ok: bool = True,
) -> int:
    """Print a verb's result, as a document or in lines, and what failed; return the exit code.

    args: as main() gives them to the verb. ok False: nothing failed, but the result is bad.
    """
    good = ok and not problems
    if args.json:
        _print_document(args.verb, good, result, problems)
    else:
        for line in lines:
            say(line)
        flush()
        _complain(args.verb, problems)
    return DONE if good else FAILED


def fail(verb: str | None, error: BaseException, *, as_json: bool) -> int:
    """Print why there is no result, and return the exit code."""
    problems = _problems(error)
    if as_json:
        _print_document(verb, False, None, problems)
    elif not isinstance(error, KeyboardInterrupt):
        try:
            flush()
        finally:
            _warn(getattr(error, "usage", ""))
            _complain(verb, problems)
    return _code(error)


def abandon(verb: str | None, error: OutputError) -> int:
    """Report that standard output takes no more, have its last flush succeed all the same, and
    return the exit code.
    """
    if error.code != UNREAD:
        _complain(verb, [Problem.of(error)])
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    return error.code


def say(line: str = "") -> None:
    """Print a line of the result."""
    try:
        print(line)
    except OSError as error:
        raise OutputError(error) from None


def flush() -> None:
    """Have everything printed leave this process."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        raise OutputError(error) from None


def _print_document(verb: str | None, ok: bool, result: Any, problems: Sequence[Problem]) -> None:
    document = {
        "cm_agent": __version__,
        "verb": verb,
        "ok": ok,
        "result": result,
        "errors": [problem.to_json() for problem in problems],
    }
    say(json.dumps(document, indent=2))
    flush()


def _complain(verb: str | None, problems: Sequence[Problem]) -> None:
    name = f"cm-agent {verb}" if verb else "cm-agent"
    _warn("".join(f"{name}: {problem.message}\n" for problem in problems))


def _warn(text: str) -> None:
    with suppress(OSError):
        if sys.stderr:
            sys.stderr.write(text)
            sys.stderr.flush()


def _problems(error: BaseException) -> list[Problem]:
    if isinstance(error, MisuseError):
        return [Problem(_printable(line)) for line in error.problems]
    if isinstance(error, KeyboardInterrupt):
        return [Problem("interrupted")]
    return [Problem.of(error)]


def _code(error: BaseException) -> int:
    """Return the exit code of an error. Without the module, nothing there is named wrongly."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, NotFoundError | NoProcessError) and node(CONTROL).exists():
        return MISUSED
    return MISUSED if isinstance(error, UsageError) else FAILED


def _sentence(error: BaseException) -> str:
    if not isinstance(error, OSError):
        return _printable(str(error))
    what = error.strerror or str(error)
    return _printable(f"{error.filename}: {what}" if error.filename else what)


def _printable(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
