# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a context can be called, as the kernel module has it (spec_is_name() in kmod/spec.c)."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[a-z0-9_-]{1,31}")


def check_name(name: str) -> None:
    """Raise ValueError, with the reason, when no context can have this name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a context's name: 1 to 31 of a-z, 0-9, - and _")
    if name == "control":
        raise ValueError("'control' is not a context but the node that makes contexts")
