# SPDX-License-Identifier: MIT
"""What is known of a board besides its device tree: dts/boards.toml, else a guess."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from boards.board import PROJECT
from boards.error import BoardError

from .span import Span
from .tree import Tree, number

OVERLAYS = PROJECT / "dts"
TABLE = OVERLAYS / "boards.toml"
MIB = 1 << 20
# What most boot loaders keep to, that the kernel finds all of it in its first mapping.
GUESS = 256 * MIB


@dataclass(frozen=True)
class Taken:
    """A place that no bank may have, because something lies there at boot; `by` is the reason."""

    span: Span
    by: str


@dataclass(frozen=True)
class Board:
    """An entry of the table. `ram` is None where the tree can be believed."""

    name: str
    compatible: str
    architecture: str
    taken: tuple[Taken, ...]
    dtbs: tuple[str, ...] = ()
    emulated: str = ""
    placeholder: tuple[Span, ...] = ()
    ram: tuple[Span, ...] | None = None


@dataclass(frozen=True)
class Memory:
    """A board's RAM as it will be, what is taken of it, and the source of that (for people)."""

    ram: tuple[Span, ...]
    taken: tuple[Taken, ...]
    source: str = field(compare=False)

    @property
    def size(self) -> int:
        """Bytes of RAM."""
        return sum(span.size for span in self.ram)


@cache
def table() -> dict[str, Board]:
    """Return the boards that are known, by the names of their overlays."""
    try:
        return {name: _board(name, it) for name, it in tomllib.loads(TABLE.read_text()).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise BoardError(f"{TABLE}: {error}") from error


def find(tree: Tree) -> Board | None:
    """Return the entry of a tree's board."""
    kinds = tree.root.strings("compatible")
    for board in table().values():
        if board.compatible in kinds and board.architecture == tree.architecture:
            return board
    return None


def memory(tree: Tree) -> Memory:
    """Return a board's memory; raise when neither the tree nor the table tells how much it has."""
    board = find(tree)
    ram = tuple(tree.memory)
    if board:
        source = f"{TABLE.relative_to(PROJECT)}, [{board.name}]"
        if board.ram is not None and ram == board.placeholder:
            ram = board.ram
    else:
        source = f"a guess: {TABLE.relative_to(PROJECT)} does not know this board"
    if not ram:
        raise BoardError(
            f"the tree of {tree.model} has no RAM: the boot loader fills it in. Take the tree that "
            "the board has booted with, its file /sys/firmware/fdt"
        )
    taken = board.taken if board else (Taken(Span(ram[0].start, GUESS), "most boot loaders"),)
    return Memory(ram, (*taken, *_initramfs(tree)), source)


def _initramfs(tree: Tree) -> list[Taken]:
    """Return where the initramfs was when the board booted with this tree, if it did."""
    chosen = tree.root.children.get("chosen", tree.root)
    start, end = (number(chosen, f"linux,initrd-{which}") for which in ("start", "end"))
    if start is None or end is None:
        return []
    return [Taken(Span(start, end - start), "the initramfs of the boot this tree is from")]


def _board(name: str, entry: dict[str, Any]) -> Board:
    taken = tuple(Taken(Span(*it["range"]), it["by"]) for it in entry.pop("taken"))
    for key in ("placeholder", "ram"):
        if key in entry:
            entry[key] = tuple(Span(*row) for row in entry[key])
    return Board(name=name, taken=taken, dtbs=tuple(entry.pop("dtbs", ())), **entry)
