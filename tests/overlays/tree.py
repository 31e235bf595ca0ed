# SPDX-License-Identifier: MIT
"""A device tree as it lies in a DTB, and what it says of memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import libfdt
from boards.error import BoardError

from .span import Span, joined

CELL = 4
# The cores of 32-bit boards, from the kernel's Documentation/devicetree/bindings/arm/cpus.yaml.
ARMV7 = re.compile(r"arm,cortex-a(5|7|8|9|12|15|17)|qcom,(krait|scorpion)|marvell,pj4[ab]?")


@dataclass(frozen=True)
class Node:
    """A node with its properties' bytes, and the nodes below it by their names."""

    path: str
    properties: Mapping[str, bytes]
    children: Mapping[str, Node]

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def enabled(self) -> bool:
        """Whether the kernel looks at it."""
        return self.strings("status") in ([], ["okay"], ["ok"])

    def has(self, name: str) -> bool:
        """Tell whether it has this property, whatever its value."""
        return name in self.properties

    def strings(self, name: str) -> list[str]:
        """Return a property's strings; none when it is missing."""
        text = self.properties.get(name, b"").decode(errors="replace")
        return text.removesuffix("\0").split("\0") if text else []

    def cells(self, name: str) -> list[int]:
        """Return a property's 32-bit numbers; none when it is missing."""
        data = self.properties.get(name, b"")
        return [int.from_bytes(data[at : at + CELL], "big") for at in range(0, len(data), CELL)]

    def walk(self) -> Iterator[Node]:
        """Yield it and every node below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()


@dataclass(frozen=True)
class Tree:
    """A whole device tree; `reserved` are the ranges of its /memreserve/ entries."""

    root: Node
    reserved: tuple[Span, ...]

    @property
    def model(self) -> str:
        """The board's name, for people."""
        return next(iter(self.root.strings("model")), "a board without a name")

    @property
    def architecture(self) -> str:
        """Debian's name of the architecture, armhf or arm64, by the first core's kind."""
        cpus = self.root.children.get("cpus", self.root)
        cores = [it for it in cpus.children.values() if it.strings("device_type") == ["cpu"]]
        old = any(ARMV7.fullmatch(kind) for core in cores for kind in core.strings("compatible"))
        return "armhf" if old else "arm64"

    @property
    def memory(self) -> list[Span]:
        """RAM, by the nodes that the boot loader may still fill in."""
        return joined(
            span
            for node in self.root.children.values()
            if node.strings("device_type") == ["memory"]
            for span in spans(node, "reg", self.root)
        )

    @property
    def reserved_memory(self) -> Node:
        """The node /reserved-memory, an empty one when there is none."""
        return self.root.children.get("reserved-memory", Node("/reserved-memory", {}, {}))

    def by_phandle(self, phandle: int) -> Node | None:
        """Return the node that others refer to by this number."""
        found = (it for it in self.root.walk() if it.cells("phandle") == [phandle])
        return next(found, None)


def widths(parent: Node) -> tuple[int, int]:
    """Return how many cells an address and a size have in a node's children."""
    (address,) = parent.cells("#address-cells") or [2]
    (size,) = parent.cells("#size-cells") or [1]
    return address, size


def spans(node: Node, name: str, parent: Node) -> list[Span]:
    """Return the ranges that a property lists, such as `reg`."""
    address, size = widths(parent)
    cells = node.cells(name)
    rows = [cells[at : at + address + size] for at in range(0, len(cells), address + size)]
    return [Span(_number(row[:address]), _number(row[address:])) for row in rows]


def number(node: Node, name: str) -> int | None:
    """Return the one number that all cells of a property make; None when it is missing."""
    return _number(node.cells(name)) if node.has(name) else None


def read(dtb: Path) -> Tree:
    """Read a DTB."""
    try:
        fdt = libfdt.FdtRo(dtb.read_bytes())
        entries = [fdt.get_mem_rsv(at) for at in range(fdt.num_mem_rsv())]
        return Tree(_node(fdt, 0, ""), tuple(Span(start, size) for start, size in entries))
    except (OSError, libfdt.FdtException) as error:
        raise BoardError(f"{dtb} is no device tree that can be read: {error}") from error


def _number(cells: list[int]) -> int:
    value = 0
    for cell in cells:
        value = value << 32 | cell
    return value


def _node(fdt: libfdt.FdtRo, offset: int, path: str) -> Node:
    properties = {}
    at = fdt.first_property_offset(offset, libfdt.QUIET_NOTFOUND)
    while at >= 0:
        it = fdt.get_property_by_offset(at)
        properties[it.name] = bytes(it)
        at = fdt.next_property_offset(at, libfdt.QUIET_NOTFOUND)
    children = {}
    at = fdt.first_subnode(offset, libfdt.QUIET_NOTFOUND)
    while at >= 0:
        name = fdt.get_name(at)
        children[name] = _node(fdt, at, f"{path}/{name}")
        at = fdt.next_subnode(at, libfdt.QUIET_NOTFOUND)
    return Node(path or "/", properties, children)
