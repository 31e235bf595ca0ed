# SPDX-License-Identifier: MIT
"""Packages that a few tests want on a board, in an archive to be unpacked there.

GStreamer's good plugins pull in half a desktop; of that the board gets what its V4L2 elements need.
"""

import tarfile
from pathlib import Path

from . import cache
from .apt import Archive, unpack
from .board import Board
from .progress import step

GSTREAMER = (
    "gir1.2-girepository-2.0", "gir1.2-glib-2.0", "gir1.2-gst-plugins-base-1.0",
    "gir1.2-gstreamer-1.0", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good",
    "libatomic1", "libdrm2", "libgirepository-1.0-1", "libglib2.0-0t64",
    "libgstreamer-plugins-base1.0-0", "libgstreamer1.0-0", "libgudev-1.0-0", "libjpeg62-turbo",
    "liborc-0.4-0t64", "libpcre2-8-0", "libv4l-0t64", "libv4lconvert0t64", "python3-gi",
)  # fmt: skip
PLUGINS = ("libgstapp.so", "libgstcoreelements.so", "libgstvideo4linux2.so")


def gstreamer(board: Board) -> Path:
    """Return an archive of GStreamer with appsrc, fakesink and the V4L2 elements."""
    inputs = {
        "suite": board.suite,
        "architecture": board.architecture,
        "packages": GSTREAMER,
        "sources": cache.sources("bundle.py", "apt.py"),
    }
    noun = f"gstreamer-{board.machine}"
    return cache.entry(noun, inputs, lambda path: _fill(board, path)) / "gstreamer.tar.gz"


def _fill(board: Board, into: Path) -> None:
    with step(f"downloading {len(GSTREAMER)} packages of GStreamer ({board.architecture})"):
        debs = Archive(board.suite, (board.architecture,)).download_only(GSTREAMER, into / "debs")
    with step(f"packing what is used of {len(debs)} packages"):
        unpack(debs, into / "tree")
        with tarfile.open(into / "gstreamer.tar.gz", "w:gz", compresslevel=1) as archive:
            archive.add(into / "tree", ".", filter=_used)
    cache.remove(into / "debs")
    cache.remove(into / "tree")


def _used(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is not a program, and the plugins that would lack libraries."""
    path = Path(member.name)
    if member.name.startswith(("./usr/share", "./etc", "./var")):
        return None
    if path.parent.name == "gstreamer-1.0" and path.name.startswith("libgst"):
        return member if path.name in PLUGINS else None
    return member
