# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The service under systemd and udev: how it starts, as whom it runs, and what brings it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.lg_feature("systemd")

UNIT = "cm-agent.service"
CONFIG = "/etc/cm-agent/config.toml"
DROP_IN = f"/run/systemd/system/{UNIT}.d"
PATIENCE = 120


def shown(board: Any, *properties: str) -> dict[str, str]:
    """Return properties of the unit."""
    text = board.check(f"systemctl show {UNIT} --property={','.join(properties)}")
    return dict(line.split("=", 1) for line in text.splitlines())


def wait(board: Any, condition: Callable[[dict[str, str]], bool], *properties: str) -> Any:
    """Poll the unit until its properties fulfil a condition, and return them."""
    until = time.monotonic() + PATIENCE
    while not condition(now := shown(board, "ActiveState", "MainPID", "NRestarts", *properties)):
        assert time.monotonic() < until, f"after {PATIENCE} s: {now}"
        time.sleep(0.2)
    return now


def is_active(now: dict[str, str]) -> bool:
    return now["ActiveState"] == "active"


@pytest.fixture
def restored(agent: Any) -> Iterator[Any]:
    """The board; whatever the test did to the service is undone after it."""
    agent.check(f"systemctl reset-failed {UNIT}")
    yield agent
    agent.check(f"rm -rf {DROP_IN} {CONFIG}; systemctl daemon-reload")
    agent.check(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")


def test_it_is_active_and_told_systemd_so(agent: Any) -> None:
    now = shown(agent, "Type", "ActiveState", "StatusText", "NotifyAccess")
    assert (now["Type"], now["ActiveState"]) == ("notify", "active")
    assert now["StatusText"].startswith("2 contexts, http://127.0.0.1:"), now


def test_it_runs_as_its_own_user_with_two_capabilities(agent: Any) -> None:
    pid = shown(agent, "MainPID")["MainPID"]
    assert agent.check(f"ps -o user=,group= -p {pid}").split() == ["cm-agent", "cm"]
    status = agent.check(f"cat /proc/{pid}/status")
    assert f"CapBnd:\t{1 << 17 | 1 << 21:016x}" in status
    assert "NoNewPrivs:\t1" in status


@pytest.mark.parametrize("context", ["shared", "private"])
def test_a_context_is_for_group_cm(agent: Any, context: str) -> None:
    said = agent.check(f"stat -c '%U %G %a %F' /dev/cm/{context}")
    assert said == "root cm 660 character special file"


def test_the_first_context_starts_it(restored: Any) -> None:
    """Nobody but udev does: the module is unloaded and loaded again."""
    restored.check(f"systemctl stop {UNIT} && rmmod cm")
    assert shown(restored, "ActiveState")["ActiveState"] == "inactive"
    restored.check("modprobe cm")
    wait(restored, is_active)


def test_the_module_stays_while_it_holds_the_contexts_open(agent: Any) -> None:
    refused = agent.run("rmmod cm")
    assert refused.code != 0 and "in use" in refused.stderr
    assert is_active(shown(agent, "ActiveState"))


def test_killed_it_comes_back(restored: Any) -> None:
    before = wait(restored, is_active)
    restored.check(f"systemctl kill --signal=KILL {UNIT}")
    wait(restored, lambda now: is_active(now) and now["MainPID"] != before["MainPID"])


def test_stuck_it_is_replaced_by_the_watchdog(restored: Any) -> None:
    drop_in(restored, "[Service]\nWatchdogSec=5\nTimeoutAbortSec=1")
    restored.check(f"systemctl restart {UNIT}")
    before = wait(restored, is_active)
    restored.check(f"kill -STOP {before['MainPID']}")
    after = wait(restored, lambda now: is_active(now) and now["MainPID"] != before["MainPID"])
    assert int(after["NRestarts"]) >= 1
    log = restored.check(f"journalctl --no-pager --boot --unit {UNIT} | tail -n 50")
    assert "Watchdog timeout" in log


def drop_in(board: Any, text: str) -> None:
    board.check(f"mkdir -p {DROP_IN} && printf '{text}\\n' > {DROP_IN}/test.conf")
    board.check("systemctl daemon-reload")


def configure(board: Any, text: str) -> None:
    board.check(f"mkdir -p /etc/cm-agent && cat > {CONFIG} <<'END'\n{text}\nEND")


MISTAKES = {
    "[metrics]\nlisten = 'nonsense'": ("metrics.listen", "is not ADDRESS:PORT"),
    "[verification]\nintervall = 5": (
        "verification.intervall",
        "did you mean 'interval'",
    ),
    "[verification": ("Expected", "at line 1, column 14"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_configuration_is_told_and_not_tried_again(
    restored: Any, mistake: str
) -> None:
    key, reason = MISTAKES[mistake]
    configure(restored, mistake)
    assert restored.run(f"systemctl restart {UNIT}").code != 0
    now = wait(restored, lambda now: now["ActiveState"] == "failed", "ExecMainStatus")
    assert (now["ExecMainStatus"], now["NRestarts"]) == ("2", "0"), now
    status = restored.run(f"systemctl status --no-pager --full {UNIT}").stdout
    line = next((line for line in status.splitlines() if CONFIG in line), status)
    assert f"{CONFIG}: {key}" in line and reason in line


def test_a_reload_takes_what_is_right_and_keeps_the_old_for_what_is_wrong(restored: Any) -> None:
    configure(restored, "[metrics]\nlisten = '127.0.0.1:28878'")
    restored.check(f"systemctl reload {UNIT}")
    moved = wait(restored, lambda now: ":28878/" in now["StatusText"], "StatusText")
    configure(restored, "[metrics]\nlisten = '127.0.0.1:eighty'")
    restored.check(f"systemctl reload {UNIT}")
    wait(restored, is_active)
    log = restored.check(f"journalctl --no-pager --boot --unit {UNIT} | tail -n 20")
    assert "not reloaded, the old configuration stays" in log
    now = shown(restored, "MainPID", "StatusText")
    assert now == {"MainPID": moved["MainPID"], "StatusText": moved["StatusText"]}


def test_a_stop_is_clean_and_leaves_nothing_open(restored: Any) -> None:
    restored.check(f"systemctl stop {UNIT}")
    now = shown(restored, "ActiveState", "Result", "ExecMainStatus")
    assert now == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
    restored.check("rmmod cm && modprobe cm && udevadm settle")
