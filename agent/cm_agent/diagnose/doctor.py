# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is missing on this machine, in plain words, and how to fix it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cm_agent.config import settings
from cm_agent.config.settings import Config, ConfigError
from cm_agent.core.context import CONTROL
from cm_agent.core.control import Control
from cm_agent.core.devicetree import COMPATIBLE, ContextNode, bank_sizes, context_nodes
from cm_agent.core.place import places
from cm_agent.core.reports import Quota
from cm_agent.diagnose import configured
from cm_agent.diagnose.finding import Finding, skipped
from cm_agent.policy.rules import Policy

UNIT = "cm-agent.service"
# include/uapi/linux/capability.h
_CAPABILITIES = {
    "CAP_SYS_RAWIO": (17, "pinning and physical addresses"),
    "CAP_SYS_ADMIN": (21, "verification by pagemap"),
}
# PROC_USER_INIT_INO in include/linux/proc_ns.h: capabilities count for the module there only.
_INITIAL_USER_NAMESPACE = "user:[4026531837]"
_AT_RUN_TIME = "by the module's parameter or at run time"
_APPLY = (
    "compile your board's overlay (dtc -@ -I dts -O dtb -o cm.dtbo dts/BOARD.dtso), have the boot "
    "loader apply it or merge it (fdtoverlay -i OLD.dtb -o NEW.dtb cm.dtbo), and reboot; "
    "dts/README.md has it for each board"
)


def _may_open(node: Path) -> bool:
    return os.access(node, os.R_OK | os.W_OK, effective_ids=True)


def _unit_state(unit: str) -> dict[str, str] | None:
    """Return LoadState, ActiveState, UnitFileState of a unit, None without systemd."""
    if not Path("/run/systemd/system").is_dir():
        return None
    command = ["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", unit]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _quota_of(context: str, uid: int | None) -> Quota | None:
    try:
        with Control() as control:
            return control.quota(context, uid)
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look, so that another tree than the running system's can be examined."""

    procfs: Path = Path("/proc")
    sysfs: Path = Path("/sys")
    dev: Path = Path("/dev/cm")
    modules: Path = Path("/lib/modules")
    config: Path | None = None
    """None: the default folder, if there is one."""
    release: str = os.uname().release
    python: tuple[int, int] = sys.version_info[:2]
    may_open: Callable[[Path], bool] = _may_open
    unit_state: Callable[[str], dict[str, str] | None] = _unit_state
    quota_of: configured.QuotaOf = _quota_of


def examine(machine: Machine | None = None) -> list[Finding]:
    """Look at everything a context needs, from the ground up."""
    machine = machine or Machine()
    wanted = context_nodes(machine.procfs / "device-tree")
    loaded = (machine.sysfs / "module/cm").is_dir()
    made = _made(machine.sysfs)
    config, errors = _config(machine)
    return [
        *_versions(machine),
        *_device_tree(machine, wanted, made, config),
        _module(machine, loaded),
        *_contexts(wanted, made, loaded, config),
        *_nodes(machine, made),
        *errors,
        *_configured(machine, config, loaded),
        *_policy(config.policy, made),
        *_capabilities(machine),
        _service(machine),
    ]


def _versions(machine: Machine) -> list[Finding]:
    python = ".".join(map(str, machine.python))
    number = re.match(r"(\d+)\.(\d+)", machine.release)
    kernel = (int(number[1]), int(number[2])) if number else None
    return [
        Finding(True, f"Python {python}")
        if machine.python >= (3, 11)
        else Finding(False, f"Python {python} is too old", "install Python 3.11 or newer"),
        Finding(True, f"kernel {machine.release}")
        if kernel and _carries(kernel)
        else Finding(
            False,
            f"kernel {machine.release} cannot carry the module",
            "boot Linux 5.10 (Debian 11), or 6.0 or newer (Debian 12)",
        ),
    ]


def _carries(kernel: tuple[int, int]) -> bool:
    """As BUILD_EXCLUSIVE_KERNEL in kmod/dkms.conf."""
    return kernel == (5, 10) or kernel >= (6, 0)


