# SPDX-License-Identifier: MIT
"""A clean tree of another architecture's programs that can be run here.

The tree is unpacked packages, none of whose scripts were run. An emulator of programs (not of a
machine) runs them, which the kernel is told of in a user namespace only, so this machine itself can
run no more than before. That needs Linux 6.7.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .apt import HOST, Archive, unpack
from .board import Board
from .error import run
from .progress import step
from .toolchain import WITHOUT

PACKAGES = (
    "base-files", "bash", "coreutils", "dash", "debianutils", "diffutils", "dpkg", "findutils",
    "gawk", "gcc", "grep", "gzip", "hostname", "kmod", "libc-bin", "make", "sed", "tar",
    "util-linux",
)  # fmt: skip
EMULATOR = "qemu-aarch64"
# What a program for 64-bit ARM begins with, and the bits of that that count.
MAGIC = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"

ENTER = """\
set -e
tree=$1 place=$2 emulator=$3
shift 3
mkdir -p "$place/changes" "$place/work" "$place/root"
mount -t overlay overlay "$place/root" \\
    -o "lowerdir=$tree,upperdir=$place/changes,workdir=$place/work,userxattr"
cd "$place/root"
mount -t proc proc proc
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for name in null zero urandom; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mount -t binfmt_misc binfmt_misc proc/sys/fs/binfmt_misc
printf %s ":cm:M::$MAGIC:$MASK:$emulator:F" > proc/sys/fs/binfmt_misc/register
exec chroot . "$@" 2>&1
"""


@dataclass(frozen=True)
class Root:
    """A tree of arm64 programs that can be run; what they change is kept beside it."""

    tree: Path
    emulator: Path
    place: Path

    @property
    def release(self) -> str:
        """The release of the kernel that is in the tree, with its headers."""
        (modules,) = (self.tree / "usr/lib/modules").iterdir()
        return modules.name

    @property
    def changes(self) -> Path:
        """Where files lie that are not the tree's own."""
        return self.place / "changes"

    def run(self, *command: str) -> str:
        """Run a program of the tree as its root user, and return what it prints."""
        return run(
            [
                "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork",
                "--kill-child", "sh", "-c", ENTER, "sh",
                self.tree, self.place, self.emulator, *command,
            ],
            doing=f"running `{' '.join(command)}` in an emulated tree",
            timeout=3600,
            env={
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LC_ALL": "C.UTF-8",
                "MAGIC": MAGIC, "MASK": MASK,
            },
        ).strip()  # fmt: skip

    def left(self) -> list[str]:
        """Return the paths at which there is something else than in the tree."""
        found = [path.relative_to(self.changes) for path in self.changes.rglob("*")]
        return sorted(str(path) for path in found if self._is_changed(path))

    def _is_changed(self, path: Path) -> bool:
        here, there = self.changes / path, self.tree / path
        if here.is_symlink() or there.is_symlink():
            both = here.is_symlink() and there.is_symlink()
            return not both or here.readlink() != there.readlink()
        if here.is_dir():
            return not there.is_dir()
        return not (here.is_file() and there.is_file()) or here.read_bytes() != there.read_bytes()


def make(board: Board, packages: Sequence[str], place: Path) -> Root:
    """Return a clean tree with the board's kernel, its headers, a compiler and these packages.

    It comes from the cache, made first when it is missing; what is at `place` is forgotten.
    """
    wanted = [*PACKAGES, *packages, board.kernel.package, board.kernel.headers]
    inputs = {
        "suite": board.suite,
        "architecture": board.architecture,
        "packages": wanted,
        "sources": cache.sources("foreign.py", "apt.py"),
    }
    made = cache.entry(f"foreign-{board.name}", inputs, lambda path: _fill(board, wanted, path))
    cache.remove(place)
    return Root(made / "tree", made / EMULATOR, place)


def _fill(board: Board, packages: Sequence[str], into: Path) -> None:
    with step(f"downloading {len(packages)} packages and all they need ({board.architecture})"):
        debs = Archive(board.suite, (board.architecture,)).download(packages, into / "debs")
        emulators = Archive(board.suite, (HOST,)).download_only(["qemu-user"], into / "qemu")
    with step(f"unpacking {len(debs)} packages"):
        unpack(debs, into / "tree")
        unpack(emulators, into / "qemu")
    shutil.move(into / "qemu/usr/bin" / EMULATOR, into / EMULATOR)
    for place in ("debs", "qemu", *(f"tree/{name}" for name in WITHOUT)):
        cache.remove(into / place)
    with step("doing what the packages' scripts would have done"):
        (into / "tree/usr/bin/awk").symlink_to("gawk")
        _index_modules(Root(into / "tree", into / EMULATOR, into / "place"))


def _index_modules(root: Root) -> None:
    """Have the tree's own depmod do it: another version's indexes would differ."""
    root.run("depmod", root.release)
    shutil.copytree(root.changes, root.tree, dirs_exist_ok=True)
    cache.remove(root.place)
