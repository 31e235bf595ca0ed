# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Tables as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def lines(rows: Sequence[Sequence[str]], alignment: str) -> Iterator[str]:
    """Yield the rows in columns; alignment has `<` (words) or `>` (numbers) for each of them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, alignment, widths, strict=True)
        yield "  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip()
