# SPDX-License-Identifier: MIT
"""What a board is: `tests/boards/<machine>/board.toml`, upon what `root.toml` says of all.

A machine is booted with its own release's kernel, under its own name, and with the kernels of
other releases, as `<machine>-<release>`: only the kernel differs then, and the module, which is
built by that release's compiler.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .error import BoardError

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent


@dataclass(frozen=True)
class Kernel:
    """The board's kernel packages, the modules its image carries, and its command line."""

    suite: str
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
    """One emulated board: a machine with a kernel. `suite` is the root's."""

    name: str
    machine: str
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
    return sorted(_kernels())


def read(name: str) -> Board:
    """Read a board's description by its name."""
    if name not in _kernels():
        raise BoardError(f"no board {name!r}; there are: {', '.join(names())}")
    machine, suite = _kernels()[name]
    path = HERE / machine / "board.toml"
    table = tomllib.loads(path.read_text())
    del table["kernels"]
    try:
        return Board(
            name=name,
            machine=machine,
            kernel=Kernel(suite=suite, **_frozen(table.pop("kernel"))),
            root=Root(**_frozen(_root() | table.pop("root", {}))),
            qemu=Qemu(**_frozen(table.pop("qemu"))),
            **_frozen(table),
        )
    except (KeyError, TypeError) as error:
        raise BoardError(f"{path}: {error}") from error


@cache
def _kernels() -> dict[str, tuple[str, str]]:
    """Return each board's machine and the release that its kernel is from."""
    boards = {}
    for path in HERE.glob("*/board.toml"):
        machine, table = path.parent.name, tomllib.loads(path.read_text())
        boards[machine] = (machine, table["suite"])
        boards |= {f"{machine}-{suite}": (machine, suite) for suite in table["kernels"]}
    return boards


def _root() -> dict[str, list[str]]:
    """Return what the roots of all boards have in common."""
    return tomllib.loads((HERE / "root.toml").read_text())


def _frozen(table: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
