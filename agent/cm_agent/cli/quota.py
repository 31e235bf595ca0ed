# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent quota`: how much of a context a user may have, and has, set or shown."""

from __future__ import annotations

import argparse
import pwd
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import add_common, byte_count, context_name
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.context import Context
from cm_agent.core.control import Control
from cm_agent.core.holders import count_chunks
from cm_agent.core.login import user_name
from cm_agent.core.reports import Quota, User
from cm_agent.core.size import format_size
from cm_agent.core.uapi import QUOTA_ANYBODY, QUOTA_NO_CHUNKS

_UNLIMITED = "none"
_KEPT: Final = object()
"""A limit that is not given."""
_HEADINGS = ("USER", "IN USE", "QUOTA", "CHUNKS", "MAX CHUNKS")
_ANYBODY = "each user without a quota of their own"
_DESCRIPTION = """\
Limit how many bytes of a context, in how many chunks, a user may have; needs root. A limit that is
not given stays as it is. With --user alone, show what applies to this user and what is in use; with
CONTEXT alone, show it for all users who have chunks or a quota of their own or, without root, for
yourself. Limits last until the context is destroyed or the board reboots; those of
the configuration are set at every boot (`cm-agent apply`)."""
_EPILOG = """\
Users with CAP_SYS_RESOURCE, as root has, may exceed their limits, but not the number of chunks that
a context may have (the module's parameter max_chunks).
Exit codes: 0 it was set or shown; 1 it was not; 2 an error in the arguments, or there is no such
context."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "limit how much of a context a user may have (root only), or show it"
    parser = add_verb(sub, "quota", what, _DESCRIPTION, _EPILOG)
    parser.add_argument("context", type=context_name, metavar="CONTEXT", help="name of the context")
    parser.add_argument(
        "size",
        type=_limit,
        nargs="?",
        default=_KEPT,
        metavar="SIZE",
        help=f'bytes, as in "16MiB", or "{_UNLIMITED}"',
    )
    parser.add_argument(
        "--chunks",
        type=_count,
        default=_KEPT,
        metavar="N",
        help=f'number of chunks, or "{_UNLIMITED}"',
    )
    parser.add_argument(
        "--user",
        type=_user,
        metavar="USER",
        help=f"name or number (default: {_ANYBODY})",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Set what is given, and print what applies then; list the users when nothing is given."""
    if args.size is _KEPT and args.chunks is _KEPT and args.user is None:
        return _list(args)
    return _set_or_show(args)


def _list(args: argparse.Namespace) -> int:
    everybody = _everybody(args.context)
    with Context(args.context) as context:
        users = context.users()
    limits = _limits(everybody.size, everybody.chunks) if everybody else None
    lines = _table(args.context, everybody, users)
    return show(args, _result(args.context, limits, users), lines)


def _result(name: str, everybody: dict[str, Any] | None, users: list[User]) -> dict[str, Any]:
    return {"context": name, "everybody": everybody, "users": [asdict(user) for user in users]}


def _limits(size: int | None, chunks: int | None) -> dict[str, Any]:
    return {"quota": size, "max_chunks": chunks}


def _table(name: str, everybody: Quota | None, users: list[User]) -> Iterator[str]:
    if everybody:
        yield f"{name}: {_ANYBODY} may have {_most(everybody.size, everybody.chunks)}"
    if users:
        yield from table.lines([_HEADINGS, *map(_row, users)], "<>>>>")


def _everybody(name: str) -> Quota | None:
    """Return what applies to those without a quota of their own; None: only root may ask."""
    try:
        with Control() as control:
            return control.quota(name)
    except PermissionError:
        return None


def _row(user: User) -> tuple[str, ...]:
    quota = _UNLIMITED if user.quota is None else format_size(user.quota)
    most = _UNLIMITED if user.max_chunks is None else str(user.max_chunks)
    return (user_name(user.uid), format_size(user.bytes), quota, str(user.chunks), most)


def _set_or_show(args: argparse.Namespace) -> int:
    with Control() as control:
        before = control.quota(args.context, args.user)
        size = before.size if args.size is _KEPT else args.size
        chunks = before.chunks if args.chunks is _KEPT else args.chunks
        shown = args.size is _KEPT and args.chunks is _KEPT
        if not shown:
            control.set_quota(args.context, size, uid=args.user, chunks=chunks)
    whose = _ANYBODY if args.user is None else f"user {args.user}"
    excess = "; root may exceed it" if args.user == 0 and (size, chunks) != (None, None) else ""
    used = f"; in use: {_used(before)}" if shown else ""
    line = f"{args.context}: {whose} may have {_most(size, chunks)}{excess}{used}"
    if args.user is None:
        result = _result(args.context, _limits(size, chunks), [])
    else:
        user = User(args.user, before.used, size, before.used_chunks, chunks)
        result = _result(args.context, None, [user])
    return show(args, result, [line])


def _most(size: int | None, chunks: int | None) -> str:
    most = "as much as there is" if size is None else format_size(size)
    return most if chunks is None else f"{most}, in at most {count_chunks(chunks)}"


def _used(quota: Quota) -> str:
    return f"{format_size(quota.used)} in {count_chunks(quota.used_chunks)}"


def _limit(text: str) -> int | None:
    return None if text == _UNLIMITED else byte_count(text)


def _count(text: str) -> int | None:
    if text == _UNLIMITED:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) < QUOTA_NO_CHUNKS):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of chunks from 0 to {QUOTA_NO_CHUNKS - 1}"
        )
    return int(text)


def _user(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) < QUOTA_ANYBODY:
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no user {text!r}") from None
