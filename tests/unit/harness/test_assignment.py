# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Which boards have all that a test wants, by the descriptions of the boards of `make test`."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hil import assignment

MAIN, HIGHMEM, SAMSUNG = "arm64-virt", "armhf-virt-bullseye", "exynos4210-smdkc210"


@pytest.mark.parametrize(
    ("wanted", "able"),
    [
        (["device-tree"], [MAIN, HIGHMEM, SAMSUNG]),
        (["s5p-jpeg"], [SAMSUNG]),
        (["s5p-jpeg", "highbank"], []),
    ],
)
def test_a_board_is_able_when_it_has_every_feature(
    monkeypatch: pytest.MonkeyPatch, wanted: list[str], able: list[str]
) -> None:
    monkeypatch.setattr(assignment, "MAIN", MAIN)
    monkeypatch.setattr(assignment, "OTHERS", [HIGHMEM, SAMSUNG])
    marks = [SimpleNamespace(args=(name,)) for name in wanted]
    test = SimpleNamespace(iter_markers=lambda name: marks)
    assert assignment.able_boards(cast(Any, test)) == able
