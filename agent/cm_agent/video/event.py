# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a driver reports without being asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class EventKind(Enum):
    """The kinds of events that can be watched for."""

    END_OF_STREAM = "EVENT_EOS"
    """All is out; deprecated by the kernel, which has Filled.last say so."""
    SOURCE_CHANGE = "EVENT_SOURCE_CHANGE"
    """The stream or signal is another one now."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; resolution: the size of the images changed, or was learnt."""

    kind: EventKind
    resolution: bool = False
