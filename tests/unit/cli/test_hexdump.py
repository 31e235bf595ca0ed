# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Bytes in rows; and rows of words."""

from __future__ import annotations

from cm_agent.cli import _table as table
from cm_agent.cli.shell import hexdump


def test_a_row_has_number_bytes_and_letters() -> None:
    assert list(hexdump.lines(b"contiguous\0\x7f\xff ~!", 0x1000)) == [
        "00001000  63 6f 6e 74 69 67 75 6f  75 73 00 7f ff 20 7e 21  |contiguous... ~!|",
        "00001010",
    ]


def test_a_short_row_keeps_its_columns() -> None:
    assert list(hexdump.lines(b"ab")) == [
        f"00000000  {'61 62':<23}  {'':<23}  |ab|",
        "00000002",
    ]


def test_rows_that_repeat_become_one_star() -> None:
    shown = list(hexdump.lines(memoryview(bytes(64) + b"x" * 16 + bytes(16))))
    assert [line.split()[0] for line in shown] == [
        "00000000", "*", "00000040", "00000050", "00000060",
    ]  # fmt: skip


def test_no_bytes_are_no_rows() -> None:
    assert list(hexdump.lines(b"")) == ["00000000"]


def test_columns_are_as_wide_as_their_widest() -> None:
    rows = [("NAME", "SIZE"), ("left eye", "1 B"), ("", "16 MiB")]
    assert list(table.lines(rows, "<>")) == [
        "NAME        SIZE",
        "left eye     1 B",
        "          16 MiB",
    ]
