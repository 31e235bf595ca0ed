# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Packages that go into a board's root."""

from __future__ import annotations

import gc
import subprocess
from pathlib import Path

import pytest
from boards import cpio


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A Debian package with one file."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: it\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y.z>\nDescription: it\n"
    )
    (tree / "lib").mkdir()
    (tree / "lib/it").write_bytes(b"content")
    deb = tmp_path / "it.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(deb)], check=True, capture_output=True)
    return deb


def test_a_packages_files_are_in_the_archive_and_no_pipe_is_left(
    package: Path, tmp_path: Path
) -> None:
    """A pipe that is left open is a ResourceWarning, which fails the test."""
    with cpio.Archive(tmp_path / "root.cpio") as root:
        root.package(package, ())
        gc.collect()
    held = (tmp_path / "root.cpio").read_bytes()
    assert b"usr/lib/it\0" in held and b"content" in held
