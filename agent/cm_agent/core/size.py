# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Sizes as people write and read them: `1 MiB`, `65536`, `64KiB`."""

import re

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_FACTORS = {**UNITS, "": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_WRITTEN = "B, KiB or K, MiB or M, GiB or G, each 1,024 times the one before"
_SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)", re.ASCII)


def parse_size(text: str) -> int:
    """Return the bytes that a text such as `1 MiB`, `64K` or `4096` stands for.

    Raises ValueError with the reason in words.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write a whole number and a unit, as in '1 MiB'")
    number, unit = match.groups()
    if unit not in _FACTORS:
        raise ValueError(f"{text!r} has the unknown unit {unit!r}: use {_WRITTEN}")
    size = int(number) * _FACTORS[unit]
    if not 1 <= size < 1 << 63:
        raise ValueError(f"{text!r} is out of range: a size is at least 1 byte and below 8 EiB")
    return size


def parse_request(text: str) -> tuple[int, int]:
    """Return the bytes that SIZE or SIZE/ALIGN stands for; alignment 0: the context's minimum.

    Raises ValueError with the reason in words.
    """
    size, slash, alignment = text.partition("/")
    wanted = parse_size(size), parse_size(alignment) if slash else 0
    if wanted[1] & (wanted[1] - 1):
        raise ValueError(f"{alignment!r} is not an alignment: use a power of two")
    return wanted


def exact_size(size: int) -> str:
    """Return bytes as parse_size() reads them, without rounding: `16MiB`, `1536KiB`."""
    units = [(factor, unit) for unit, factor in UNITS.items() if size % factor == 0]
    factor, unit = max(units)
    return f"{size // factor}{unit}"


def format_size(size: int) -> str:
    """Return bytes as a person reads them: `16 MiB`, `1.5 MiB`, `0 B`."""
    unit, factor = max(
        ((unit, factor) for unit, factor in UNITS.items() if factor <= max(size, 1)),
        key=lambda item: item[1],
    )
    return f"{size / factor:.1f}".removesuffix(".0") + f" {unit}"
