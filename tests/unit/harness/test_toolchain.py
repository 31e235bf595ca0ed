# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Programs in the compilers' tree (boards/toolchain.py)."""

from boards import toolchain


def test_what_a_program_throws_away_is_read_by_no_other() -> None:
    compilers = toolchain.make("trixie")

    said = compilers.run(
        ["sh", "-c", "echo refuse >/dev/null; cat /dev/null"],
        doing="throwing away",
        binds={},
        directory="/",
    )

    assert said == ""
