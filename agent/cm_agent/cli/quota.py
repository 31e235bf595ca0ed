# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent quota`: how much of a context a user may have, and has, set or shown."""

from __future__ import annotations

import argparse
import json
import pwd
from dataclasses import asdict
from typing import Final

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import Subparsers, byte_count, context_name
from cm_agent.core.context import Context
from cm_agent.core.control import Control
from cm_agent.core.errors import UsageError
from cm_agent.core.reports import Quota, User
from cm_agent.core.size import format_size
from cm_agent.core.uapi import QUOTA_ANYBODY, QUOTA_NO_CHUNKS

_UNLIMITED = "none"
_KEPT: Final = object()
"""A limit that is not given."""
_HEADINGS = ("USER", "IN USE", "QUOTA", "CHUNKS", "MAX CHUNKS")
_ANYBODY = "each user without a quota of their own"


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser(
        "quota", help="limit how much of a context a user may have (root), or show it"
    )
    parser.description = (
        "Limit how many bytes of a context, in how many chunks, a user may have. A limit that is"
        " not given stays as it is. With --user alone, show what applies and what is in use; with"
        " CONTEXT alone, show this of all users who have chunks or a quota of their own, or, unless"
        " you are root, of yourself. Users with CAP_SYS_RESOURCE, as root has, may exceed their"
        " limits, but not the number of chunks that a context has at most (the module's parameter"
        " max_chunks)."
    )
    parser.add_argument("context", type=context_name, metavar="CONTEXT")
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
        metavar="U",
        help="name or number; default: each user without a quota of their own",
    )
    parser.add_argument(
        "--json", action="store_true", help="with CONTEXT alone: print JSON, sizes in bytes"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Set what is given, and print what applies then; list the users when nothing is given."""
    if args.size is _KEPT and args.chunks is _KEPT and args.user is None:
        return _list(args.context, as_json=args.json)
    if args.json:
        raise UsageError("--json goes with CONTEXT alone, to list the users")
    return _set_or_show(args)


def _list(name: str, *, as_json: bool) -> int:
    everybody = _everybody(name)
    with Context(name) as context:
        users = context.users()
    if as_json:
        limits = everybody and {"quota": everybody.size, "max_chunks": everybody.chunks}
        print(json.dumps({"everybody": limits, "users": list(map(asdict, users))}, indent=2))
        return 0
    if everybody:
        print(f"{name}: {_ANYBODY} may have {_most(everybody.size, everybody.chunks)}")
    if users:
        for line in table.lines([_HEADINGS, *map(_row, users)], "<>>>>"):
            print(line)
    return 0


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
    return (_login(user.uid), format_size(user.bytes), quota, str(user.chunks), most)


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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
    print(f"{args.context}: {whose} may have {_most(size, chunks)}{excess}{used}")
    return 0


def _most(size: int | None, chunks: int | None) -> str:
    most = "as much as there is" if size is None else format_size(size)
    return most if chunks is None else f"{most}, in at most {_chunks(chunks)}"


def _used(quota: Quota) -> str:
    return f"{format_size(quota.used)} in {_chunks(quota.used_chunks)}"


def _chunks(number: int) -> str:
    return "1 chunk" if number == 1 else f"{number} chunks"


def _limit(text: str) -> int | None:
    return None if text == _UNLIMITED else byte_count(text)


def _count(text: str) -> int | None:
    if text == _UNLIMITED:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) < QUOTA_NO_CHUNKS):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of chunks from 0 to {QUOTA_NO_CHUNKS - 1}"
        )
    return int(text)


def _user(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) < QUOTA_ANYBODY:
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no user {text!r}") from None
