# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent serve`: the service behind /metrics."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cm_agent import __version__
from cm_agent.config.settings import DEFAULT_PATH, ConfigError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_EPILOG = """\
While the service runs it keeps the contexts open, so `rmmod cm` needs it stopped first.
SIGHUP reads the configuration again; an error in it is logged and the old one stays.
Exit codes: 0 stopped by a signal, 1 could not serve, 2 an error in the configuration."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    parser = sub.add_parser(
        "serve",
        help="serve metrics and verify the contexts on a schedule",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"TOML file (default: {DEFAULT_PATH}, if any)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped; return the exit code."""
    from cm_agent.daemon import journal
    from cm_agent.daemon.service import serve

    journal.configure()
    try:
        serve(args.config, __version__)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    return 0
