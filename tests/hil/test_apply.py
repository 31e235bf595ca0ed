# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts and quotas of the configuration: `cm-agent apply`, its service, and after a boot."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.lg_feature("device-tree")
MIB = 1 << 20
FOLDER = "/etc/cm-agent"
UNIT = "cm-agent-contexts.service"
OVERLAY = "tests/boards/banks.dtso"
RELOAD = "rmmod cm && modprobe cm && udevadm settle --timeout=30"
PATIENCE = 120

CONTEXTS = """
[[contexts]]
name = "left"
bank = "{bank}"
size = "16MiB"
[[contexts]]
name = "right"
bank = "{bank}"
offset = "32MiB"
private = true
min_alignment = "64KiB"
"""
QUOTAS = """
[[quotas]]
context = "left"
user = "guest"
size = "8MiB"
chunks = 3
[[quotas]]
context = "{other}"
user = "nobody"
size = "4MiB"
[[quotas]]
context = "left"
user = "anybody"
size = "1MiB"
"""
PLACES = {"left": [0, 16 * MIB, "shared"], "right": [32 * MIB, 32 * MIB, "private"]}
LIMITS = {"left guest": [8 * MIB, 3], "other nobody": [4 * MIB, None], "left anybody": [MIB, None]}


@pytest.fixture
def bare(module: Any) -> Iterator[Any]:
    """The board without contexts and configuration; both are as before after the test."""
    module.call(destroy)
    yield module
    module.check(f"rm -f {FOLDER}/*.toml; {RELOAD}")


def destroy() -> None:
    """Destroy all contexts."""
    from cm_agent.core.context import contexts
    from cm_agent.core.control import Control

    with Control() as control:
        for name in contexts():
            control.destroy(name)


