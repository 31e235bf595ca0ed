# SPDX-License-Identifier: MIT
"""What this machine must have: programs from apt packages, and the virtual environment."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from . import cache
from .apt import HOST, Archive, unpack
from .board import PROJECT
from .error import PATH, BoardError, run
from .progress import step

PROGRAMS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "fdtoverlay": "device-tree-compiler",
    "dtc": "device-tree-compiler",
    "depmod": "kmod",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "gcc": "gcc",
    "make": "make",
    "pkg-config": "pkgconf",
}
OLDEST_PYTHON = (3, 11)
ENVIRONMENT = PROJECT / "build/venv"
EXTRAS = ("test", "bench", "docs")


def programs() -> None:
    """Install the apt packages of the programs that are missing; nothing when none is."""
    if sys.version_info < OLDEST_PYTHON:
        raise BoardError(
            f"Python {sys.version.split()[0]} is too old, 3.11 is needed; "
            "name a newer one: make PYTHON=python3.12 ..."
        )
    missing = {pkg for name, pkg in PROGRAMS.items() if shutil.which(name, path=PATH) is None}
    if _lacks_venv():
        missing.add("python3-venv")
    if missing:
        _apt_install(sorted(missing))


def environment() -> Path:
    """Return the virtual environment's Python; make it or bring it up to date first.

    What comes from PyPI is kept in the cache, for every clone; build/venv refers to it and has
    the project itself in development form.
    """
    python = ENVIRONMENT / "bin/python"
    wanted = _requirements()
    packages = cache.entry(
        "python",
        {"requirements": wanted, "python": sys.version},
        lambda path: _fetch(wanted, path),
    )
    stamp = ENVIRONMENT / "made-from"
    made_from = f"{packages} {sys.version} {PROJECT}"
    with cache.lock(f"venv-{cache.digest({'place': ENVIRONMENT})}"):
        if stamp.exists() and stamp.read_text() == made_from:
            run([python, PROJECT / "agent/generate_abi.py"], doing="generating the ABI's binding")
            return python
        with step("making the Python environment build/venv"):
            venv = [sys.executable, "-m", "venv", "--clear", "--without-pip"]
            run([*venv, ENVIRONMENT], doing="making build/venv")
            (site,) = ENVIRONMENT.glob("lib/python*/site-packages")
            (site / "cached.pth").write_text(f"{packages / 'site'}\n")
            pip = [python, "-m", "pip", "install", "--quiet"]
            run(
                [*pip, "--no-deps", "--no-build-isolation", "--editable", PROJECT],
                doing="installing the project in development form",
                env=dict(os.environ),
            )
        stamp.write_text(made_from)
    return python


def _requirements() -> list[str]:
    """Return what pyproject.toml asks for: to build, to run, and by EXTRAS."""
    described = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    project = described["project"]
    return [
        *described["build-system"]["requires"],
        *project["dependencies"],
        *(it for extra in EXTRAS for it in project["optional-dependencies"][extra]),
        "pip",
    ]


def _fetch(requirements: list[str], into: Path) -> None:
    """Install packages from PyPI into the directory `site`, by a pip that is thrown away."""
    with step("fetching the project's Python dependencies from PyPI"):
        run([sys.executable, "-m", "venv", into / "pip"], doing="making a virtual environment")
        pip = [into / "pip/bin/python", "-m", "pip", "install", "--quiet"]
        run(
            [*pip, "--target", into / "site", *requirements],
            doing="fetching the project's Python dependencies from PyPI",
            env=dict(os.environ),
        )
        cache.remove(into / "pip")


def promtool(suite: str = "bookworm") -> Path:
    """Return Prometheus' checker, unpacked into the cache: no service comes with it.

    Debian 13 packages Prometheus without it.
    """
    inputs = {"suite": suite, "sources": cache.sources("apt.py")}

    def fill(into: Path) -> None:
        with step("downloading promtool"):
            debs = Archive(suite, (HOST,)).download_only(["prometheus"], into / "debs")
        unpack(debs, into / "tree")
        shutil.move(into / "tree/usr/bin/promtool", into / "promtool")
        cache.remove(into / "debs")
        cache.remove(into / "tree")

    return cache.entry("promtool", inputs, fill) / "promtool"


def _lacks_venv() -> bool:
    checked = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True)
    return checked.returncode != 0


def _apt_install(packages: list[str]) -> None:
    """Install packages on this machine, through sudo unless we are root."""
    command = f"apt-get install {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise BoardError(
            f"this machine lacks what these Debian packages bring: {', '.join(packages)}; "
            "it has no apt-get, so please install their like by hand"
        )
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if sudo and subprocess.run([*sudo, "true"], capture_output=True).returncode != 0:
        raise BoardError(f"no right to install packages here; run as root: {command}")
    with step(f"installing {', '.join(packages)}"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run([*sudo, "apt-get", "update", "--quiet"], doing="apt-get update", env=environment)
        run(
            [*sudo, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages],
            doing=command,
            env=environment,
        )
