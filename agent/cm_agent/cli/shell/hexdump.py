# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Bytes as `hexdump -C` shows them."""

from __future__ import annotations

from collections.abc import Iterator

ROW = 16
_HALF = ROW // 2


def lines(memory: bytes | memoryview, start: int = 0) -> Iterator[str]:
    """Yield sixteen bytes a line, numbered from start on; rows that repeat become one `*`.

    The last line is the number after the last byte.
    """
    before, folded = b"", False
    for at in range(0, len(memory), ROW):
        row = bytes(memory[at : at + ROW])
        if row != before:
            yield _line(start + at, row)
        elif not folded:
            yield "*"
        before, folded = row, row == before
    yield f"{start + len(memory):08x}"


def _line(number: int, row: bytes) -> str:
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
    left, right = row[:_HALF].hex(" "), row[_HALF:].hex(" ")
    return f"{number:08x}  {left:<23}  {right:<23}  |{text}|"
