# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The command `cm-agent`: each verb is a module of this package, or in a folder of it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from cm_agent import __version__
from cm_agent.core.errors import UsageError

VERBS = {
    "alloc": "alloc",
    "bench": "bench",
    "create": "create",
    "destroy": "destroy",
    "doctor": "doctor",
    "list": "list",
    "policy": "policy",
    "quota": "quota",
    "serve": "serve",
    "stream": "stream.verb",
    "verify": "verify",
}
"""Which module has which verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return 0 for success, 1 for failure, 2 for bad usage.

    Only the verb that was asked for is imported.
    """
    words = [*(sys.argv[1:] if argv is None else argv)]  # list is a verb here, cm_agent.cli.list
    parser = argparse.ArgumentParser(
        prog="cm-agent", description="Physically contiguous memory: list, allocate, verify, watch."
    )
    parser.add_argument("--version", action="version", version=f"cm-agent {__version__}")
    sub = parser.add_subparsers(metavar="VERB", required=True)
    for verb in words[:1] if words[:1] and words[0] in VERBS else VERBS:
        import_module(f"{__name__}.{VERBS[verb]}").register(sub)
    args = parser.parse_args(words)
    try:
        return int(args.run(args))
    except UsageError as error:
        print(f"cm-agent {words[0]}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"cm-agent {words[0]}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
