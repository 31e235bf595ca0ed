# SPDX-License-Identifier: MIT
"""Packages of any Debian suite and architecture, without touching the host's own apt.

An apt root of our own (sources, lists, an empty dpkg status) lives in the cache; packages are
resolved and downloaded in it, then unpacked by their callers. Nothing is ever installed.
"""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_root, lock
from .error import BoardError, run
from .progress import say, step

MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HOST = "amd64"
FRESH_SECONDS = 1800
# A mirror's copies of one suite under its two names are not always of the same hour: when the lists
# under one name do not fit together, those under the other may.
OTHER_NAMES = {
    "bullseye": "oldoldstable",
    "bookworm": "oldstable",
    "trixie": "stable",
    "forky": "testing",
}

# Check-Valid-Until: testing's lists expire within days, and mirrors may be older than that.
# Their signatures are checked all the same.
CONFIG = """\
Dir "{root}/";
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Cache::archives "{archives}";
Dir::Etc "{root}/etc";
Dir::Etc::trusted "{keyring}";
APT::Architecture "{architectures[0]}";
#clear APT::Architectures;
APT::Architectures {{{listed}}};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::Check-Valid-Until "false";
#clear DPkg::Post-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


@dataclass(frozen=True)
class Archive:
    """One suite for one or more architectures; the first is the one packages default to."""

    suite: str
    architectures: tuple[str, ...]

    @property
    def root(self) -> Path:
        """The apt root: its lists are shared by all builders and refreshed when old."""
        return cache_root() / f"apt-{self.suite}-{'-'.join(self.architectures)}"

    def download(self, packages: Sequence[str], into: Path) -> list[Path]:
        """Download these packages and all they depend on into an empty directory."""
        config = self._config(into)
        self._refresh(config)
        self._apt(
            config,
            ["install", "--download-only", "--assume-yes", "--quiet", *packages],
            f"downloading {len(packages)} packages of {self.suite} and their dependencies",
        )
        config.unlink()
        return sorted(into.glob("*.deb"))

    def download_only(self, packages: Sequence[str], into: Path) -> list[Path]:
        """Download just these packages into a directory, without what they depend on."""
        config = self._config(into)
        self._refresh(config)
        self._apt(config, ["download", "--quiet", *packages], f"downloading {packages[0]}", into)
        config.unlink()
        return sorted(into.glob("*.deb"))

    def dependencies(self, package: str, into: Path) -> list[str]:
        """Return the names of the packages that a package depends on, first choices only."""
        config = self._config(into)
        self._refresh(config)
        text = run(
            ["apt-cache", "depends", "--important", package],
            doing=f"asking what {package} depends on",
            env={**os.environ, "APT_CONFIG": str(config)},
        )
        config.unlink()
        lines = [line.strip() for line in text.splitlines()]
        return [line.split()[1] for line in lines if line.startswith("Depends:")]

    def closure(self, packages: Sequence[str], into: Path) -> list[str]:
        """Return the names of these packages and of all that would be installed with them."""
        config = self._config(into)
        self._refresh(config)
        doing = f"looking for what {packages[-1]} depends on"
        text = self._apt(config, ["install", "--simulate", "--quiet", *packages], doing)
        config.unlink()
        return [line.split()[1] for line in text.splitlines() if line.startswith("Inst ")]

    def _config(self, archives: Path) -> Path:
        """Write the apt configuration for one use of this root, beside the packages."""
        for part in ("state/lists/partial", "cache", "etc/preferences.d", "etc/apt.conf.d"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        if not self._sources.exists():
            self._write_sources(self.suite)
        config = archives / "apt.conf"
        config.write_text(
            CONFIG.format(
                root=self.root,
                archives=archives,
                keyring=KEYRING,
                architectures=self.architectures,
                listed=" ".join(f'"{name}";' for name in self.architectures),
            )
        )
        return config

    def _refresh(self, config: Path) -> None:
        """Fetch the package lists unless they were fetched a short time ago."""
        stamp = self.root / "fetched"
        with lock(self.root.name):
            if stamp.exists() and time.time() - stamp.stat().st_mtime < FRESH_SECONDS:
                return
            with step(f"fetching the package lists of {self.suite}"):
                self._update(config)
            stamp.touch()

    def _update(self, config: Path) -> None:
        """Fetch the lists by the suite's name or, if that fails, by its other one."""
        doing = f"fetching {self.suite}'s lists"
        self._write_sources(self.suite)
        try:
            self._apt(config, ["update", "--quiet"], doing)
        except BoardError as error:
            name = OTHER_NAMES.get(self.suite)
            if name is None:
                raise
            say(f"the lists of {self.suite} do not fit together; trying those of {name}")
            self._write_sources(name)
            try:
                self._apt(config, ["update", "--quiet"], doing)
                self._check_release(name)
            except BoardError:
                self._write_sources(self.suite)
                raise error from None

    def _check_release(self, name: str) -> None:
        """Raise when a name has come to mean another release."""
        lists = [*(self.root / "state/lists").glob(f"*_dists_{name}_InRelease")]
        if not any(f"\nCodename: {self.suite}\n" in path.read_text() for path in lists):
            raise BoardError(f"{name} is not {self.suite} any more")

    @property
    def _sources(self) -> Path:
        return self.root / "etc/sources.list"

    def _write_sources(self, name: str) -> None:
        signed = f"signed-by={KEYRING} " if Path(KEYRING).exists() else ""
        self._sources.write_text(
            f"deb [{signed}arch={','.join(self.architectures)}] {MIRROR} {name} main\n"
        )

    def _apt(self, config: Path, words: list[str], doing: str, cwd: Path | None = None) -> str:
        environment = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}
        return run(["apt-get", *words], doing=doing, env=environment, cwd=cwd)


def unpack(debs: Iterable[Path], into: Path) -> None:
    """Unpack packages over each other into a directory; none of their scripts is run."""
    into.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        run(["dpkg-deb", "-x", deb, into], doing=f"unpacking {deb.name}")
