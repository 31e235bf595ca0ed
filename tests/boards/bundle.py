# SPDX-License-Identifier: MIT
"""Packages that a few tests want on a board, in an archive to be unpacked there.

GStreamer's good plugins pull in half a desktop; of that the board gets what its V4L2 elements need.
So do libcamera's tools; of these it gets `lc-compliance`, which draws nothing.
"""

import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from . import cache
from .apt import Archive, unpack
from .board import Board
from .error import run
from .packages import place_alternatives
from .progress import step

GSTREAMER = (
    "gir1.2-girepository-2.0", "gir1.2-glib-2.0", "gir1.2-gst-plugins-base-1.0",
    "gir1.2-gstreamer-1.0", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good",
    "libatomic1", "libdrm2", "libgirepository-1.0-1", "libglib2.0-0t64",
    "libgstreamer-plugins-base1.0-0", "libgstreamer1.0-0", "libgudev-1.0-0", "libjpeg62-turbo",
    "liborc-0.4-0t64", "libpcre2-8-0", "libv4l-0t64", "libv4lconvert0t64", "python3-gi",
)  # fmt: skip
PLUGINS = (
    "libgstapp.so", "libgstcoreelements.so", "libgstmultifile.so", "libgstvideo4linux2.so",
    "libgstjpeg.so", "libgstvideoconvertscale.so", "libgstvideorate.so",
)  # fmt: skip
LIBCAMERA = (
    "libbz2-1.0", "libcamera-tools", "libcamera0.4", "libdw1t64", "libelf1t64",
    "libevent-2.1-7t64", "libevent-core-2.1-7t64", "libevent-pthreads-2.1-7t64", "libffi8",
    "libgcc-s1", "libgmp10",
    "libgnutls30t64", "libhogweed6t64", "libidn2-0", "libjpeg62-turbo", "liblttng-ust-common1t64",
    "liblttng-ust1t64", "libnettle8t64", "libnuma1", "libp11-kit0", "libstdc++6", "libtasn1-6",
    "libunistring5", "libyaml-0-2", "libyuv0",
)  # fmt: skip
NUMPY = ("libblas3", "libgcc-s1", "libgfortran5", "liblapack3", "libstdc++6", "python3-numpy")
MACHINES = {"arm64": "aarch64"}
PLATFORMS = ("manylinux_2_28", "manylinux2014")
PYTHON = "3.13"
"""Of Debian 13; packages for it that keep to the stable ABI suit later ones."""
TOOLS = ("lc-compliance",)
ELSEWHERE = ("./usr/share", "./etc", "./var")

Filter = Callable[[tarfile.TarInfo], tarfile.TarInfo | None]


def gstreamer(board: Board) -> Path:
    """Return an archive of GStreamer with its core, the V4L2 elements and what `PLUGINS` names."""
    return _make(board, "gstreamer", GSTREAMER, _used_of_gstreamer)


def libcamera(board: Board) -> Path:
    """Return an archive of libcamera with lc-compliance."""
    return _make(board, "libcamera", LIBCAMERA, _used_of_libcamera)


def numpy(board: Board) -> Path:
    """Return an archive of NumPy."""
    return _make(board, "numpy", NUMPY, _used_of_numpy)


def wheels(board: Board, *names: str) -> Path:
    """Return an archive of packages from PyPI that have all they need but NumPy in them.

    To be unpacked into a folder of Python's path.
    """
    inputs = {"machine": board.machine, "names": names, "sources": cache.sources("bundle.py")}

    def fill(into: Path) -> None:
        with step(f"fetching {' and '.join(names)} for {board.architecture} from PyPI"):
            platforms = [f"--platform={it}_{MACHINES[board.architecture]}" for it in PLATFORMS]
            words = ["--only-binary=:all:", "--no-deps", f"--python-version={PYTHON}", *platforms]
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", *words]
            run([*pip, "--target", into / "tree", *names], doing="fetching packages from PyPI")
        with tarfile.open(into / "wheels.tar.gz", "w:gz", compresslevel=1) as packed:
            packed.add(into / "tree", ".", filter=_used_of_wheels)
        cache.remove(into / "tree")

    return cache.entry(f"wheels-{board.machine}", inputs, fill) / "wheels.tar.gz"


def _make(board: Board, name: str, packages: Sequence[str], used: Filter) -> Path:
    inputs = {
        "suite": board.suite,
        "architecture": board.architecture,
        "packages": packages,
        "sources": cache.sources("bundle.py", "apt.py"),
    }
    archive = f"{name}.tar.gz"

    def fill(into: Path) -> None:
        with step(f"downloading {len(packages)} packages for {name} ({board.architecture})"):
            source = Archive(board.suite, (board.architecture,))
            debs = source.download_only(packages, into / "debs")
        with step(f"packing what is used of {len(debs)} packages"):
            unpack(debs, into / "tree")
            with tarfile.open(into / archive, "w:gz", compresslevel=1) as packed:
                packed.add(into / "tree", ".", filter=used)
        cache.remove(into / "debs")
        cache.remove(into / "tree")

    return cache.entry(f"{name}-{board.machine}", inputs, fill) / archive


def _used_of_gstreamer(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is not a program, and the plugins that would lack libraries."""
    path = Path(member.name)
    if member.name.startswith(ELSEWHERE):
        return None
    if path.parent.name == "gstreamer-1.0" and path.name.startswith("libgst"):
        return member if path.name in PLUGINS else None
    return member


def _used_of_libcamera(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is not a program, and the tools that would lack libraries."""
    path = Path(member.name)
    if member.name.startswith(ELSEWHERE) or path.parts[:2] == ("usr", "libexec"):
        return None
    return member if path.parent.name != "bin" or path.name in TOOLS else None


def _used_of_numpy(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out tests and documents; put the libraries where Debian's alternatives have them."""
    if member.name.startswith(ELSEWHERE) or "tests" in Path(member.name).parts:
        return None
    return place_alternatives(member)


def _used_of_wheels(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what only compilers and checkers of types read."""
    return None if member.name.endswith((".pyi", ".pyx", ".pxd", ".h", ".xml")) else member
