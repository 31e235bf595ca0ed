# SPDX-License-Identifier: MIT
"""Python bytecode for the board, compiled here by its own version of Python.

Unpacked packages bring no bytecode, and compiling it on an emulated board at every boot takes
longer than all the rest of the agent's start. Bytecode knows no machine, so the suite's amd64
interpreter makes it, run in place with its own loader and libraries.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from .apt import HOST, Archive, unpack
from .error import BoardError, run

LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = "usr/lib64/ld-linux-x86-64.so.2"


def compiled(suite: str, debs: Iterable[Path], scratch: Path) -> list[tuple[str, bytes]]:
    """Return the name and content of the bytecode file of every module in these packages."""
    target = scratch / "target"
    unpack((deb for deb in debs if deb.name.startswith(("python3", "libpython3"))), target)
    interpreter = _interpreter(suite, target, scratch)
    library = target / "usr/lib"
    run(
        [
            *interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
            "-s", str(target), "-p", "/", *sorted(library.glob("python3*")),
        ],
        doing="compiling the board's Python",
        env={**os.environ, "PYTHONHOME": str(scratch / "host/usr"), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    files = sorted(library.rglob("*.pyc"))
    return [(str(path.relative_to(target)), path.read_bytes()) for path in files]


def _interpreter(suite: str, target: Path, scratch: Path) -> list[str | Path]:
    """Fetch the target's version of Python for this machine; return the words that start it."""
    versions = sorted(path.name for path in (target / "usr/bin").glob("python3.[0-9]*"))
    if not versions:
        raise BoardError(f"no Python among the packages of the {suite} root; see board.toml")
    packages = [f"{versions[0]}-minimal", f"lib{versions[0]}-stdlib"]
    host = scratch / "host"
    unpack(Archive(suite, (HOST,)).download(packages, scratch / "host-debs"), host)
    return [host / LOADER, "--library-path", host / LIBRARIES, host / "usr/bin" / versions[0]]
