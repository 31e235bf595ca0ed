# SPDX-License-Identifier: MIT
"""Python bytecode for the board, compiled here by its own version of Python.

Unpacked packages bring no bytecode, and compiling it on an emulated board at every boot takes
longer than all the rest of the agent's start. Bytecode knows no machine, so the suite's amd64
interpreter makes it, run in place with its own loader and libraries.
"""

import os
from pathlib import Path

from . import cache
from .apt import HOST, Archive, unpack
from .error import BoardError, run
from .progress import step

PACKAGES = ("python3-minimal", "libpython3-stdlib")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = "usr/lib64/ld-linux-x86-64.so.2"


def add(suite: str, tree: Path) -> None:
    """Put beside every Python module below `tree` its bytecode for this suite's Python.

    The board trusts it unseen: `tree` is a board's root, or what will be copied over one.
    """
    home = _interpreter(suite)
    versions = sorted(path.name for path in (home / "usr/bin").glob("python3.[0-9]*"))
    if len(versions) != 1:
        raise BoardError(f"expected one Python in {home}/usr/bin, found {versions or 'none'}")
    run(
        [
            home / LOADER, "--library-path", home / LIBRARIES, home / "usr/bin" / versions[0],
            "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
            "-s", str(tree), "-p", "/", *sorted((tree / "usr/lib").glob("python3*")),
        ],
        doing="compiling the board's Python",
        env={**os.environ, "PYTHONHOME": str(home / "usr"), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def _interpreter(suite: str) -> Path:
    """Return the cache entry with the suite's Python for this machine."""
    inputs = {"suite": suite, "packages": PACKAGES, "sources": cache.sources("apt.py")}
    return cache.entry(f"interpreter-{suite}", inputs, lambda path: _fill(suite, path))


def _fill(suite: str, into: Path) -> None:
    with step(f"downloading the Python of {suite}"):
        unpack(Archive(suite, (HOST,)).download(PACKAGES, into / "debs"), into)
    cache.remove(into / "debs")
