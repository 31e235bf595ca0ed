# SPDX-License-Identifier: MIT
"""A content-addressed cache: an entry is named by what it is made from.

An entry is a directory made in a temporary place and renamed when it is whole, under a lock, so
that neither an interrupted builder nor two at once can leave half an entry behind.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .progress import say, step

HERE = Path(__file__).parent
UNUSED_DAYS = 14


def cache_root() -> Path:
    """Return the cache's directory: $CM_CACHE, else the XDG cache's `cm-agent`."""
    chosen = os.environ.get("CM_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "cm-agent"


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the cache-wide lock of this name; say so when another process holds it."""
    path = cache_root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {name}, which is being made")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sources(*names: str) -> dict[str, str]:
    """Return the digests of this package's files, to be part of an entry's inputs."""
    return {name: hashlib.sha256((HERE / name).read_bytes()).hexdigest() for name in names}


def digest(inputs: Mapping[str, object]) -> str:
    """Return the short digest that names an entry made from these inputs."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def entry(noun: str, inputs: Mapping[str, object], make: Callable[[Path], None]) -> Path:
    """Return the entry made from these inputs; make it first when it is missing.

    `make` fills the empty directory it is given, whose path is not the final one.
    """
    name = f"{noun}-{digest(inputs)}"
    path = cache_root() / name
    if _in_use(path):
        return path
    with lock(name):
        if _in_use(path):
            return path
        partial = path.with_name(f"{name}.partial")
        remove(partial)
        partial.mkdir(parents=True)
        with step(f"making {noun}"):
            make(partial)
        (partial / "inputs.json").write_text(json.dumps(inputs, indent=1, default=str) + "\n")
        partial.rename(path)
        path.touch()
        _forget_unused(noun)
    return path


def _in_use(path: Path) -> bool:
    """Tell whether there is such an entry, and note that it is in use."""
    if not path.is_dir():
        return False
    path.touch()
    return True


def _forget_unused(noun: str) -> None:
    """Remove the noun's entries that nobody has used for a long time."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for path in cache_root().glob(f"{noun}-*"):
        if path.stat().st_mtime < oldest:
            remove(path)


def remove(path: Path) -> None:
    """Remove a tree, read-only directories included; no error when there is none."""
    if path.is_dir():
        for directory, _, _ in os.walk(path):
            os.chmod(directory, 0o755)
        shutil.rmtree(path)
