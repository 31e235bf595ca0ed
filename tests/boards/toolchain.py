# SPDX-License-Identifier: MIT
"""The suite's own compilers, in a small amd64 tree that programs are run in by chroot.

A kernel module must be built by the compiler its kernel was built with, and installing foreign
headers on the host would replace the host's gcc: so neither touches the host.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .apt import HOST, Archive, unpack
from .board import PROJECT
from .error import run
from .progress import step

PACKAGES = (
    "bash", "coreutils", "dash", "diffutils", "findutils", "gawk", "gcc", "gcc-aarch64-linux-gnu",
    "gcc-arm-linux-gnueabihf", "grep", "gzip", "kmod", "libc6-dev", "libc6-dev-arm64-cross",
    "libc6-dev-armhf-cross", "make", "perl", "sed", "xz-utils",
)  # fmt: skip
# What the kernel's build programs are linked with and run, which changes its name at times.
LIBRARIES = {
    "bullseye": ("libelf1", "libssl1.1", "dwarves"),
    "bookworm": ("libelf1", "libssl3", "pahole"),
}
NEWER_LIBRARIES = ("libelf1t64", "libssl3t64", "pahole")
COMPILERS = {
    "amd64": "x86_64-linux-gnu-gcc",
    "arm64": "aarch64-linux-gnu-gcc",
    "armhf": "arm-linux-gnueabihf-gcc",
}
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
    "HOME": "/",
    "LC_ALL": "C",
    "DEB_BUILD_ARCH": HOST,
}
WITHOUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


@dataclass(frozen=True)
class Toolchain:
    """An unpacked tree of compilers. Synchronization: none needed; each run has its own mounts."""

    tree: Path

    def run(
        self,
        command: Sequence[str],
        *,
        doing: str,
        binds: dict[Path, str],
        directory: str,
        timeout: float = 600,
    ) -> str:
        """Run a command inside the tree with host files and directories bound at given places.

        So is the host's /dev/null: builds that run at once would read each other's refuse from
        an ordinary file, and kbuild compiles it to learn which options the compiler knows.
        """
        lines = ["set -e"]
        for source, place in {**binds, Path(os.devnull): os.devnull}.items():
            target = self.tree / place.lstrip("/")
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
            lines.append(f'mount --bind "{source}" "{self.tree}{place}"')
        lines.append(f'exec chroot "{self.tree}" /bin/sh -c \'cd "$0" && exec "$@" 2>&1\' "$@"')
        enter = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        return run(
            [*enter, "sh", "-c", "\n".join(lines), "sh", directory, *command],
            doing=doing,
            env=ENVIRONMENT,
            timeout=timeout,
        )

    def report(
        self, tool: str, command: Sequence[str], *, binds: dict[Path, str], directory: str
    ) -> list[str]:
        """Run a tool like `run` does; return the lines it prints, its failing as one more."""
        said = self.run(
            ["sh", "-c", '"$@" || echo "$0: ended with $?"', tool, *command],
            doing=f"running {tool}",
            binds=binds,
            directory=directory,
        )
        return said.splitlines()


def make(suite: str, more: Sequence[str] = ()) -> Toolchain:
    """Return the suite's toolchain from the cache, made first when it is missing.

    `more` names packages that it has on top.
    """
    packages = (*PACKAGES, *LIBRARIES.get(suite, NEWER_LIBRARIES), *more)
    inputs = {"suite": suite, "packages": packages, "sources": cache.sources("apt.py")}
    return Toolchain(
        cache.entry(f"toolchain-{suite}", inputs, lambda path: _fill(suite, packages, path))
    )


def compile(suite: str, architecture: str, words: Sequence[str]) -> str:
    """Run the suite's C compiler for an architecture, on files below the project or /tmp.

    Paths are the host's own, relative ones from the current directory.
    """
    here = Path.cwd()
    binds = {path: str(path) for path in {PROJECT, here, Path("/tmp")}}
    return make(suite).run(
        [COMPILERS[architecture], *words],
        doing=f"compiling for {architecture}",
        binds=binds,
        directory=str(here),
    )


def _fill(suite: str, packages: Sequence[str], into: Path) -> None:
    with step(f"downloading the compilers of {suite}"):
        debs = Archive(suite, (HOST,)).download(packages, into / "debs")
    with step(f"unpacking {len(debs)} packages of compilers"):
        unpack(debs, into)
    cache.remove(into / "debs")
    for place in WITHOUT:
        cache.remove(into / place)
    (into / "usr/bin/awk").symlink_to("gawk")
