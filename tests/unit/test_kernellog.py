# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Why a context was refused; that it is found in a kernel's log is shown on a board."""

from pathlib import Path

import pytest
from cm_agent.kernellog import REFUSAL, refusals


def test_whoever_may_not_read_the_log_is_told_nothing(tmp_path: Path) -> None:
    with refusals(tmp_path / "kmsg") as reasons:
        assert reasons() == []


@pytest.mark.parametrize(
    "said",
    [
        "cm-context cm-context.3.auto: error -EINVAL: bank x: no",
        "cm-context cm-context.3.auto: error -22: bank x: no",
        "cm-context camera-pool: bank x: no",
    ],
)
def test_a_reason_is_told_without_the_device_and_the_error(said: str) -> None:
    match = REFUSAL.fullmatch(said)
    assert match and match["reason"] == "bank x: no"


def test_that_a_probe_failed_is_no_reason() -> None:
    said = "cm-context cm-context.3.auto: probe with driver cm-context failed with error -22"
    assert not REFUSAL.match(said)
