# SPDX-License-Identifier: MIT
"""What a board is: `tests/boards/<machine>/board.toml`, upon what `root.toml` says of all.

A machine is booted with its own release's kernel, under its own name, and with the kernels of
other releases, as `<machine>-<release>`: only the kernel differs then, and the module, which is
built by that release's compiler. The same goes for the other kernels that Debian's release has for
the machine, `[flavour.<name>]`, and for the kernels of our own making, `[own.<name>]`: these may
want more memory, another CPU and more time.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .error import BoardError

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent


@dataclass(frozen=True)
class Kernel:
    """The board's kernel packages, the modules its image carries, and its command line.

    `own` names a kernel that tests/kernels/recipe.py makes instead of the packages.
    """

    suite: str
    own: str
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
    """The emulated machine; `forward` names board ports that get a port on the host.

    `nic` is the model of the network card that the machine is built with; one that has none gets
    a card by `devices`, with `netdev=net`. `disk` says in the words of `-drive` where an empty disk
    is attached; `fw_cfg` names the item of that device that has a file of the host.
    """

    system: str
    machine: str
    cpu: str
    cpus: int
    memory_mib: int
    console: str
    devices: tuple[str, ...]
    forward: dict[str, int]
    nic: str = ""
    disk: str = ""
    fw_cfg: str = ""


@dataclass(frozen=True)
class Board:
    """One emulated board: a machine with a kernel. `suite` is the root's.

    It boots with Debian's device tree `tree`, or with the one that QEMU makes if that is empty.

    `patience` says how many times longer things may take than with Debian's kernel; `features` are
    what it has, in the words of the tests' marker `lg_feature`.
    """

    name: str
    machine: str
    suite: str
    architecture: str
    kernel_arch: str
    cross: str
    overlays: tuple[str, ...]
    patience: int
    features: tuple[str, ...]
    kernel: Kernel
    root: Root
    qemu: Qemu
    tree: str = ""


def names() -> list[str]:
    """Return the names of the boards there are."""
    return sorted(_kernels())


def read(name: str) -> Board:
    """Read a board's description by its name."""
    if name not in _kernels():
        raise BoardError(f"no board {name!r}; there are: {', '.join(names())}")
    machine, suite, variant = _kernels()[name]
    path = HERE / machine / "board.toml"
    table = tomllib.loads(path.read_text())
    del table["kernels"]
    own, flavours = table.pop("own", {}), table.pop("flavour", {})
    differs = (flavours | own).get(variant, {})
    lacks = table.pop("lacks", {})
    missing = {*lacks.get(suite, []), *lacks.get(variant, [])}
    kernel = table.pop("kernel") | differs.pop("kernel", {})
    kernel["modules"] = [name for name in kernel["modules"] if name not in missing]
    try:
        return Board(
            name=name,
            machine=machine,
            patience=differs.pop("patience", 1),
            features=tuple(
                name
                for name in [*table.pop("features"), *differs.pop("features", [])]
                if name not in missing
            ),
            kernel=Kernel(suite=suite, own=variant if variant in own else "", **_frozen(kernel)),
            root=Root(**_frozen(_root() | table.pop("root", {}))),
            qemu=Qemu(**_frozen(table.pop("qemu") | differs.pop("qemu", {}))),
            **_frozen(table | differs),
        )
    except (KeyError, TypeError) as error:
        raise BoardError(f"{path}: {error}") from error


@cache
def _kernels() -> dict[str, tuple[str, str, str]]:
    """Return each board's machine, its kernel's release, and that kernel's name if it has one."""
    boards = {}
    for path in HERE.glob("*/board.toml"):
        machine, table = path.parent.name, tomllib.loads(path.read_text())
        boards[machine] = (machine, table["suite"], "")
        boards |= {f"{machine}-{suite}": (machine, suite, "") for suite in table["kernels"]}
        named = [*table.get("flavour", {}), *table.get("own", {})]
        boards |= {f"{machine}-{name}": (machine, table["suite"], name) for name in named}
    return boards


def _root() -> dict[str, list[str]]:
    """Return what the roots of all boards have in common."""
    return tomllib.loads((HERE / "root.toml").read_text())


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
