# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Arguments that must be whole numbers, checked before the kernel sees them."""

from __future__ import annotations

import operator
from typing import Any

_MOST = (1 << 64) - 1


def require_bytes(name: str, value: object) -> int:
    """Return an argument's bytes as an int, of NumPy's integers, say.

    TypeError: it is none, and for a text the call that makes a number of it; ValueError: no 64 bits
    without a sign hold it.
    """
    if isinstance(value, str):
        raise TypeError(f"{name} is bytes, a whole number: use cm_agent.parse_size({value!r})")
    number = require_whole(name, value, "bytes, a whole number")
    if not 0 <= number <= _MOST:
        raise ValueError(f"{name} of {number} bytes: it is at least 0 and below 2**64")
    return number


def require_whole(name: str, value: Any, what: str = "a whole number") -> int:
    """Return an argument as an int; TypeError says what it must be, and what it is."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {what}, not {value!r} ({type(value).__name__})") from None
