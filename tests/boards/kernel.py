# SPDX-License-Identifier: MIT
"""The board's kernel: image, modules, and headers of one and the same version."""

from dataclasses import dataclass
from pathlib import Path

from . import cache
from .apt import HOST, Archive, unpack
from .board import Board
from .error import BoardError, run
from .progress import step


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
        return self.tree / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """The directory of all the kernel's modules, indexed by depmod."""
        return self.tree / "usr/lib/modules" / self.release

    @property
    def kbuild(self) -> str:
        """The name of the directory of build programs that the headers refer to."""
        return next((self.tree / "usr/lib").glob("linux-kbuild-*")).name

    def closure(self, names: tuple[str, ...]) -> list[str]:
        """Return the files, relative to `modules`, of these modules and all they depend on."""
        needs = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            file, _, rest = line.partition(":")
            needs[_module_name(file)] = [file, *rest.split()]
        builtin = (self.modules / "modules.builtin").read_text().splitlines()
        inside = {_module_name(file) for file in builtin}
        missing = [name for name in names if name not in needs and name not in inside]
        if missing:
            raise BoardError(f"kernel {self.release} has no module {', '.join(missing)}")
        return sorted({file for name in names for file in needs.get(name, [])})


def make(board: Board) -> Kernel:
    """Return the board's kernel from the cache, fetched first when it is missing."""
    inputs = {
        "suite": board.suite,
        "architecture": board.architecture,
        "package": board.kernel.package,
        "headers": board.kernel.headers,
        "sources": cache.sources("kernel.py", "apt.py"),
    }
    return Kernel(cache.entry(f"kernel-{board.name}", inputs, lambda path: _fill(board, path)))


def _fill(board: Board, into: Path) -> None:
    archive = Archive(board.suite, (board.architecture, HOST))
    debs = into / "debs"
    image = archive.dependency(board.kernel.package, debs)
    headers = archive.dependency(board.kernel.headers, debs)
    release = image.removeprefix("linux-image-")
    flavour = headers.rpartition("-")[2]
    version = release.removesuffix(f"-{flavour}")
    packages = [image, headers, f"linux-headers-{version}-common", f"linux-kbuild-{version}:{HOST}"]
    with step(f"downloading kernel {release} and its headers"):
        found = archive.download_only(packages, debs)
    with step(f"unpacking kernel {release}"):
        unpack(found, into)
        run(["depmod", "-b", into / "usr", release], doing="indexing the modules")
    (into / "release").write_text(f"{release}\n")
    cache.remove(debs)


def _module_name(file: str) -> str:
    return Path(file).name.partition(".ko")[0].replace("-", "_")