def _device_tree(
    machine: Machine, wanted: list[ContextNode], made: dict[str, str], config: Config
) -> list[Finding]:
    if not (machine.procfs / "device-tree").is_dir():
        return [
            Finding(
                False,
                "this machine was booted without a device tree",
                "contexts come from the device tree: use an ARM board, or an emulated one",
            )
        ]
    if not wanted:
        what = f'the device tree has no node with compatible "{COMPATIBLE}"'
        if config.contexts:
            return [Finding(None, f"{what}: the contexts are those of the configuration")]
        if _at_run_time(made):
            return [Finding(None, f"{what}: all contexts were made {_AT_RUN_TIME}")]
        return [Finding(False, f"{what}: no overlay applied", _APPLY)]
    return [_bank(node) for node in wanted]


def _bank(node: ContextNode) -> Finding:
    what = f"device tree: context {node.name!r} at {node.path}"
    if node.bank:
        return Finding(True, f"{what}, bank {node.bank}")
    return Finding(
        False,
        f"{what} names no reserved memory that is there",
        "its memory-region must point to an enabled child of /reserved-memory; compare dts/*.dtso",
    )


def _module(machine: Machine, loaded: bool) -> Finding:
    if loaded:
        return Finding(True, "module cm is loaded")
    folder = machine.modules / machine.release
    listed = folder / "modules.dep"
    if listed.is_file() and re.search(r"(?m)^\S*\bcm\.ko\S*:", listed.read_text()):
        return Finding(False, "module cm is built, but not loaded", "modprobe cm")
    if built := next(folder.rglob("cm.ko*"), None):
        what = f"{built} is there, but unknown to modprobe"
        return Finding(False, what, "depmod -a, then modprobe cm")
    return Finding(
        False,
        f"module cm is not built for kernel {machine.release}",
        f"apt install linux-headers-{machine.release}, and build it with DKMS as described in "
        "README.md, 'Onto a real board'; `dkms status` shows what failed",
    )


def _made(sysfs: Path) -> dict[str, str]:
    """Return for each context there is the path of its device tree node; "" for one that was made
    by the module's parameter or at run time.
    """
    links = {
        name: sysfs / "class/cm" / name / "device/of_node" for name in _listed(sysfs / "class/cm")
    }
    return {name: str(link.resolve()).partition("/base")[2] for name, link in links.items()}


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name != CONTROL)
    except FileNotFoundError:
        return []


def _at_run_time(made: dict[str, str]) -> list[str]:
    return [name for name, path in made.items() if not path]


def _contexts(
    wanted: list[ContextNode], made: dict[str, str], loaded: bool, config: Config
) -> list[Finding]:
    if not loaded:
        return [skipped("contexts", "the module is not loaded")]
    known = {node.name for node in wanted} | {entry.name for entry in config.contexts}
    others = sorted(set(_at_run_time(made)) - known)
    if not wanted and not made:
        return [skipped("contexts", "the device tree asks for none")]
    return [*(_context(node, made) for node in wanted), *map(_temporary, others)]


def _temporary(name: str) -> Finding:
    return Finding(
        None,
        f"context {name!r} was made {_AT_RUN_TIME} and is not in the configuration: it goes with a "
        "reboot, unless the parameter is in /etc/modprobe.d",
        f"to have it after every boot, add it as [[contexts]] to a file in {settings.DEFAULT_PATH}",
    )


def _context(node: ContextNode, made: dict[str, str]) -> Finding:
    """Judge a context of the device tree. The kernel does not report which bank a context has."""
    path = made.get(node.name)
    if path == node.path:
        return Finding(True, f"the module made context {node.name!r}")
    if path == "":
        what = f"context {node.name!r} was made {_AT_RUN_TIME}, in place of {node.path}"
        return Finding(True, what)
    what = f"context {node.name!r} at {node.path} is not there: refused, or destroyed since"
    others = _at_run_time(made) if path is None else []
    if others:
        what += f"; its bank may be in use by {', '.join(map(repr, others))}, made {_AT_RUN_TIME}"
    return Finding(
        None if others else False,
        what,
        "if refused, the reason is in dmesg | grep cm-context; if destroyed, it is back when "
        "the module is loaded again: stop what uses it (systemctl stop cm-agent), rmmod cm, "
        "modprobe cm",
    )


