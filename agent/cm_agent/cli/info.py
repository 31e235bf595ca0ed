# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent info`: what the module is and can do; all that is known of a context."""

from __future__ import annotations

import argparse
import mmap
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from cm_agent.cli import _table as table
from cm_agent.cli._arguments import add_common, context_name
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.core.attributes import (
    bank_of,
    module_is_loaded,
    module_parameters,
    module_version,
    offset_of,
)
from cm_agent.core.context import Context, contexts
from cm_agent.core.errors import Error
from cm_agent.core.reports import ContextState, ContextStats
from cm_agent.core.size import format_size
from cm_agent.core.uapi import feature_names

_UNKNOWN = "unknown"
_SIZES = ("size", "free", "largest_hole", "pinned", "draining", "min_alignment")
_DESCRIPTION = """\
Show the module's version, features and parameters, the kernel, and the names of the contexts. With
CONTEXT, show all that is known of it and what it has done since it was made, but for the latencies,
which are in the metrics."""
_EPILOG = """\
The features are shown when there is a context that can be opened. The offset of a context in its
bank is shown to root only, since it gives physical addresses away.
Exit codes: 0 it was shown; 1 it was not, or the module is not loaded; 2 an error in the arguments,
or there is no such context."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "show what the module is and can do, or all that is known of a context"
    parser = add_verb(sub, "info", what, _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "context", type=context_name, nargs="?", metavar="CONTEXT", help="name of a context"
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is known of a context or, without one, of the module."""
    if args.context:
        with Context(args.context) as context:
            known = _context(context.query(), context.stats())
        return show(args, {"module": None, "context": known}, _lines_of_context(known))
    if not module_is_loaded():
        raise Error("the module cm is not loaded; `cm-agent doctor` shows how to fix it")
    module = _module()
    return show(args, {"module": module, "context": None}, _lines_of_module(module))


def _module() -> dict[str, Any]:
    state = _any_state()
    return {
        "version": state.version if state else module_version(),
        "features": feature_names(state.features) if state else None,
        "parameters": module_parameters(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "page_size": mmap.PAGESIZE,
        "contexts": contexts(),
    }


def _any_state() -> ContextState | None:
    for name in contexts():
        with suppress(OSError), Context(name) as context:
            return context.query()
    return None


def _lines_of_module(module: dict[str, Any]) -> Iterator[str]:
    features = module["features"]
    rows = {
        "module": f"cm {module['version'] or _UNKNOWN}",
        "features": _UNKNOWN if features is None else ", ".join(features),
        **module["parameters"],
        "kernel": f"{module['kernel']} {module['machine']}",
        "page size": format_size(module["page_size"]),
        "contexts": ", ".join(module["contexts"]) or "none",
    }
    yield from table.lines(list(rows.items()), "<<")


def _context(state: ContextState, stats: ContextStats) -> dict[str, Any]:
    done = asdict(stats)
    del done["latency"]
    done["failures"] = {reason.name: count for reason, count in stats.failures.items()}
    return {
        "state": asdict(state),
        "stats": done,
        "bank": bank_of(state.name),
        "offset": offset_of(state.name),
    }


def _lines_of_context(known: dict[str, Any]) -> Iterator[str]:
    state, stats = known["state"], known["stats"]
    offset = "only root may know" if known["offset"] is None else format_size(known["offset"])
    rows = {
        "name": state["name"],
        "kind": "private" if state["private"] else "shared",
        "bank": known["bank"] or _UNKNOWN,
        "offset in bank": offset,
        **{name.replace("_", " "): format_size(state[name]) for name in _SIZES},
        "held, in no chunk": format_size(stats["held"]),
        "lent to the system": format_size(stats["lent"]),
        "chunks": str(state["chunks"]),
        "allocations": f"{stats['attempts']}, of which {stats['successes']} succeeded",
        "failures": _failures(stats["failures"]),
        "frees": str(stats["frees"]),
        "busy places": str(stats["retries"]),
        "chunks moved": f"{stats['moves']}, {format_size(stats['moved_bytes'])} copied",
    }
    yield from table.lines(list(rows.items()), "<<")


def _failures(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "none"
