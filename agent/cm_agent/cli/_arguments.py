# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Arguments that several verbs take, and the block that shows a verification."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TypeAlias

from cm_agent.config import settings as config
from cm_agent.config.settings import Config, ConfigError
from cm_agent.contiguity.verification import Verification
from cm_agent.core.context import is_name
from cm_agent.core.errors import UsageError
from cm_agent.core.size import parse_request, parse_size

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, sizes in bytes")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config, for load_config()."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"TOML file with the policy (default: {config.DEFAULT_PATH}, if any)",
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the file of --config or the default one; UsageError with every error in it."""
    try:
        return config.load(args.config)
    except ConfigError as error:
        raise UsageError(str(error)) from None


def context_name(text: str) -> str:
    """Check the name of a context."""
    if not is_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the name of a context")
    return text


def request(text: str) -> tuple[int, int]:
    """Read SIZE or SIZE/ALIGN as (bytes, bytes); alignment 0 stands for the context's minimum."""
    try:
        return parse_request(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def byte_count(text: str) -> int:
    """Read a size in bytes; 0 is one, too."""
    try:
        return 0 if text == "0" else parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive_int(text: str) -> int:
    """Read a whole number above 0."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def seconds(text: str) -> float:
    """Read seconds, a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def show_verification(verification: Verification, *, as_json: bool) -> None:
    """Print a verdict with its witnesses, and shout when they disagree."""
    if as_json:
        print(json.dumps(verification.to_json()))
    else:
        print(verification.describe())
    if not verification.agree:
        print(
            "*** THE WITNESSES DISAGREE. Do not use this buffer for DMA; please report this with "
            "the lines above and the kernel log. ***",
            file=sys.stderr,
        )
