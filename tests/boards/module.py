# SPDX-License-Identifier: MIT
"""Building the project's kernel module for a board, with every warning an error."""

import filecmp
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from . import cache, toolchain
from . import kernel as kernels
from .board import PROJECT, Board
from .error import BoardError

SOURCES = PROJECT / "kmod"
BUILD = PROJECT / "build/module"
LITTER = shutil.ignore_patterns("*.o", "*.ko", "*.mod", "*.mod.c", ".*.cmd", "Module.symvers")
# What the compiler, sparse or modpost prints, and a failing make's last line.
COMPLAINT = re.compile(r"warning:|error:|\bERROR:|: ended with")


def make(board: Board, sources: Path = SOURCES) -> Path:
    """Build the module in `sources` and return `build/module/<board>/<name>.ko`."""
    if not (sources / "Kbuild").is_file():
        raise BoardError(f"no module to build: {sources}/Kbuild is missing")
    with cache.lock(f"module-{cache.digest({'place': BUILD / board.name})}"):
        return _build(board, sources, BUILD / board.name)


def release(board: Board) -> str:
    """Return the kernel release the module is built for."""
    return kernels.make(board).release


def version() -> str:
    """Return the version of the module's sources."""
    configuration = (SOURCES / "dkms.conf").read_text()
    (it,) = re.findall(r'^PACKAGE_VERSION="(.+)"$', configuration, re.MULTILINE)
    return str(it)


def command(board: Board, kernel: kernels.Kernel) -> list[str]:
    """Return the words that call the kernel's make for the sources in /module."""
    return [
        "make", "-C", f"/usr/src/linux-headers-{kernel.release}", "M=/module", "-j2",
        f"ARCH={board.kernel_arch}", f"CROSS_COMPILE={board.cross}", *kernel.compiler,
        # Debian's own variables, from which old headers set CROSS_COMPILE anew.
        f"DEB_HOST_ARCH={board.architecture}",
        f"DEB_HOST_GNU_TYPE={board.cross.removesuffix('-')}",
        "modules",
    ]  # fmt: skip


def binds(kernel: kernels.Kernel, sources: Path) -> dict[Path, str]:
    """Return what that make finds where, in the compilers' tree."""
    return {**kernel.binds, sources: "/module"}


def check(board: Board, words: Sequence[str], tools: dict[Path, str]) -> list[str]:
    """Build the project's module with a checker and W=1; return all lines of complaint.

    `words` tell make to call the checker; `tools` are bound where that is looked for.
    """
    place = BUILD / f"{board.name}-checked"
    with cache.lock(f"module-{cache.digest({'place': place})}"):
        cache.remove(place)
        _copy(SOURCES, place / "source")
        kernel = kernels.make(board)
        said = toolchain.make(board.kernel.suite).report(
            "make",
            [*command(board, kernel), "W=1", "--keep-going", *words],
            binds={**binds(kernel, place / "source"), **tools},
            directory="/module",
        )
    return [line.replace("/module/", "kmod/") for line in said if COMPLAINT.search(line)]


def _build(board: Board, sources: Path, place: Path) -> Path:
    _copy(sources, place / "source")
    compilers = toolchain.make(board.kernel.suite)
    kernel = kernels.make(board)
    said = compilers.run(
        [*command(board, kernel), "W=1"],
        doing=f"building the module for {board.name} (kernel {kernel.release})",
        binds=binds(kernel, place / "source"),
        directory="/module",
    )
    (place / "build.log").write_text(said)
    _refuse_warnings(said, board, place)
    built = sorted((place / "source").glob("*.ko"))
    if len(built) != 1:
        raise BoardError(f"{sources} built {len(built)} modules, expected one; see build.log")
    _copy_changed(str(built[0]), str(place / built[0].name))
    return place / built[0].name


def _copy(sources: Path, copy: Path) -> None:
    shutil.copytree(sources, copy, ignore=LITTER, dirs_exist_ok=True, copy_function=_copy_changed)
    _forget_removed(sources, copy)


def _copy_changed(source: str, copy: str) -> None:
    """Copy a file that differs, as of now: make must not take an older date for an old content."""
    if not os.path.exists(copy) or not filecmp.cmp(source, copy, shallow=False):
        shutil.copyfile(source, copy)


def _forget_removed(sources: Path, copy: Path) -> None:
    """Remove copies of sources that are no more."""
    for path in copy.rglob("*.[ch]"):
        if not path.name.endswith(".mod.c") and not (sources / path.relative_to(copy)).exists():
            path.unlink()


def _refuse_warnings(said: str, board: Board, place: Path) -> None:
    """Raise when the build said anything a person should look at; the next build says it again."""
    warnings = [line for line in said.splitlines() if "warning:" in line.lower()]
    if warnings:
        shutil.rmtree(place / "source")
        shown = "\n".join(warnings[:20])
        raise BoardError(f"{len(warnings)} warnings building for {board.name}:\n{shown}")
