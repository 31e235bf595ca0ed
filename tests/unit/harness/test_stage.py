# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What `make stage` installs for C programs and for readers, and that it is enough to build one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import cm_agent
import pytest
from boards import stage
from boards.board import PROJECT

EXAMPLES = PROJECT / "agent/examples"
UAPI = "kmod/include/uapi"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything is installed."""
    return stage.make(tmp_path_factory.mktemp("stage") / "root")


def pkg_config(staged: Path, *words: str) -> str:
    """Ask pkg-config about the installed header."""
    environment = {**os.environ, "PKG_CONFIG_LIBDIR": str(staged / "usr/share/pkgconfig")}
    asked = ["pkg-config", *words, "cm"]
    return subprocess.run(
        asked, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in a folder of examples, every warning an error."""
    return subprocess.run(
        ["make", "-C", str(folder), "CFLAGS=-O2 -Wall -Wextra -Werror"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_the_header_is_installed_beside_the_kernels(staged: Path) -> None:
    assert (staged / "usr/include/linux/cm.h").read_bytes() == (
        PROJECT / UAPI / "linux/cm.h"
    ).read_bytes()


def test_every_example_is_installed(staged: Path) -> None:
    installed = staged / "usr/share/doc/cm-agent/examples"
    suffixes = {".c", ".py", ".rules", ".toml", ""}
    ours = {it.name for it in EXAMPLES.iterdir() if it.is_file() and it.suffix in suffixes}
    assert {it.name for it in installed.iterdir()} == ours - {"capture"}


def test_rules_and_dashboard_are_installed(staged: Path) -> None:
    installed = staged / "usr/share/doc/cm-agent/monitoring"
    assert {"alerts.yml", "dashboard.json"} <= {it.name for it in installed.iterdir()}


def test_pkg_config_knows_the_version_of_the_agent_and_the_module(staged: Path) -> None:
    assert pkg_config(staged, "--modversion") == cm_agent.__version__


def test_pkg_config_adds_no_option_for_a_header_that_compilers_find(staged: Path) -> None:
    assert pkg_config(staged, "--cflags", "--libs") == ""


def test_the_installed_example_is_built_with_the_installed_header(
    staged: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(staged / "usr/share/doc/cm-agent/examples", tmp_path / "examples")
    done = build(
        folder,
        PKG_CONFIG_LIBDIR=str(staged / "usr/share/pkgconfig"),
        PKG_CONFIG_SYSROOT_DIR=str(staged),
        PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1",  # the header lies in the stage, not in /usr/include
    )
    assert done.returncode == 0 and (folder / "capture").exists(), done.stderr
    assert f"-I{staged}/usr/include" in done.stdout


def test_in_the_source_tree_the_example_is_built_with_the_trees_header(tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES, tmp_path / "agent/examples")
    (folder / "capture").unlink(missing_ok=True)
    shutil.copytree(PROJECT / UAPI, tmp_path / UAPI)
    done = build(folder, PKG_CONFIG="false")
    assert done.returncode == 0 and (folder / "capture").exists(), done.stderr
