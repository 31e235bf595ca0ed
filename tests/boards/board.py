# SPDX-License-Identifier: MIT
"""What a board is: the contents of `tests/boards/<name>/board.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .error import BoardError

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent


@dataclass(frozen=True)
class Kernel:
    """The board's kernel packages, the modules its image carries, and its command line."""

    package: str
    headers: str
    modules: tuple[str, ...]
    load: tuple[str, ...]
    command_line: str


@dataclass(frozen=True)
class Root:
    """The packages of the board's root, those left out of their closure, the masked units."""

    packages: tuple[str, ...]
    leave_out: tuple[str, ...]
    mask: tuple[str, ...]


@dataclass(frozen=True)
class Qemu:
    """The emulated machine; `forward` names board ports that get a port on the host."""

    system: str
    machine: str
    cpu: str
    cpus: int
    memory_mib: int
    console: str
    devices: tuple[str, ...]
    forward: dict[str, int]


@dataclass(frozen=True)
class Board:
    """One emulated board."""

    name: str
    suite: str
    architecture: str
    kernel_arch: str
    cross: str
    overlays: tuple[str, ...]
    kernel: Kernel
    root: Root
    qemu: Qemu


def names() -> list[str]:
    """Return the names of the boards there are."""
    return sorted(path.parent.name for path in HERE.glob("*/board.toml"))


def read(name: str) -> Board:
    """Read a board's description by its name."""
    path = HERE / name / "board.toml"
    if not path.is_file():
        raise BoardError(f"no board {name!r}; there are: {', '.join(names())}")
    table = tomllib.loads(path.read_text())
    try:
        return Board(
            name=name,
            kernel=Kernel(**_frozen(table.pop("kernel"))),
            root=Root(**_frozen(table.pop("root"))),
            qemu=Qemu(**_frozen(table.pop("qemu"))),
            **_frozen(table),
        )
    except (KeyError, TypeError) as error:
        raise BoardError(f"{path}: {error}") from error


def _frozen(table: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
