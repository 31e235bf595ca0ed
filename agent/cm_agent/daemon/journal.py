# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The log: standard error, with the journal's priority prefix when the journal reads it.

Not by systemd-python's JournalHandler, for the reason given in sdnotify.py.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)


class JournalFormatter(logging.Formatter):
    """Put `<N>`, sd-daemon(3)'s priority, before every line of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as lines the journal files under its priority."""
        priority = next((p for level, p in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def is_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the stream is the one that JOURNAL_STREAM names by device and inode."""
    try:
        node = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{node.st_dev}:{node.st_ino}"


def configure(
    level: int = logging.INFO,
    *,
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Send the package's log to standard error; a later call replaces an earlier one."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    if is_journal(stream, environ):
        handler.setFormatter(JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    package = logging.getLogger("cm_agent")
    package.handlers[:] = [handler]
    package.setLevel(level)
    package.propagate = False
