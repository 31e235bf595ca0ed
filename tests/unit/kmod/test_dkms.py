# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""dkms.conf says the same as the module's sources: version, and the kernels it is for."""

from __future__ import annotations

import re
from pathlib import Path

import cm_agent
import pytest

KMOD = Path(__file__).parents[3] / "kmod"


def setting(name: str) -> str:
    """Return the value of a variable of dkms.conf."""
    text = (KMOD / "dkms.conf").read_text()
    (value,) = re.findall(rf'^{re.escape(name)}="(.*)"$', text, re.MULTILINE)
    return str(value)


def test_version_is_the_modules() -> None:
    header = (KMOD / "context.h").read_text()
    (version,) = re.findall(r'^#define CM_MODULE_VERSION\s+"(.+)"$', header, re.MULTILINE)
    assert setting("PACKAGE_VERSION") == version


def test_version_is_the_agents() -> None:
    assert setting("PACKAGE_VERSION") == cm_agent.__version__


@pytest.mark.parametrize("folder", [KMOD.parent, KMOD], ids=["project", "kmod"])
def test_readme_installs_this_version(folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    assert set(re.findall(r"\bcm[/-](\d[\w.]*)", readme)) == {setting("PACKAGE_VERSION")}


def test_module_is_the_one_that_is_built() -> None:
    (built,) = re.findall(r"^obj-m := (\w+)\.o$", (KMOD / "Kbuild").read_text(), re.MULTILINE)
    assert setting("BUILT_MODULE_NAME[0]") == setting("PACKAGE_NAME") == built


def test_needs_what_compat_h_insists_on() -> None:
    insisted = re.findall(r"^#ifndef (CONFIG_\w+)$", (KMOD / "compat.h").read_text(), re.MULTILINE)
    assert sorted(setting("BUILD_EXCLUSIVE_CONFIG").split()) == sorted(insisted)


def test_readme_has_the_kernel_options_that_are_needed() -> None:
    readme = (KMOD / "README.md").read_text()
    named = re.findall(r"^\| `(CONFIG_\w+)` \|", readme, re.MULTILINE)
    assert sorted(named) == sorted(setting("BUILD_EXCLUSIVE_CONFIG").split())


@pytest.mark.parametrize(
    "release",
    ["5.10.0-39-arm64", "6.0.19", "6.1.0-41-armmp", "6.12.107+deb13-arm64", "10.0.0"],
)
def test_takes_5_10_and_kernels_from_6_0_on(release: str) -> None:
    assert re.search(setting("BUILD_EXCLUSIVE_KERNEL"), release)


@pytest.mark.parametrize(
    "release",
    ["5.15.92-sunxi", "5.19.17", "5.9.0-1-arm64", "5.1.15", "4.19.0-27-arm64", "3.8.13-bone86"],
)
def test_passes_over_older_kernels_and_those_between(release: str) -> None:
    assert not re.search(setting("BUILD_EXCLUSIVE_KERNEL"), release)
