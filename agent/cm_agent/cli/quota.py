# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent quota`: say how much of a context a user may have."""

from __future__ import annotations

import argparse
import pwd

from cm_agent.cli._arguments import Subparsers, byte_count, context_name
from cm_agent.control import Control
from cm_agent.size import format_size


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser("quota", help="say how much of a context a user may have (root)")
    parser.description = (
        "Say how much of a context a user may have. Whoever has CAP_SYS_RESOURCE, as root has, may"
        " exceed it. The quotas that are set cannot be read back."
    )
    parser.add_argument("context", type=context_name)
    parser.add_argument("size", type=limit, help='bytes, as in "16MiB", or "none"')
    parser.add_argument(
        "--user", type=user, help="name or number; default: each user without a quota of his own"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Set it, and say what holds now."""
    with Control() as control:
        control.set_quota(args.context, args.size, uid=args.user)
    whose = "each user without a quota of his own" if args.user is None else f"user {args.user}"
    much = "as much as there is" if args.size is None else format_size(args.size)
    excess = "; root may exceed it" if args.user == 0 and args.size is not None else ""
    print(f"{args.context}: {whose} may have {much}{excess}")
    return 0


def limit(text: str) -> int | None:
    """Read a size or "none"."""
    return None if text == "none" else byte_count(text)


def user(text: str) -> int:
    """Read a user's name or number."""
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no user {text!r}") from None
