# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`make board PACKAGES=`: which packages are added to a board's root, and whether they fit."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from boards import packages
from boards.error import BoardError
from boards.packages import MIB, Bundle

ROOT = ["libc6", "python3", "tar", "perl-base"]
LEFT_OUT = ["perl-base"]


def bundle(mib: int) -> Bundle:
    """Return a bundle of two packages with so many MiB in them."""
    return Bundle(Path("tree.tar.gz"), ("one", "two"), mib * MIB)


def space(root_mib: int, memory_mib: int) -> str:
    """Return what a board says of its space, as its commands print it."""
    return f"{root_mib * MIB}\nMemAvailable:    {memory_mib * 1024} kB"


def test_what_the_root_has_is_not_added() -> None:
    assert packages.lacking(["foo"], [*ROOT, "foo", "libfoo1"], ROOT, LEFT_OUT) == [
        "foo",
        "libfoo1",
    ]


def test_what_the_root_leaves_out_is_added_by_name_only() -> None:
    assert packages.lacking(["perl-base"], ROOT, ROOT, LEFT_OUT) == ["perl-base"]


def test_a_package_of_the_root_adds_nothing() -> None:
    assert packages.lacking(["tar"], ROOT, ROOT, LEFT_OUT) == []


@pytest.mark.parametrize("name", ["python3-numpy", "g++", "libstdc++6", "gstreamer1.0-tools"])
def test_a_name_of_a_package_is_taken(name: str) -> None:
    packages.check_names([name])


@pytest.mark.parametrize(
    "name", ["tar-", "tar=1.35", "tar/sid", "-o", "../tar", "Tar", "tar*", "x"]
)
def test_what_apt_would_read_more_into_is_refused(name: str) -> None:
    with pytest.raises(BoardError, match="not a name of a Debian package"):
        packages.check_names(["tar", name])


def test_packages_that_fit_are_taken() -> None:
    packages.check_space(bundle(100), space(root_mib=164, memory_mib=164))


@pytest.mark.parametrize(("root", "memory"), [(163, 900), (900, 163)])
def test_packages_that_do_not_fit_are_refused_with_the_figures(root: int, memory: int) -> None:
    """Neither the root's limit nor the memory that is free may be exceeded: 64 MiB stay free."""
    with pytest.raises(BoardError, match=r"2 packages are 100 MiB .* space for 99 MiB"):
        packages.check_space(bundle(100), space(root, memory))


def test_a_board_without_any_space_has_none() -> None:
    with pytest.raises(BoardError, match="space for 0 MiB"):
        packages.check_space(bundle(100), space(root_mib=10, memory_mib=10))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("./usr/lib/aarch64-linux-gnu/blas/libblas.so.3", "libblas.so.3"),
        ("./usr/lib/aarch64-linux-gnu/lapack/liblapack.so.3", "liblapack.so.3"),
        ("./usr/lib/aarch64-linux-gnu/libgfortran.so.5", "libgfortran.so.5"),
    ],
)
def test_libraries_are_where_the_linker_looks(name: str, place: str) -> None:
    member = packages.place_alternatives(tarfile.TarInfo(name))
    assert member.name == f"./usr/lib/aarch64-linux-gnu/{place}"
