# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What systemd and udev make of our files, offline. Tools that are missing are named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[3] / "systemd"
EXAMPLES = UNITS.parent / "agent/examples"
SERVICE = UNITS / "cm-agent.service"
CONTEXTS = UNITS / "cm-agent-contexts.service"
each_service = pytest.mark.parametrize("service", [SERVICE, CONTEXTS], ids=lambda path: path.stem)
EXPOSURE_LIMIT = 25


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool; skip, by its name, when this machine does not have it."""
    tool = str(words[0])
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian package systemd or udev)")
    return subprocess.run(
        [*map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )


def rooted(tmp_path: Path, name: str, unit: str) -> Path:
    """Return a root directory with this unit, those of this machine, ours and a cm-agent."""
    system = tmp_path / "usr/lib/systemd/system"
    shutil.copytree("/usr/lib/systemd/system", system, symlinks=True)
    for path in (SERVICE, CONTEXTS):
        shutil.copyfile(path, system / path.name)
    (system / name).write_text(unit)
    for program in ("usr/bin/cm-agent", "bin/kill"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return tmp_path


def verify(root: Path, name: str) -> str:
    """Return what systemd-analyze has to say against the unit."""
    done = run("systemd-analyze", "verify", f"--root={root}", "--recursive-errors=no", name)
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"rc={done.returncode}")


@each_service
def test_the_unit_is_valid(tmp_path: Path, service: Path) -> None:
    assert verify(rooted(tmp_path, service.name, service.read_text()), service.name) == ""


@each_service
def test_an_error_in_the_unit_would_be_seen(tmp_path: Path, service: Path) -> None:
    broken = service.read_text().replace("ExecStart=", "ExecStarts=")
    assert "ExecStarts" in verify(rooted(tmp_path, service.name, broken), service.name)


@each_service
def test_the_unit_is_hardened(service: Path) -> None:
    done = run(
        "systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE_LIMIT}", service
    )
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


GAPS = {
    SERVICE: ("PrivateDevices", "PrivateUsers", "PrivateNetwork", "IPAddressDeny", "ProcSubset"),
    CONTEXTS: ("PrivateDevices", "PrivateUsers", "User", "ProcSubset"),
}


@each_service
def test_every_deliberate_gap_in_the_hardening_has_its_reason(service: Path) -> None:
    text = service.read_text()
    settings = {line.split("=")[0] for line in text.splitlines() if line[:1].isalpha()}
    reasons = text.partition("# Deliberately missing:\n")[2]
    for gap in GAPS[service]:
        assert gap not in settings
        assert f"# {gap}=" in reasons


def test_contexts_are_made_by_root_with_one_capability() -> None:
    lines = CONTEXTS.read_text().splitlines()
    held = [line for line in lines if line[:1].isalpha() and "Capabilit" in line.split("=")[0]]
    assert held == ["CapabilityBoundingSet=CAP_SYS_ADMIN"]


def test_enabling_the_agent_enables_the_contexts_at_boot_and_with_the_control_node(
    tmp_path: Path,
) -> None:
    root = rooted(tmp_path, SERVICE.name, SERVICE.read_text())
    done = run("systemctl", f"--root={root}", "enable", SERVICE.name)
    assert done.returncode == 0, done.stderr
    place = root / "etc/systemd/system"
    wants = {str(it.relative_to(place)) for it in place.glob("*.wants/*")}
    assert f"multi-user.target.wants/{SERVICE.name}" in wants
    for starter in ("multi-user.target", "dev-cm-control.device"):
        assert f"{starter}.wants/{CONTEXTS.name}" in wants


def test_contexts_are_made_before_the_agent_and_again_with_the_module() -> None:
    """A unit that remains active would not be started again by the node."""
    lines = CONTEXTS.read_text().splitlines()
    assert "Before=cm-agent.service" in lines
    assert not [line for line in lines if line.startswith("RemainAfterExit")]


def test_sysusers_makes_the_user_and_the_group() -> None:
    done = run(
        "systemd-sysusers",
        "--dry-run",
        "--replace=/usr/lib/sysusers.d/cm-agent.conf",
        UNITS / "cm-agent.sysusers.conf",
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for made in ("group 'cm'", "user 'cm-agent'"):
        assert made in said


def test_the_names_in_unit_rules_and_users_agree() -> None:
    unit, rules = SERVICE.read_text(), (UNITS / "60-cm-agent.rules").read_text()
    users = (UNITS / "cm-agent.sysusers.conf").read_text().splitlines()
    assert "Group=cm\n" in unit and "User=cm-agent\n" in unit
    assert 'GROUP="cm", MODE="0660"' in rules
    assert f'ENV{{SYSTEMD_WANTS}}+="{SERVICE.name}"' in rules
    control = 'KERNEL=="cm-control", OWNER="root", GROUP="root", MODE="0600", TAG+="systemd"'
    assert f'SUBSYSTEM=="misc", {control}\n' in rules
    entries = [line.split()[:3] for line in users if line and line[0] != "#"]
    assert entries == [["g", "cm", "-"], ["u", "cm-agent", "-"], ["m", "cm-agent", "cm"]]


@pytest.mark.parametrize("rules", [UNITS / "60-cm-agent.rules", EXAMPLES / "70-cm-heap.rules"])
def test_udev_understands_the_rules(rules: Path) -> None:
    known = run("udevadm", "--help").stdout
    if "verify " not in known:
        pytest.skip("udevadm of this machine has no verify (systemd 254 has it)")
    done = run("udevadm", "verify", "--resolve-names=never", rules)
    assert done.returncode == 0, done.stdout + done.stderr
