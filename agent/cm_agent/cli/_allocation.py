# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The argument CONTEXT of verbs that take buffers for a device: given, or chosen by the policy."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cm_agent.cli._arguments import add_config, context_name, load_config
from cm_agent.core.context import Context
from cm_agent.policy.allocator import Allocation, Allocator
from cm_agent.policy.rules import COMMON

_T = TypeVar("_T")


def add_context(parser: argparse.ArgumentParser) -> None:
    """Add CONTEXT, which may be left out, and --config; both for allocated()."""
    parser.add_argument(
        "context",
        type=context_name,
        nargs="?",
        metavar="CONTEXT",
        help="where the buffers come from (default: what the policy says)",
    )
    add_config(parser)


@contextmanager
def allocated(
    args: argparse.Namespace,
    device: str,
    attempt: Callable[[Context, float | None], _T],
    *,
    type: str = COMMON,
) -> Iterator[Allocation[_T]]:
    """Have `attempt` allocate from CONTEXT or, without one, as Allocator.take() does."""
    if args.context:
        with Context(args.context) as context:
            yield Allocation(attempt(context, None), context)
        return
    allocator = Allocator(load_config(args).policy, lambda name: Context(name))
    with allocator.take(device, type, attempt) as allocation:
        yield allocation
