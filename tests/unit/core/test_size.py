# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Sizes, as people write and read them."""

from __future__ import annotations

import pytest
from cm_agent.core.size import exact_size, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("4096", 4096),
        ("64KiB", 65536),
        ("1 MiB", 1 << 20),
        ("3M", 3 << 20),
        ("2G", 2 << 30),
        ("3 B", 3),
    ],
)
def test_parses(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a size"),
        ("-1", "is not a size"),
        ("1.5 MiB", "whole number"),
        ("1 MB", "unknown unit 'MB': use B, KiB or K, MiB or M, GiB or G, each 1,024 times"),
        ("0", "at least 1 byte"),
        ("9000000000 GiB", "below 8 EiB"),
        ("\u0661 MiB", "is not a size"),
    ],
)
def test_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536 << 10, "1.5 MiB"), (5 << 30, "5 GiB")],
)
def test_formats(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("size", "text"), [(16 << 20, "16MiB"), (1536 << 10, "1536KiB"), (4097, "4097B")]
)
def test_an_exact_size_is_one_that_can_be_read_again(size: int, text: str) -> None:
    assert exact_size(size) == text
    assert parse_size(text) == size
