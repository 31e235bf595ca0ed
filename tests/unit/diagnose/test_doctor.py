# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The doctor, on small trees that look like /proc, /sys, /dev/cm and /lib/modules."""

import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cm_agent.core.devicetree import bank_names, context_nodes
from cm_agent.diagnose.doctor import Machine, examine
from cm_agent.diagnose.finding import Finding

ALL = (1 << 17) | (1 << 21)


def write(path: Path, content: str | bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def add_context(machine: Machine, label: str, bank: str | None) -> Path:
    """Add a context's node, and its reserved memory when there is a name for it."""
    tree = machine.procfs / "device-tree"
    node = tree / f"context-{label}"
    phandle = struct.pack(">I", len(list(tree.iterdir())) if tree.exists() else 1)
    write(node / "compatible", "cm-agent,context\0")
    write(node / "label", f"{label}\0")
    write(node / "memory-region", phandle)
    if bank:
        write(tree / "reserved-memory" / bank / "phandle", phandle)
    return node


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a board on which everything is well: one context, loaded, in use by the service."""
    machine = Machine(
        procfs=tmp_path / "proc",
        sysfs=tmp_path / "sys",
        dev=tmp_path / "dev/cm",
        modules=tmp_path / "modules",
        config=tmp_path / "config.toml",
        release="6.12.1-test",
        python=(3, 13),
        may_open=lambda node: True,
        unit_state=lambda unit: {"LoadState": "loaded", "ActiveState": "active"},
    )
    add_context(machine, "camera", "camera@70000000")
    write(machine.procfs / "self/status", f"Name:\tx\nCapEff:\t{ALL:016x}\n")
    (machine.sysfs / "module/cm").mkdir(parents=True)
    make(machine, "camera", "context-camera")
    configure(machine, "")
    return machine


def configure(machine: Machine, text: str) -> None:
    """Write the configuration."""
    assert machine.config is not None
    write(machine.config, text)


def make(machine: Machine, name: str, node: str) -> None:
    """Do what the module and udev do for a context of the device tree."""
    folder = machine.sysfs / "class/cm" / name / "device"
    folder.mkdir(parents=True)
    (folder / "of_node").symlink_to(machine.sysfs / "firmware/devicetree/base" / node)
    write(machine.dev / name)


def bad(machine: Machine) -> list[Finding]:
    return [finding for finding in examine(machine) if finding.ok is False]


def skipped(machine: Machine) -> list[str]:
    return [f.what for f in examine(machine) if f.ok is None and "not checked because" in f.what]


def only(machine: Machine) -> Finding:
    findings = bad(machine)
    assert len(findings) == 1, findings
    assert findings[0].fix
    return findings[0]


def unload(machine: Machine) -> None:
    (machine.sysfs / "module/cm").rmdir()
    shutil.rmtree(machine.sysfs / "class/cm/camera")
    (machine.dev / "camera").unlink()


def test_healthy_board_has_no_complaint(machine: Machine) -> None:
    assert all(finding.ok for finding in examine(machine))


def test_old_python_is_found(machine: Machine) -> None:
    assert "Python 3.9" in only(replace(machine, python=(3, 9))).what


@pytest.mark.parametrize("release", ["5.9.0", "4.19.1-arm", "5.15.92-sunxi", "strange"])
def test_kernel_that_cannot_carry_the_module_is_found(machine: Machine, release: str) -> None:
    assert release in only(replace(machine, release=release)).what


@pytest.mark.parametrize("release", ["5.10.0", "6.1.0-9-armmp", "7.2-rc1"])
def test_new_enough_kernel_is_fine(machine: Machine, release: str) -> None:
    assert not bad(replace(machine, release=release))


def test_missing_overlay_is_found_and_how_to_apply_one(machine: Machine) -> None:
    (machine.procfs / "device-tree/context-camera/compatible").write_bytes(b"other\0")
    finding = only(machine)
    assert "no overlay applied" in finding.what
    assert "dts/" in finding.fix


def test_machine_without_device_tree_is_found(machine: Machine, tmp_path: Path) -> None:
    elsewhere = replace(machine, procfs=tmp_path / "other")
    assert "without a device tree" in bad(elsewhere)[0].what


def test_context_without_bank_is_found(machine: Machine) -> None:
    node = add_context(machine, "codec", None)
    make(machine, "codec", node.name)
    finding = only(machine)
    assert "'codec'" in finding.what
    assert node.name in finding.what


def test_module_that_is_built_but_not_loaded_is_found(machine: Machine) -> None:
    unload(machine)
    write(machine.modules / "6.12.1-test/modules.dep", "kernel/a.ko:\nupdates/dkms/cm.ko.xz:\n")
    finding = only(machine)
    assert "not loaded" in finding.what
    assert finding.fix == "modprobe cm"


def test_module_of_similar_name_is_not_taken_for_ours(machine: Machine) -> None:
    unload(machine)
    write(machine.modules / "6.12.1-test/modules.dep", "kernel/rdma_cm.ko: kernel/ib_cm.ko\n")
    assert "not built" in only(machine).what


def test_module_unknown_to_modprobe_is_found(machine: Machine) -> None:
    unload(machine)
    write(machine.modules / "6.12.1-test/extra/cm.ko")
    assert "depmod" in only(machine).fix


def test_module_that_was_not_built_is_found_and_the_packages_to_install(machine: Machine) -> None:
    unload(machine)
    assert "apt install linux-headers-6.12.1-test" in only(machine).fix


def test_what_needs_the_module_is_not_checked_without_it(machine: Machine) -> None:
    unload(machine)
    words = skipped(machine)
    assert any(word.startswith("contexts: not checked because the module") for word in words)
    assert any("permissions: not checked because there is no context" in word for word in words)


def test_refused_context_points_to_the_kernel_log(machine: Machine) -> None:
    add_context(machine, "codec", "codec@78000000")
    finding = only(machine)
    assert "context 'codec' at /context-codec is not there: refused" in finding.what
    assert "dmesg | grep cm-context" in finding.fix


def test_the_second_of_two_nodes_with_one_label_is_refused(machine: Machine) -> None:
    node = machine.procfs / "device-tree/context-other"
    shutil.copytree(machine.procfs / "device-tree/context-camera", node)
    assert "context 'camera' at /context-other is not there" in only(machine).what


def test_missing_node_is_found(machine: Machine) -> None:
    (machine.dev / "camera").unlink()
    assert "camera is missing" in only(machine).what


def test_node_that_udev_had_no_rules_for_is_found(machine: Machine) -> None:
    """As root may open it, may_open() is true."""
    (machine.dev / "camera").chmod(0o600)
    finding = only(machine)
    assert finding.what.startswith(f"only root may open {machine.dev / 'camera'}: ")
    assert "udevadm trigger --subsystem-match=cm" in finding.fix


def test_missing_permission_names_the_group(machine: Machine) -> None:
    finding = only(replace(machine, may_open=lambda node: False))
    assert "may not open" in finding.what
    assert "group cm" in finding.fix


@pytest.mark.parametrize(("bit", "name"), [(17, "CAP_SYS_RAWIO"), (21, "CAP_SYS_ADMIN")])
def test_missing_capability_is_named_and_is_no_failure(
    machine: Machine, bit: int, name: str
) -> None:
    write(machine.procfs / "self/status", f"CapEff:\t{ALL & ~(1 << bit):016x}\n")
    found = [finding for finding in examine(machine) if not finding.ok]
    assert [(finding.ok, name in finding.what) for finding in found] == [(None, True)]


State = Callable[[str], dict[str, str] | None]


def unit(load: str, active: str) -> State:
    return lambda unit: {"LoadState": load, "ActiveState": active}


def test_service_that_is_down_is_found(machine: Machine) -> None:
    finding = only(replace(machine, unit_state=unit("loaded", "failed")))
    assert "is failed" in finding.what
    assert "journalctl" in finding.fix


def test_service_that_is_not_installed_is_no_fault(machine: Machine) -> None:
    findings = examine(replace(machine, unit_state=unit("not-found", "inactive")))
    assert [finding.ok for finding in findings if "not installed" in finding.what] == [None]


def test_service_is_not_checked_without_systemd(machine: Machine) -> None:
    assert any(
        "systemd does not run" in w for w in skipped(replace(machine, unit_state=lambda u: None))
    )


def test_disabled_node_asks_for_nothing(machine: Machine) -> None:
    tree = machine.procfs / "device-tree"
    write(tree / "context-camera/status", "disabled\0")
    assert context_nodes(tree) == []


def test_node_without_label_is_called_by_its_name(machine: Machine) -> None:
    tree = machine.procfs / "device-tree"
    write(tree / "soc/left@1000/compatible", "vendor,pool\0cm-agent,context\0")
    assert [node.name for node in context_nodes(tree)] == ["camera", "left"]


def test_disabled_bank_is_no_bank(machine: Machine) -> None:
    assert bank_names(machine.procfs / "device-tree") == ["camera@70000000"]
    write(machine.procfs / "device-tree/reserved-memory/camera@70000000/status", "disabled\0")
    assert bank_names(machine.procfs / "device-tree") == []
    assert "names no reserved memory" in only(machine).what


def test_rule_that_names_a_missing_context_is_found(machine: Machine) -> None:
    configure(machine, "[policy]\nmap = 's5p-mfc/a=camera,left;*=camera'")
    finding = only(machine)
    assert "rule 's5p-mfc/a=camera,left' of the policy names context 'left'" in finding.what
    assert "name one that is (camera), or make it" in finding.fix


def test_policy_whose_contexts_are_there_is_fine(machine: Machine) -> None:
    configure(machine, "[policy]\nmap = '*=camera'")
    findings = examine(machine)
    assert all(finding.ok for finding in findings)
    assert "every context that the policy names is there" in [it.what for it in findings]


def test_policy_is_not_checked_without_contexts(machine: Machine) -> None:
    configure(machine, "[policy]\nmap = '*=camera'")
    unload(machine)
    assert any(word.startswith("contexts that the policy names: not") for word in skipped(machine))


def test_broken_configuration_is_found_with_its_place(machine: Machine) -> None:
    configure(machine, "[policy]\nmap = '*=camera;x'")
    finding = only(machine)
    assert finding.what.startswith(f"{machine.config}: policy.map: character 10 of the map: ")
    assert "does not start with it" in finding.fix


# -- contexts made by the module's parameter or at run time


def make_at_run_time(machine: Machine, name: str) -> None:
    """Do what the module and udev do for a context that has no node in the device tree."""
    (machine.sysfs / "class/cm" / name).mkdir(parents=True)
    write(machine.dev / name)


def remove(machine: Machine, name: str) -> None:
    """Do what the module and udev do when a context is destroyed."""
    shutil.rmtree(machine.sysfs / "class/cm" / name)
    (machine.dev / name).unlink()


def test_context_made_at_run_time_goes_with_a_reboot(machine: Machine) -> None:
    make_at_run_time(machine, "left")
    (finding,) = [it for it in examine(machine) if not it.ok]
    assert finding.ok is None
    assert finding.what.startswith("context 'left' was made by the module's parameter or at run")
    assert "it goes with a reboot" in finding.what and "add it as [[contexts]]" in finding.fix


def test_context_made_in_place_of_the_device_trees_is_fine(machine: Machine) -> None:
    remove(machine, "camera")
    make_at_run_time(machine, "camera")
    findings = examine(machine)
    assert all(finding.ok for finding in findings)
    assert any("in place of /context-camera" in finding.what for finding in findings)


def test_context_destroyed_for_others_is_no_fault(machine: Machine) -> None:
    remove(machine, "camera")
    make_at_run_time(machine, "left")
    make_at_run_time(machine, "right")
    (finding,) = [it for it in examine(machine) if not it.ok and "camera" in it.what]
    assert finding.ok is None
    assert "its bank may be in use by 'left', 'right'" in finding.what


def test_contexts_are_fine_without_an_overlay(machine: Machine) -> None:
    remove(machine, "camera")
    make_at_run_time(machine, "left")
    shutil.rmtree(machine.procfs / "device-tree/context-camera")
    assert bad(machine) == []
    (finding,) = [it for it in examine(machine) if "device tree" in it.what]
    assert "all contexts were made by the module's parameter" in finding.what


# -- capabilities in a user namespace


@pytest.mark.parametrize(("number", "ok"), [(4026531837, True), (4026532451, None)])
def test_capabilities_count_in_the_initial_user_namespace(
    machine: Machine, number: int, ok: bool | None
) -> None:
    (machine.procfs / "self/ns").mkdir()
    (machine.procfs / "self/ns/user").symlink_to(f"user:[{number}]")
    found = [it for it in examine(machine) if it.what.startswith("you have CAP_")]
    assert [finding.ok for finding in found] == [ok, ok]
