# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The command `cm-agent`: each verb is a module of this package, or in a folder of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module

from cm_agent import __version__
from cm_agent.cli._output import MisuseError, OutputError, abandon, fail, flush
from cm_agent.cli._parser import Parser, Subparsers
from cm_agent.core.errors import Error

VERBS = {
    "alloc": "alloc",
    "apply": "apply",
    "banks": "banks",
    "bench": "bench",
    "chunks": "chunks",
    "compact": "compact",
    "create": "create",
    "destroy": "destroy",
    "doctor": "doctor",
    "exec": "exec",
    "info": "info",
    "layout": "layout",
    "list": "list",
    "policy": "policy",
    "quota": "quota",
    "serve": "serve",
    "shell": "shell.verb",
    "size": "size.verb",
    "stream": "stream.verb",
    "verify": "verify",
}
"""Which module has which verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; agent/COMMAND.md lists them.

    Only the verb that was asked for is imported.
    """
    words = [*(sys.argv[1:] if argv is None else argv)]  # list is a verb here, cm_agent.cli.list
    verb = words[0] if words and words[0] in VERBS else None
    try:
        code = _run(verb, words)
        flush()
    except OutputError as error:
        return abandon(verb, error)
    return code


def _run(verb: str | None, words: Sequence[str]) -> int:
    try:
        args = _parse(verb, words)
        args.verb = verb
        return int(args.run(args))
    except SystemExit as end:  # how argparse ends after --help and --version
        return int(end.code or 0)
    except OutputError:
        raise
    except (OSError, Error, KeyboardInterrupt) as error:
        return fail(verb, error, as_json="--json" in _ours(words))


def _ours(words: Sequence[str]) -> Sequence[str]:
    """Return the words before those of a command that is to be run."""
    return words[: words.index("--")] if "--" in words else words


def _parse(verb: str | None, words: Sequence[str]) -> argparse.Namespace:
    if verb:
        _, sub = parsers([verb])
        own: Parser = sub.choices[verb]
        return own.parse_args(words[1:])
    if words and not words[0].startswith("-"):
        raise _unknown(words[0])
    parser, _ = parsers()
    return parser.parse_args(words)


def parsers(verbs: Iterable[str] = VERBS) -> tuple[Parser, Subparsers]:
    """Return the parser of the command, and those of the verbs."""
    parser = Parser(
        prog="cm-agent",
        description="Physically contiguous memory: allocate, verify, stream into it, watch it.",
        epilog="`cm-agent VERB --help` describes a verb.",
    )
    parser.add_argument("--version", action="version", version=f"cm-agent {__version__}")
    sub = parser.add_subparsers(metavar="VERB", required=True)
    for verb in verbs:
        import_module(f"{__name__}.{VERBS[verb]}").register(sub)
    return parser, sub


def _unknown(word: str) -> MisuseError:
    near = get_close_matches(word, VERBS, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"the verbs are {', '.join(VERBS)}"
    return MisuseError(f"there is no verb {word!r}; {advice}")
