# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The kernel's own tools/testing/selftests/dmabuf-heaps on our nodes, not a word of it changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from boards import selftest

pytestmark = pytest.mark.lg_feature("vgem")
PROGRAM = "/var/tmp/cm-dmabuf-heap"
OURS = ["cm-private", "cm-shared"]
RESULTS = 11
"""Of each heap: as many as the selftest plans."""


@pytest.fixture
def heaps(module: Any) -> Iterator[Any]:
    """The board with the graphics driver that the selftest imports by, and no heap but ours."""
    module.check("modprobe vgem && udevadm settle")
    assert module.check("ls /dev/dma_heap").split() == OURS
    yield module
    module.check(f"rm -f {PROGRAM} && modprobe -r vgem")


@pytest.mark.parametrize(
    "architecture",
    ["arm64", pytest.param("armhf", marks=pytest.mark.lg_feature("armhf-programs"))],
)
def test_it_passes_on_every_context(heaps: Any, architecture: str) -> None:
    """It opens all that is in /dev/dma_heap; its report is TAP."""
    heaps.put(selftest.dma_heaps("trixie", architecture), PROGRAM)
    done = heaps.run(f"chmod 755 {PROGRAM} && {PROGRAM}")
    results = re.findall(r"^(ok|not ok) \d+ (.*)$", done.stdout, re.MULTILINE)
    failed = [it for it in results if it[0] != "ok" or "# SKIP" in it[1]]
    assert not failed and done.code == 0, f"ended with {done.code}:\n{done.stdout}\n{done.stderr}"
    assert len(results) == RESULTS * len(OURS), done.stdout
    tested = re.findall(r"^# Testing heap: (.*)$", done.stdout, re.MULTILINE)
    assert sorted(tested) == OURS
