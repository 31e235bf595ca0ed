# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Text that others wrote: names of buffers, commands, devices."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text with each character that does not print as an escape, such as \\x1b or \\u202e.

    Terminals, logs and pages show it then; none of them obeys it.
    """
    return "".join(it if it.isprintable() else it.encode("unicode_escape").decode() for it in text)
