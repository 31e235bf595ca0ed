# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Module, udev's rules and the service, installed in any order: the nodes are usable in the end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

pytestmark = [pytest.mark.lg_feature("device-tree"), pytest.mark.lg_feature("systemd")]

RULES = "/usr/lib/udev/rules.d/60-cm-agent.rules"
AWAY = "/var/tmp/60-cm-agent.rules"
SETTLE = "udevadm settle --timeout=30"
STEPS = {
    "module": f"modprobe cm && {SETTLE}",
    "rules": f"mv {AWAY} {RULES} && udevadm control --reload",
    "service": "systemctl enable --quiet --now cm-agent",
}
LAST = "udevadm trigger --subsystem-match=cm --subsystem-match=misc --settle"
"""What README.md has as the last command of an installation."""


@pytest.fixture
def blank(agent: Any) -> Iterator[Any]:
    """The board with nothing of it; all of it is back after the test."""
    agent.check("systemctl stop cm-agent && rmmod cm")
    agent.check(f"mv {RULES} {AWAY} && udevadm control --reload")
    yield agent
    agent.check("systemctl disable --quiet cm-agent")
    agent.check(f"if [ -e {AWAY} ]; then mv {AWAY} {RULES}; udevadm control --reload; fi")
    agent.check(f"modprobe cm && {LAST} && systemctl start cm-agent")


@pytest.mark.parametrize("order", list(permutations(STEPS)), ids="-".join)
def test_any_order_ends_with_usable_nodes(blank: Any, order: tuple[str, ...]) -> None:
    for step in order:
        blank.check(STEPS[step])
    blank.check(LAST)
    for context in ("shared", "private"):
        assert blank.check(f"stat -c '%U %G %a' /dev/cm/{context}") == "root cm 660"
    assert blank.check("stat -c '%U %G %a' /dev/cm/control") == "root root 600"
    assert blank.check("systemctl is-active cm-agent") == "active"
    assert blank.check("systemctl is-enabled cm-agent-contexts") == "enabled"
    member = "setpriv --reuid guest --regid guest --groups cm"
    assert blank.run(f"{member} cm-agent alloc shared 1MiB").code == 0
    doctor = blank.run("cm-agent doctor")
    assert (doctor.code, "FAIL" in doctor.stdout) == (0, False), doctor.stdout


def test_nodes_that_came_before_the_rules_are_found_by_the_doctor_with_the_cure(blank: Any) -> None:
    blank.check(STEPS["module"])
    blank.check(STEPS["rules"])
    assert blank.check("stat -c '%U %G %a' /dev/cm/shared") == "root root 600"
    found = blank.run("cm-agent doctor")
    assert found.code == 1 and "only root may open /dev/cm/shared" in found.stdout
    fix = "udevadm control --reload && udevadm trigger --subsystem-match=cm --settle"
    assert fix in found.stdout
    blank.check(fix)
    assert blank.check("stat -c '%U %G %a' /dev/cm/shared") == "root cm 660"
