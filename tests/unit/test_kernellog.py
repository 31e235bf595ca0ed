# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Why a context was refused; that it is found in a kernel's log is shown on a board."""

import os
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
        "cm-context camera-pool: error -22: bank x: no",
    ],
)
def test_a_reason_is_told_without_the_device_and_the_error(said: str) -> None:
    match = REFUSAL.fullmatch(said)
    assert match and match["reason"] == "bank x: no"


@pytest.mark.parametrize(
    "said",
    [
        "cm-context cm-context.3.auto: probe with driver cm-context failed with error -22",
        'cm-context cm-context.4.auto: private context "b": 16384 KiB in bank x',
    ],
)
def test_what_else_is_said_is_no_reason(said: str) -> None:
    assert not REFUSAL.match(said)


def test_a_log_that_is_no_kernels_log_says_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kmsg")
    with refusals(tmp_path / "kmsg") as reasons:
        assert reasons() == []
