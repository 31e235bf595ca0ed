# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent serve`: the service behind /metrics."""

from __future__ import annotations

import argparse

from cm_agent import __version__
from cm_agent.cli._arguments import add_config
from cm_agent.cli._output import MisuseError
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.config.settings import ConfigError

_DESCRIPTION = """\
Serve metrics for Prometheus and a status page, and verify the contexts on a schedule, until SIGTERM
or SIGINT. On SIGHUP the configuration is read again; if it has an error, this is logged and the old
configuration stays in effect."""
_EPILOG = """\
While the service runs it keeps the contexts open: stop it before `rmmod cm`.
Exit codes: 0 stopped by a signal; 1 it cannot serve; 2 an error in the arguments or the
configuration."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "serve metrics and verify the contexts on a schedule"
    parser = add_verb(sub, "serve", what, _DESCRIPTION, _EPILOG)
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it; return the exit code."""
    from cm_agent.daemon import journal
    from cm_agent.daemon.service import serve

    journal.configure()
    try:
        serve(args.config, __version__)
    except ConfigError as error:
        raise MisuseError(*error.problems) from None
    return 0
