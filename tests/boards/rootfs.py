# SPDX-License-Identifier: MIT
"""The board's root: Debian packages unpacked into a cpio archive, no foreign code executed.

What the packages' own scripts would have made (users, PAM, enabled units) comes from
`boards/root/`, a tree laid over the packages, and from the few lines below.
"""

from collections.abc import Iterable
from pathlib import Path

from . import bytecode, cache, cpio
from .apt import Archive, unpack
from .board import HERE, Board
from .progress import step

OVERLAY = HERE / "root"
WITHOUT = (
    "usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/",
    "usr/share/lintian/", "usr/share/bash-completion/", "usr/share/zoneinfo/",
    "usr/share/i18n/", "usr/share/gcc/", "usr/share/X11/", "usr/share/fonts/",
    "usr/lib/python3.13/ensurepip/", "usr/lib/python3.13/pydoc_data/",
    "usr/lib/udev/hwdb.d/", "usr/lib/udev/hwdb.bin",
    "usr/lib/systemd/catalog/", "usr/lib/systemd/system-generators/",
    "usr/lib/systemd/user", "usr/lib/systemd/boot/", "usr/lib/python3.13/test/",
    "usr/lib/python3.13/lib-dynload/_test", "etc/ssh/moduli",
    # udev rules and helpers for hardware that no emulated board has
    "usr/lib/udev/rules.d/40-", "usr/lib/udev/rules.d/60-", "usr/lib/udev/rules.d/61-",
    "usr/lib/udev/rules.d/64-", "usr/lib/udev/rules.d/65-", "usr/lib/udev/rules.d/7",
    "usr/lib/udev/rules.d/81-", "usr/lib/udev/rules.d/82-", "usr/lib/udev/rules.d/90-",
)  # fmt: skip
GUEST = 1000


def make(board: Board) -> Path:
    """Return the cache entry with the board's `root.cpio`."""
    tree = {str(p.relative_to(OVERLAY)): _content(p) for p in sorted(OVERLAY.rglob("*"))}
    inputs = {
        "suite": board.suite,
        "architecture": board.architecture,
        "root": vars(board.root),
        "overlay": tree,
        "sources": cache.sources("rootfs.py", "cpio.py", "apt.py", "bytecode.py"),
    }
    noun = f"root-{board.suite}-{board.architecture}"
    return cache.entry(noun, inputs, lambda path: _fill(board, path))


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return path.read_text() if path.is_file() else "/"


def _fill(board: Board, into: Path) -> None:
    with step(f"downloading the root's packages ({board.suite} {board.architecture})"):
        debs = Archive(board.suite, (board.architecture,)).download(
            board.root.packages, into / "debs"
        )
    kept = [deb for deb in debs if deb.name.split("_")[0] not in board.root.leave_out]
    with step("compiling the board's Python"):
        compiled = _bytecode(board.suite, kept, into / "debs/python")
    with step(f"unpacking {len(kept)} packages"), cpio.Archive(into / "root.cpio") as root:
        for name in cpio.MERGED:
            root.alias(name, f"usr/{name}")
        for deb in kept:
            root.package(deb, WITHOUT)
        for path in sorted(compiled.rglob("*.pyc")):
            name = str(path.relative_to(compiled))
            if not name.startswith(WITHOUT):
                root.file(name, path.read_bytes())
        _accounts(root, into / "debs")
        _units(root, board)
        root.tree(OVERLAY)
    cache.remove(into / "debs")


def _bytecode(suite: str, debs: Iterable[Path], scratch: Path) -> Path:
    """Unpack and compile the Python among these packages; return the tree they are in."""
    unpack((deb for deb in debs if deb.name.startswith(("python3", "libpython3"))), scratch)
    bytecode.add(suite, scratch)
    return scratch


def _accounts(root: cpio.Archive, debs: Path) -> None:
    """Add the users and groups: base-passwd's masters and an unprivileged `guest`."""
    unpack(debs.glob("base-passwd_*"), debs / "base-passwd")
    masters = debs / "base-passwd/usr/share/base-passwd"
    users = (masters / "passwd.master").read_text().replace(":*:", ":x:")
    users += "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
    users += f"guest:x:{GUEST}:{GUEST}:Guest:/home/guest:/bin/bash\n"
    groups = (masters / "group.master").read_text() + f"guest:x:{GUEST}:\n"
    names = [line.split(":")[0] for line in users.splitlines()]
    shadow = "".join(f"{name}:{'' if name == 'root' else '*'}:20000::::::\n" for name in names)
    root.file("etc/passwd", users.encode())
    root.file("etc/group", groups.encode())
    root.file("etc/shadow", shadow.encode(), 0o640)
    root.directory("home/guest", owner=(GUEST, GUEST))


def _units(root: cpio.Archive, board: Board) -> None:
    """Mask the units that only slow the boot."""
    for unit in board.root.mask:
        root.link(f"etc/systemd/system/{unit}", "/dev/null")
    root.link("init", "usr/lib/systemd/systemd")
