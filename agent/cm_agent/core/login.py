# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Users by their names."""

from __future__ import annotations

import pwd
from functools import lru_cache

from cm_agent.core.text import printable


@lru_cache(maxsize=256)  # a directory service may take a while
def user_name(uid: int) -> str:
    """Return the name of a user, or the number as text when there is none."""
    try:
        return printable(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)
