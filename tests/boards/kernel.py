# SPDX-License-Identifier: MIT
"""The board's kernel: image, modules, and headers of one and the same version."""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .apt import HOST, Archive, unpack
from .board import Board
from .error import BoardError, run
from .progress import step

THIRTY_TWO_BITS = ("armhf",)
# The first release whose qemu-user needs no libraries.
EMULATOR_SUITE = "trixie"
MODPOST = """\
#!/bin/sh
here=${0%/*}
exec "$here/qemu-arm" -L /usr/arm-linux-gnueabihf "$here/modpost.arm" "$@"
"""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: its image, modules, headers and the headers' build programs."""

    tree: Path

    @property
    def release(self) -> str:
        """The release name, as `uname -r` prints it on the board."""
        return (self.tree / "release").read_text().strip()

    @property
    def image(self) -> Path:
        """The bootable kernel image."""
        before_7 = self.tree / "boot" / f"vmlinuz-{self.release}"
        return before_7 if before_7.exists() else self.modules / "vmlinuz"

    @property
    def modules(self) -> Path:
        """The directory of all the kernel's modules, indexed by depmod."""
        return self.tree / "usr/lib/modules" / self.release

    @property
    def binds(self) -> dict[Path, str]:
        """What a module's build needs of the tree, and where it expects it.

        Debian's headers refer to build programs of a package of their own, ours bring them.
        """
        programs = (self.tree / "usr/lib").glob("linux-kbuild-*")
        return {
            self.tree / "usr/src": "/usr/src",
            **{path: f"/usr/lib/{path.name}" for path in programs},
        }

    @property
    def compiler(self) -> list[str]:
        """What make must be told of the compiler: Debian's headers name theirs, ours do not."""
        config = self.tree / "config"
        if not config.exists():
            return []
        name = re.search(r'^CONFIG_CC_VERSION_TEXT="(\S+)', config.read_text(), re.MULTILINE)
        return [f"CC={name[1]}"] if name else []

    def lacks(self, names: Iterable[str]) -> list[str]:
        """Return which of these modules the kernel neither has nor is built with."""
        there = set(self._needs()) | set(self._builtin())
        return [name for name in names if name not in there]

    def closure(self, names: Iterable[str]) -> list[str]:
        """Return the files, relative to `modules`, of these modules and all they depend on."""
        names, needs = list(names), self._needs()
        if missing := self.lacks(names):
            raise BoardError(f"kernel {self.release} has no module {', '.join(missing)}")
        return sorted({file for name in names for file in needs.get(name, [])})

    def _needs(self) -> dict[str, list[str]]:
        """Return by each module's name its file and those it depends on."""
        needs = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            file, _, rest = line.partition(":")
            needs[_module_name(file)] = [file, *rest.split()]
        return needs

    def _builtin(self) -> list[str]:
        listed = (self.modules / "modules.builtin").read_text().splitlines()
        return [_module_name(file) for file in listed]


def make(board: Board) -> Kernel:
    """Return the board's kernel from the cache, fetched or built first when it is missing."""
    if board.kernel.own:
        from kernels import recipe  # not above: it imports this package

        return Kernel(recipe.make(board))
    inputs = {
        "suite": board.kernel.suite,
        "architecture": board.architecture,
        "package": board.kernel.package,
        "headers": board.kernel.headers,
        "sources": cache.sources("kernel.py", "apt.py"),
    }
    noun = f"kernel-{board.kernel.suite}-{board.architecture}"
    return Kernel(cache.entry(noun, inputs, lambda path: _fill(board, path)))


def _fill(board: Board, into: Path) -> None:
    archive = Archive(board.kernel.suite, (board.architecture, HOST))
    debs = into / "debs"

    def part(package: str, beginning: str) -> str:
        found = [n for n in archive.dependencies(package, debs) if n.startswith(beginning)]
        if len(found) != 1:
            raise BoardError(f"{package} of {archive.suite} depends on {found}: expected one")
        return found[0]

    image = part(board.kernel.package, "linux-image-")
    headers = part(board.kernel.headers, "linux-headers-")
    common = part(headers, "linux-headers-")
    kbuild = part(headers, "linux-kbuild-")
    release = image.removeprefix("linux-image-")
    # Since 7.x the image's own package is empty, and what was in it comes in several.
    inside = [n for n in archive.dependencies(image, debs) if n.endswith(f"-{release}")]
    with step(f"downloading kernel {release} and its headers"):
        packages = [image, *inside, headers, common, f"{kbuild}:{HOST}"]
        found = archive.download_only(packages, debs)
    with step(f"unpacking kernel {release}"):
        unpack(found, into)
        if (into / "lib/modules").exists():  # before /usr was merged
            (into / "lib/modules").rename(into / "usr/lib/modules")
        run(["depmod", "-b", into / "usr", release], doing="indexing the modules")
    if board.architecture in THIRTY_TWO_BITS:
        _replace_modpost(archive, kbuild, into)
    (into / "release").write_text(f"{release}\n")
    cache.remove(debs)


def _replace_modpost(archive: Archive, kbuild: str, into: Path) -> None:
    """Have the board's own modpost do the work, in an emulator, instead of this machine's.

    Debian's for amd64 was compiled with the sizes of this machine's structures, and takes a table
    of device tree matches for 32 bits (196 bytes an entry, not 200) for a broken one.
    """
    with step(f"downloading {kbuild} for {archive.architectures[0]} and an emulator for it"):
        own = archive.download_only([kbuild], into / "debs/kbuild")
        qemu = Archive(EMULATOR_SUITE, (HOST,)).download_only(["qemu-user"], into / "debs/qemu")
    unpack([*own, *qemu], into / "debs/tree")
    place = into / "usr/lib" / kbuild / "scripts/mod"
    shutil.copy2(into / "debs/tree/usr/bin/qemu-arm", place)
    real = "modpost.real-lsb-32"
    shutil.copy2(into / "debs/tree/usr/lib" / kbuild / "scripts/mod" / real, place / "modpost.arm")
    (place / real).unlink()
    (place / real).write_text(MODPOST)
    (place / real).chmod(0o755)


def _module_name(file: str) -> str:
    return Path(file).name.partition(".ko")[0].replace("-", "_")
