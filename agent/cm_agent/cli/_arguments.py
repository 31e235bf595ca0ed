# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Arguments that several verbs take, and the alarm of a verification."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from cm_agent.cli._output import MisuseError, Problem
from cm_agent.config import settings as config
from cm_agent.config.settings import Config, ConfigError
from cm_agent.contiguity.verification import Verification
from cm_agent.core.buffer import encode_name
from cm_agent.core.name import check_name
from cm_agent.core.size import parse_request, parse_size


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document, sizes in bytes"
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config, for load_config()."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="configuration in TOML: a file, or a folder of which all *.toml are read in the order "
        f"of their names (default: {config.DEFAULT_PATH}, if it exists)",
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read what --config names, or the default folder; MisuseError with every error in it."""
    try:
        return config.load(args.config)
    except ConfigError as error:
        raise MisuseError(*error.problems) from None


def context_name(text: str) -> str:
    """Check the name of a context."""
    try:
        check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def buffer_name(text: str) -> str:
    """Check the name of a buffer."""
    try:
        encode_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
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


def alarms(verifications: Iterable[Verification]) -> list[Problem]:
    """Return an alarm for each verification whose witnesses disagree."""
    return [
        Problem(
            "THE WITNESSES DISAGREE. Do not use this buffer for DMA; please report this with the "
            "output and the kernel log",
            context=verification.context,
        )
        for verification in verifications
        if not verification.agree
    ]