def look(bank: str, other: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return which contexts a bank has, and the quotas that are configured here."""
    import pwd

    from cm_agent.core.control import Control
    from cm_agent.core.place import places

    found = {
        it.name: [it.offset, it.size, "private" if it.private else "shared"]
        for it in places().values()
        if it.bank == bank
    }
    asked = {"left guest": "guest", "other nobody": "nobody", "left anybody": None}
    limits = {}
    with Control() as control:
        for what, user in asked.items():
            context = other if what.startswith("other") else "left"
            got = control.quota(context, user and pwd.getpwnam(user).pw_uid)
            limits[what] = [got.size, got.chunks]
    return found, limits


def configure(board: Any, **files: str) -> None:
    board.check(f"mkdir -p {FOLDER} && rm -f {FOLDER}/*.toml")
    for name, text in files.items():
        board.check(f"cat > {FOLDER}/{name}.toml <<'END'\n{text}\nEND")


def configure_both(board: Any, bank: str, other: str) -> None:
    configure(board, a=CONTEXTS.format(bank=bank), b=QUOTAS.format(other=other))


def apply(board: Any, words: str = "") -> tuple[int, dict[str, Any], list[str]]:
    """Return the exit code, the result, and what the errors say."""
    got = board.run(f"cm-agent apply --json {words}")
    document = json.loads(got.stdout)
    return got.code, document["result"], [it["message"] for it in document["errors"]]


def done(result: dict[str, Any]) -> list[str]:
    return [it["done"] for it in (*result["contexts"], *result["quotas"])]


@pytest.mark.two_kernels
def test_contexts_and_quotas_are_made_once_and_then_left_alone(
    bare: Any, banks: dict[str, str]
) -> None:
    bank = banks["private"]
    bare.check(f"cm-agent create other {banks['shared']}")
    configure_both(bare, bank, "other")
    planned = apply(bare, "--dry-run")
    assert bare.check("ls /dev/cm").split() == ["control", "other"]
    assert planned[0] == 0 and done(planned[1]) == ["made", "made", "set", "set", "set"]
    code, result, errors = apply(bare)
    assert (code, done(result), errors) == (0, ["made", "made", "set", "set", "set"], [])
    made = bare.call(look, bank=bank, other="other")
    assert made == (PLACES, LIMITS)
    log = bare.check("dmesg | grep -c 'cm: '")
    code, result, errors = apply(bare)
    assert (code, done(result), errors) == (0, ["kept"] * 5, [])
    assert bare.call(look, bank=bank, other="other") == made
    assert bare.check("dmesg | grep -c 'cm: '") == log


GOOD = '[[contexts]]\nname = "good"\nbank = "{bank}"\nsize = "8MiB"\n'
BAD = {
    "bank": ('bank = "gone@1"', "contexts[1].bank: there is no bank 'gone@1'; name one"),
    "beyond": ('bank = "{bank}"\noffset = "8MiB"\nsize = "64MiB"', "end beyond bank '{bank}'"),
    "overlap": ('bank = "{bank}"\nsize = "8MiB"', "would overlap context 'good' of"),
    "unaligned": ('bank = "{bank}"\noffset = "8MiB"\nsize = "12KiB"', "must be multiples of"),
    "alignment": (
        'bank = "{bank}"\noffset = "8MiB"\nsize = "8MiB"\nmin_alignment = "1GiB"',
        "minimum alignment 1073741824 is larger than the 8388608 bytes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_context_that_cannot_be_is_refused_and_the_others_are_made(
    bare: Any, banks: dict[str, str], case: str
) -> None:
    text, reason = BAD[case]
    bank = banks["private"]
    configure(bare, a=(f'{GOOD}[[contexts]]\nname = "bad"\n{text}').format(bank=bank))
    code, result, (error,) = apply(bare)
    assert (code, done(result)) == (2, ["made", "failed"])
    assert error.startswith(f"{FOLDER}/a.toml: contexts[1]") and reason.format(bank=bank) in error
    assert bare.check("ls /dev/cm").split() == ["control", "good"]


def test_a_quota_that_cannot_be_is_refused_and_the_others_are_set(
    bare: Any, banks: dict[str, str]
) -> None:
    quota = '[[quotas]]\ncontext = "{}"\nuser = "{}"\nsize = "1MiB"\n'
    wrong = quota.format("good", "no-such-user") + quota.format("nowhere", "guest")
    text = GOOD.format(bank=banks["private"]) + wrong + quota.format("good", "guest")
    configure(bare, a=text)
    code, result, errors = apply(bare)
    assert (code, done(result)) == (2, ["made", "failed", "failed", "set"])
    assert "quotas[0].user: there is no user 'no-such-user'; correct the name" in errors[0]
    assert "quotas[1].context: there is no context 'nowhere'; there are good" in errors[1]


def test_a_context_that_differs_is_an_error_and_stays(bare: Any, banks: dict[str, str]) -> None:
    bank = banks["private"]
    bare.check(f"cm-agent create good {bank} --size 4MiB")
    configure(bare, a=GOOD.format(bank=bank))
    code, _, (error,) = apply(bare)
    assert code == 2
    assert "context 'good' is there, but with size 4 MiB instead of 8 MiB; change the" in error
    doctor = bare.run("cm-agent doctor")
    assert doctor.code == 1 and "size 4 MiB instead of 8 MiB" in doctor.stdout
    assert json.loads(bare.check("cm-agent list --json"))["result"][0]["size"] == 4 * MIB


def test_a_context_of_the_device_tree_may_be_in_the_configuration(
    module: Any, banks: dict[str, str]
) -> None:
    configure(module, a=f'[[contexts]]\nname = "shared"\nbank = "{banks["shared"]}"\n')
    code, result, errors = apply(module)
    module.check(f"rm {FOLDER}/a.toml")
    assert (code, done(result), errors) == (0, ["kept"], [])


def test_only_root_applies(bare: Any, banks: dict[str, str]) -> None:
    configure(bare, a=GOOD.format(bank=banks["private"]))
    got = bare.run("setpriv --reuid guest --regid guest --groups cm cm-agent apply")
    assert got.code == 1 and "that needs root" in got.stderr
    assert bare.check("ls /dev/cm") == "control"


# -- the service


def shown(board: Any, *properties: str) -> dict[str, str]:
    text = board.check(f"systemctl show {UNIT} --property={','.join(properties)}")
    return dict(line.split("=", 1) for line in text.splitlines())


def wait(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"after {PATIENCE} s: {what}"
        time.sleep(0.3)


def has_quota(board: Any, limit: int) -> bool:
    got = board.run("cm-agent quota private --user guest --json")
    return got.code == 0 and json.loads(got.stdout)["result"]["users"][0]["quota"] == limit


@pytest.fixture
def enabled(bare: Any) -> Iterator[Any]:
    """The board without contexts, its service enabled; it is disabled after the test."""
    bare.check("udevadm trigger --subsystem-match=misc --settle")
    bare.check(f"systemctl enable --quiet {UNIT}")
    yield bare
    bare.check(f"systemctl disable --quiet {UNIT}; systemctl reset-failed {UNIT} || true")


@pytest.mark.lg_feature("systemd")
def test_the_service_applies_whenever_it_is_started(enabled: Any, banks: dict[str, str]) -> None:
    good = GOOD.format(bank=banks["private"])
    configure(enabled, a=good)
    enabled.check(f"systemctl start {UNIT}")
    assert enabled.check("ls /dev/cm").split() == ["control", "good"]
    more = f'[[contexts]]\nname = "more"\nbank = "{banks["shared"]}"\n'
    configure(enabled, a=good, b=more)
    enabled.check(f"systemctl restart {UNIT}")
    assert enabled.check("ls /dev/cm").split() == ["control", "good", "more"]
    now = shown(enabled, "ActiveState", "Result", "CapabilityBoundingSet")
    assert now == {
        "ActiveState": "inactive",
        "Result": "success",
        "CapabilityBoundingSet": "cap_sys_admin",
    }


@pytest.mark.lg_feature("systemd")
def test_an_error_fails_the_service_and_is_in_its_log(enabled: Any) -> None:
    configure(enabled, a=GOOD.format(bank="gone@1"))
    assert enabled.run(f"systemctl restart {UNIT}").code != 0
    now = shown(enabled, "ActiveState", "ExecMainStatus")
    assert now == {"ActiveState": "failed", "ExecMainStatus": "2"}
    log = enabled.run(f"systemctl status --no-pager --full {UNIT}").stdout
    assert "contexts[0].bank: there is no bank 'gone@1'" in log


@pytest.mark.lg_feature("systemd")
def test_quotas_are_there_again_when_the_module_is(enabled: Any, banks: dict[str, str]) -> None:
    """Without a word to systemd: the control node starts the service."""
    enabled.check(RELOAD)
    configure(enabled, a='[[quotas]]\ncontext = "private"\nuser = "guest"\nsize = "3MiB"\n')
    enabled.check(f"systemctl restart {UNIT}")
    assert has_quota(enabled, 3 * MIB)
    enabled.check("rmmod cm && modprobe cm")
    wait(lambda: has_quota(enabled, 3 * MIB), "the quota is not there with the module")


@pytest.mark.lg_feature("systemd")
@pytest.mark.lg_feature("emulated")
def test_after_a_reboot_contexts_and_quotas_are_there_and_the_doctor_is_content(
    other_board: Callable[..., Any],
) -> None:
    """All of user space boots anew, and loads the module anew: a soft reboot.

    The root of an emulated board is in RAM and would not survive any other.
    """
    bank = "codec@78000000"
    with other_board([OVERLAY], state="agent") as board:
        board.check("systemctl unmask --runtime cm-agent && systemctl enable --quiet cm-agent")
        configure_both(board, bank, "shared")
        before = board.run("cm-agent doctor")
        assert before.code == 1 and "context 'left' is not there" in before.stdout
        assert "run `cm-agent apply`" in before.stdout
        reboot(board)
        wait(lambda: board.run("systemctl is-active cm-agent").code == 0, "cm-agent is not active")
        assert board.call(look, bank=bank, other="shared") == (PLACES, LIMITS)
        doctor = board.run("cm-agent doctor")
        assert (doctor.code, "FAIL" in doctor.stdout) == (0, False), doctor.stdout
        assert "ok    context 'left' is there as configured" in doctor.stdout.splitlines()
        board.check("cm-agent create spare codec@78000000 --offset 16MiB --size 16MiB")
        noted = board.run("cm-agent doctor")
        assert noted.code == 0 and "context 'spare' was made" in noted.stdout
        assert "it goes with a reboot" in noted.stdout


def reboot(board: Any) -> None:
    """Reboot all but the kernel, without the module; return when SSH answers again."""
    board.check("systemctl stop cm-agent && rmmod cm")
    board.disconnect()
    board.run("systemctl soft-reboot")
    board.target.deactivate(board.strategy.ssh)
    wait(lambda: has_rebooted(board), "no SSH after the reboot")


def has_rebooted(board: Any) -> bool:
    """The SSH server of before may still answer, and is gone in the middle of it."""
    from labgrid.driver import ExecutionError

    ssh = board.strategy.ssh
    try:
        board.target.activate(ssh)
        out, _, code = ssh.run("systemctl show --property=SoftRebootsCount --value")
    except ExecutionError:
        out, code = [], 255
    if code == 0 and out == ["1"]:
        return True
    board.target.deactivate(ssh)
    return False