def _nodes(machine: Machine, made: dict[str, str]) -> list[Finding]:
    if not made:
        return [skipped(f"nodes in {machine.dev} and their permissions", "there is no context")]
    return [_node(machine, machine.dev / name) for name in made]


def _node(machine: Machine, node: Path) -> Finding:
    if not node.exists():
        return Finding(
            False,
            f"{node} is missing, although the module made the context",
            "udev makes it: systemctl status systemd-udevd; without udev, mount a devtmpfs on /dev",
        )
    if not node.stat().st_mode & 0o077:
        return Finding(
            False,
            f"only root may open {node}: it came before udev had 60-cm-agent.rules",
            "udevadm control --reload && udevadm trigger --subsystem-match=cm --settle",
        )
    if not machine.may_open(node):
        return Finding(
            False,
            f"you may not open {node}",
            "usermod -aG cm USER and log in again; the node must belong to group cm "
            "(60-cm-agent.rules): ls -l " + str(node),
        )
    return Finding(True, f"{node} is there, and you may open it")


def _config(machine: Machine) -> tuple[Config, list[Finding]]:
    """Return the configuration, or the default one and what is wrong."""
    try:
        return settings.load(machine.config), []
    except ConfigError as error:
        fix = "fix the file: cm-agent.service does not start with it, and a reload keeps the old"
        return Config(), [Finding(False, problem, fix) for problem in error.problems]


def _configured(machine: Machine, config: Config, loaded: bool) -> Iterable[Finding]:
    if not loaded:
        return []
    there, banks = places(machine.sysfs), bank_sizes(machine.procfs / "device-tree")
    state = machine.unit_state(configured.UNIT)
    return configured.findings(config, there, banks, machine.quota_of, state)


def _policy(policy: Policy, made: dict[str, str]) -> list[Finding]:
    if not policy.rules:
        return []
    if not made:
        return [skipped("contexts that the policy names", "there is no context")]
    there = ", ".join(sorted(made))
    return [
        Finding(
            False,
            f"rule {str(rule)!r} of the policy names context {name!r}, which is not there",
            f"name one that is ({there}), or make it: by an overlay, or as [[contexts]] of the "
            "configuration and `cm-agent apply`",
        )
        for rule in policy.rules
        for name in rule.contexts
        if name not in made
    ] or [Finding(True, "every context that the policy names is there")]


def _capabilities(machine: Machine) -> list[Finding]:
    status = machine.procfs / "self/status"
    match = re.search(r"(?m)^CapEff:\s*([0-9a-f]+)", status.read_text() if status.exists() else "")
    if match is None:
        return [skipped("capabilities", f"{status} does not have them")]
    held = int(match[1], 16)
    initial = _in_initial_user_namespace(machine)
    return [
        _capability(name, use, held=bool(held >> bit & 1), initial=initial)
        for name, (bit, use) in _CAPABILITIES.items()
    ]


def _capability(name: str, use: str, *, held: bool, initial: bool) -> Finding:
    if held and initial:
        return Finding(True, f"you have {name}: {use}")
    if held:
        what = f"you have {name} in a user namespace only, where it does not count: no {use}"
        return Finding(None, what, "only if you need it: run as root, outside of the namespace")
    return Finding(None, f"you do not have {name}: no {use}", "only if you need it: run as root")


def _in_initial_user_namespace(machine: Machine) -> bool:
    """A kernel without user namespaces has no such link."""
    try:
        return os.readlink(machine.procfs / "self/ns/user") == _INITIAL_USER_NAMESPACE
    except OSError:
        return True


def _service(machine: Machine) -> Finding:
    state = machine.unit_state(UNIT)
    if state is None:
        return skipped(UNIT, "systemd does not run here, or does not answer you")
    if state.get("LoadState") != "loaded":
        what = f"{UNIT} is not installed: no metrics, everything else works"
        return Finding(None, what, "install it as described in README.md, 'Onto a real board'")
    active = state.get("ActiveState", "unknown")
    if active == "active":
        return Finding(True, f"{UNIT} is active")
    if active == "activating":
        return Finding(None, f"{UNIT} is starting: no metrics yet")
    fix = f"systemctl enable --now {UNIT}; the reason is in journalctl -u {UNIT}"
    return Finding(False, f"{UNIT} is {active}: no metrics", fix)
