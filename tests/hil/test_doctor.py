# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent doctor` on boards that lack one thing each: which, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

GUEST = "setpriv --reuid guest --regid guest --clear-groups"


def examine(board: Any, prefix: str = "") -> tuple[int, dict[str, str]]:
    """Return doctor's exit code and, for each thing to fix, how."""
    got = board.run(f"{prefix} cm-agent doctor --json")
    return got.code, {
        it["what"]: it["fix"] for it in json.loads(got.stdout)["result"] if it["ok"] is False
    }


def test_a_board_that_has_all_is_told_so(agent: Any) -> None:
    got = agent.run("cm-agent doctor")
    assert (got.code, "FAIL" in got.stdout) == (0, False), got.stdout
    for line in (
        "ok    module cm is loaded",
        "ok    the module made context 'private'",
        "ok    the module made context 'shared'",
        "ok    /dev/cm/shared is there, and you may open it",
        "ok    cm-agent.service is active",
    ):
        assert line in got.stdout.splitlines()


def test_a_module_that_is_not_loaded_is_named_with_the_cure(shell: Any) -> None:
    shell.need("module").need("shell")
    code, wrong = examine(shell)
    assert (code, wrong["module cm is built, but not loaded"]) == (1, "modprobe cm")
    shell.check(wrong["module cm is built, but not loaded"])
    assert "module cm is built, but not loaded" not in examine(shell)[1]
    shell.check("rmmod cm")


def test_a_service_that_does_not_run_is_named_with_the_cure(agent: Any) -> None:
    agent.check("systemctl stop cm-agent.service")
    try:
        code, wrong = examine(agent)
        assert (code, list(wrong)) == (1, ["cm-agent.service is inactive: no metrics"])
        assert "systemctl enable --now cm-agent.service" in str(wrong)
    finally:
        agent.check("systemctl start cm-agent.service")


def test_a_user_who_may_not_open_the_nodes_is_told_the_group(agent: Any) -> None:
    code, wrong = examine(agent, GUEST)
    assert code == 1
    assert list(wrong) == [f"you may not open /dev/cm/{name}" for name in ("private", "shared")]
    assert all("usermod -aG cm" in fix for fix in wrong.values())


def test_a_member_of_the_group_is_well_without_capabilities(agent: Any) -> None:
    code, wrong = examine(agent, "setpriv --reuid guest --regid guest --groups cm")
    assert (code, wrong) == (0, {})


def test_capabilities_of_a_user_namespace_do_not_count(agent: Any) -> None:
    got = agent.run("unshare --user --map-root-user cm-agent doctor")
    assert "you have CAP_SYS_RAWIO in a user namespace only, where it does not count" in got.stdout
    assert "ok    you have CAP_SYS_RAWIO" in agent.run("cm-agent doctor").stdout


def test_a_user_who_may_not_open_a_context_is_told_so_by_alloc(agent: Any) -> None:
    got = agent.run(f"{GUEST} cm-agent alloc shared 1MiB")
    assert got.code == 1 and "become a member of group cm" in got.stderr


@pytest.mark.lg_feature("emulated")
def test_a_board_without_an_overlay_is_told_how_to_apply_one(
    other_board: Callable[..., Any],
) -> None:
    with other_board(overlays=[], state="module") as bare:
        code, wrong = examine(bare)
        assert code == 1
        (what,) = wrong
        assert "no node with compatible" in what and "no overlay applied" in what
        assert "fdtoverlay" in wrong[what] and "reboot" in wrong[what]
        listed = bare.run("cm-agent list")
        assert listed.code == 1 and "no overlay applied" in listed.stderr
