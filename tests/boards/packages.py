# SPDX-License-Identifier: MIT
"""Debian packages that a person wants on a board, with all that they need and the board lacks.

They are unpacked, and none of their scripts is run: no alternatives, no users, no services.
"""

import re
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import bytecode, cache
from .apt import Archive, unpack
from .board import Board
from .error import BoardError
from .progress import say, step
from .remote import RemoteBoard

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(?<!-)")
DOCUMENTS = tuple(f"./usr/share/{it}/" for it in ("doc", "info", "lintian", "locale", "man"))
MIB = 1 << 20
# What the board needs besides, to go on.
SPARE_BYTES = 64 * MIB
ROOT_SHARE = "80%"
SPACE = "df -B1 --output=avail / | tail -n1; grep MemAvailable /proc/meminfo"
UNPACK = (
    "tar -C / --no-overwrite-dir --keep-directory-symlink -xz && "
    "if command -v ldconfig >/dev/null; then ldconfig; fi"
)


@dataclass(frozen=True)
class Bundle:
    """Packages in an archive to be unpacked at a board's root; `size` in bytes, unpacked."""

    archive: Path
    packages: tuple[str, ...]
    size: int


def make(board: Board, names: Sequence[str]) -> Bundle:
    """Return these packages, and what they depend on that the board's root has not."""
    check_names(names)
    inputs = {
        "suite": board.suite,
        "architecture": board.architecture,
        "root": vars(board.root),
        "names": sorted(names),
        "sources": cache.sources("packages.py", "apt.py", "bytecode.py"),
    }
    entry = cache.entry(f"packages-{board.machine}", inputs, lambda path: _fill(board, names, path))
    packages = (entry / "packages").read_text().split()
    return Bundle(entry / "tree.tar.gz", tuple(packages), int((entry / "size").read_text()))


def check_names(names: Iterable[str]) -> None:
    """Raise when one of these cannot be a package's name; apt would read more into it."""
    if wrong := [name for name in names if not NAME.fullmatch(name)]:
        raise BoardError(f"{', '.join(map(repr, wrong))}: not a name of a Debian package")


def lacking(
    names: Iterable[str], whole: Iterable[str], root: Iterable[str], leave_out: Iterable[str]
) -> list[str]:
    """Return which packages of the `whole` must be added to a root, by the names of all in it.

    What the root leaves out stays out, unless it is asked for by name.
    """
    return sorted({*whole} - {*root} | {*names} & {*leave_out})


def install(remote: RemoteBoard, bundle: Bundle) -> None:
    """Unpack a bundle on a board, whose root may take most of its memory from then on."""
    if not bundle.packages:
        say("the board has these packages already")
        return
    remote.check(f"mount -o remount,size={ROOT_SHARE} /")
    check_space(bundle, remote.check(SPACE))
    command = [*remote.ssh_command(), UNPACK]
    with step(f"unpacking {len(bundle.packages)} packages on the board"):
        with bundle.archive.open("rb") as data:
            done = subprocess.run(command, stdin=data, capture_output=True, text=True)
        if done.returncode != 0:
            raise BoardError(f"unpacking packages on the board failed: {done.stderr.strip()}")


def check_space(bundle: Bundle, said: str) -> None:
    """Raise when a bundle does not fit a board, by what its commands said of space."""
    root, _, memory, _ = said.split()
    free = min(int(root), int(memory) << 10) - SPARE_BYTES
    if bundle.size > free:
        raise BoardError(
            f"the {len(bundle.packages)} packages are {bundle.size // MIB:,} MiB when unpacked, "
            f"and the board's root, which is in RAM, has space for {max(free, 0) // MIB:,} MiB: "
            "name fewer"
        )


def place_alternatives(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Move what Debian's alternatives would link, had they been set up: BLAS and LAPACK."""
    path = Path(member.name)
    if path.parent.name in ("blas", "lapack"):
        member.name = f"./{path.parent.parent / path.name}"
    return member


def _fill(board: Board, names: Sequence[str], into: Path) -> None:
    source, scratch, tree = (
        Archive(board.suite, (board.architecture,)),
        into / "debs",
        into / "tree",
    )
    with step(f"looking for what {' '.join(names)} needs that the board lacks"):
        root, out = board.root.packages, board.root.leave_out
        whole = source.closure([*root, *names], scratch)
        packages = lacking(names, whole, source.closure(root, scratch), out)
    tree.mkdir()
    if packages:
        with step(f"downloading and unpacking {len(packages)} packages ({board.architecture})"):
            unpack(source.download_only(packages, scratch), tree)
    if [*tree.glob("usr/lib/python3*")]:
        with step("compiling their Python"):
            bytecode.add(board.suite, tree)
    (into / "size").write_text(str(_pack(tree, into / "tree.tar.gz")))
    (into / "packages").write_text("\n".join(packages))
    cache.remove(scratch)
    cache.remove(tree)


def _pack(tree: Path, archive: Path) -> int:
    """Pack a tree as root's, without documents, and return how many bytes it has."""
    size = 0

    def used(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal size
        if member.name.startswith(DOCUMENTS):
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        size += member.size
        return place_alternatives(member)

    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        packed.add(tree, ".", filter=used)
    return size
