# SPDX-License-Identifier: MIT
"""What QEMU boots: the kernel, an initramfs of root and modules, and the keys to get in."""

from dataclasses import dataclass
from pathlib import Path

from . import cache, cpio, kerneldriver, rootfs
from . import kernel as kernels
from .board import Board
from .error import run

INDEXES = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


@dataclass(frozen=True)
class Image:
    """A bootable image in the cache."""

    tree: Path
    kernel: kernels.Kernel

    @property
    def initrd(self) -> Path:
        """The initramfs: the root, the kernel modules in use, and the board's own keys."""
        return self.tree / "initrd.cpio"

    @property
    def key(self) -> Path:
        """The private key that opens root's door on this image."""
        return self.tree / "key"


def make(board: Board) -> Image:
    """Return the board's image from the cache, made first when it is missing."""
    kernel = kernels.make(board)
    root = rootfs.make(board)
    drivers = kerneldriver.make(board, kernel, kernel.lacks(board.kernel.modules))
    inputs = {
        "kernel": kernel.tree.name,
        "root": root.name,
        "modules": board.kernel.modules,
        "drivers": [path.parent.name for path in drivers.files],
        "load": board.kernel.load,
        "console": board.qemu.console,
        "sources": cache.sources("image.py", "cpio.py"),
    }
    tree = cache.entry(
        f"image-{board.name}", inputs, lambda path: _fill(board, kernel, drivers, root, path)
    )
    return Image(tree, kernel)


def _fill(
    board: Board, kernel: kernels.Kernel, drivers: kerneldriver.Drivers, root: Path, into: Path
) -> None:
    with cpio.Archive(into / "rest.cpio") as rest:
        _modules(board, kernel, drivers, rest, into / "modules")
        _names(board, rest)
        _keys(rest, into)
    with (into / "initrd.cpio").open("wb") as initrd:
        initrd.write((root / "root.cpio").read_bytes())
        initrd.write((into / "rest.cpio").read_bytes())
    (into / "rest.cpio").unlink()


def _modules(
    board: Board,
    kernel: kernels.Kernel,
    drivers: kerneldriver.Drivers,
    rest: cpio.Archive,
    scratch: Path,
) -> None:
    """Add the modules in use, and what the board's own depmod and modprobe read."""
    place = scratch / "lib/modules" / kernel.release
    own = set(board.kernel.modules) - set(kernel.lacks(board.kernel.modules))
    files = {name: kernel.modules / name for name in INDEXES}
    files |= {name: kernel.modules / name for name in kernel.closure(own | set(drivers.needs))}
    files |= {f"extra/{path.name}": path for path in drivers.files}
    for name, source in files.items():
        if source.exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(source.read_bytes())
    run(["depmod", "-b", scratch, kernel.release], doing="indexing the modules of the image")
    rest.tree(scratch)
    cache.remove(scratch)


def _names(board: Board, rest: cpio.Archive) -> None:
    """Name the board, the modules to be loaded early, and the console with a shell."""
    rest.file("etc/hostname", f"{board.name}\n".encode())
    rest.file("etc/modules-load.d/board.conf", "\n".join((*board.kernel.load, "")).encode())
    console = f"board-console@{board.qemu.console}.service"
    wants = "etc/systemd/system/multi-user.target.wants"
    rest.link(f"{wants}/{console}", "/etc/systemd/system/board-console@.service")


def _keys(rest: cpio.Archive, into: Path) -> None:
    """Add a host key, so that booting makes none, and let the image's own key in as root."""
    for name, comment in (("host", "board"), ("key", "cm-agent tests")):
        run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", into / name],
            doing="making an ssh key",
        )
    rest.file("etc/ssh/ssh_host_ed25519_key", (into / "host").read_bytes(), 0o600)
    rest.directory("root/.ssh", 0o700)
    rest.file("root/.ssh/authorized_keys", (into / "key.pub").read_bytes(), 0o600)
