# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the doctor says about one thing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing examined: ok None means that it could not be judged, or need not be fixed."""

    ok: bool | None
    what: str
    fix: str = ""


def skipped(what: str, why: str) -> Finding:
    """Return the finding about something that cannot be judged here."""
    return Finding(None, f"{what}: not checked because {why}")
