# SPDX-License-Identifier: MIT
"""The module built, installed and removed by DKMS, as on a board: in a clean arm64 tree.

The tree's own dkms, make and gcc do the work, under an emulator (see `foreign`).
"""

import re
import shutil
import time
from collections.abc import Sequence

from . import board as descriptions
from . import cache, foreign, module
from .board import PROJECT
from .error import BoardError
from .foreign import Root
from .progress import say

BOARD = "arm64-virt"
PLACE = PROJECT / "build/dkms"
# A kernel that is too old, to see it refused, and what dkms ends with then.
TOO_OLD = "5.4.0-1-arm64"
EXCLUDED = 77


def test() -> None:
    """Add, build, install and remove the module; raise when anything is not as it should be."""
    board = descriptions.read(BOARD)
    version = module.version()
    with cache.lock(f"dkms-{cache.digest({'place': PLACE})}"):
        root = foreign.make(board, ["dkms"], PLACE)
        sources = root.changes / "usr/src" / f"cm-{version}"
        shutil.copytree(module.SOURCES, sources, ignore=module.LITTER)
        _install(root, version)
        _remove(root, version)
        cache.remove(sources)
        _expect(root.left(), [], "files that stay behind")
        say("nothing stays behind")
        cache.remove(PLACE)


def _install(root: Root, version: str) -> None:
    name, kernel = f"cm/{version}", ("-k", root.release)
    installed = f"{name}, {root.release}, aarch64: installed"
    _dkms(root, "add", name)
    _refuse_old(root, name)
    _dkms(root, "build", name, *kernel)
    _dkms(root, "install", name, *kernel)
    _expect(root.run("dkms", "status"), installed, "dkms status")
    _show(root, version)
    # What is done when a kernel is installed: it must find the module by itself.
    _dkms(root, "uninstall", name, *kernel)
    _dkms(root, "autoinstall", *kernel)
    _expect(root.run("dkms", "status"), installed, "dkms status after autoinstall")


def _refuse_old(root: Root, name: str) -> None:
    headers = f"/usr/src/linux-headers-{root.release}"
    command = f"dkms build {name} -k {TOO_OLD} --kernelsourcedir {headers}; echo ended with $?"
    said = root.run("sh", "-c", command).splitlines()
    _expect(said[-1], f"ended with {EXCLUDED}", f"dkms build for {TOO_OLD}")
    say(f"dkms build for {TOO_OLD}: passed over")


def _show(root: Root, version: str) -> None:
    """Print what is installed, after a look whether it is the module for this kernel."""
    said = root.run("modinfo", "-k", root.release, "cm")
    fields = dict(re.findall(r"^(\w+):\s+(.*)$", said, re.MULTILINE))
    beginning = f"/lib/modules/{root.release}/updates/dkms/cm.ko"
    _expect(fields["filename"][: len(beginning)], beginning, "modinfo's file")
    _expect(fields["version"], version, "modinfo's version")
    _expect(fields["vermagic"].split()[0], root.release, "modinfo's kernel")
    print(root.run("dkms", "status"))
    print(said, flush=True)


def _remove(root: Root, version: str) -> None:
    _dkms(root, "remove", f"cm/{version}", "--all")
    _expect(root.run("dkms", "status"), "", "dkms status after all is removed")


def _dkms(root: Root, *words: str) -> None:
    began = time.monotonic()
    root.run("dkms", *words)
    say(f"dkms {' '.join(words)}: done in {time.monotonic() - began:.1f} s")


def _expect(found: Sequence[str], wanted: Sequence[str], what: str) -> None:
    if found != wanted:
        raise BoardError(f"{what}: {found!r}, expected {wanted!r}")
