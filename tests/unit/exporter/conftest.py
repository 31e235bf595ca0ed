# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Nodes of contexts are plain files below a folder of the test's."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in place of /dev/cm, which is not there yet."""
    dev = tmp_path / "cm"
    monkeypatch.setattr("cm_agent.core.context.DEV", dev)
    return dev
