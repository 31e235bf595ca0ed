# SPDX-License-Identifier: MIT
"""The device trees that Debian's kernels bring, without the kernels."""

import shutil
from pathlib import Path

from . import cache
from .apt import Archive, unpack
from .error import BoardError
from .progress import step

SUITE = "trixie"
PACKAGES = {"arm64": "linux-image-arm64", "armhf": "linux-image-armmp"}


def make(architecture: str) -> Path:
    """Return what is /usr/lib/linux-image-<release> on a board, fetched first when missing."""
    inputs = {
        "suite": SUITE,
        "package": PACKAGES[architecture],
        "sources": cache.sources("dtbs.py", "apt.py"),
    }
    noun = f"dtbs-{SUITE}-{architecture}"
    return cache.entry(noun, inputs, lambda path: _fill(architecture, path)) / "dtbs"


def _fill(architecture: str, into: Path) -> None:
    archive = Archive(SUITE, (architecture,))
    package = PACKAGES[architecture]
    debs, tree = into / "debs", into / "tree"
    images = [n for n in archive.dependencies(package, debs) if n.startswith("linux-image-")]
    with step(f"downloading {', '.join(images)}"):
        found = archive.download_only(images, debs)
    unpack(found, tree)
    folders = list((tree / "usr/lib").glob("linux-image-*"))
    if len(folders) != 1:
        raise BoardError(f"{package} of {SUITE} has device trees in {folders}: expected one place")
    shutil.move(folders[0], into / "dtbs")
    (into / "release").write_text(f"{folders[0].name.removeprefix('linux-image-')}\n")
    cache.remove(debs)
    cache.remove(tree)
