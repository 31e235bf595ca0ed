# SPDX-License-Identifier: MIT
"""Banks: children of /reserved-memory that contexts are made of, each judged by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from . import tree
from .board import Memory
from .kernel import MIB, PAGE, Kernel
from .reservation import Reservation
from .span import Span
from .tree import Node, Tree

POOL = "shared-dma-pool"
# Length of a DMA segment is an unsigned int: see BANK_MAX_BYTES in kmod/bank.c.
MOST = 2048 * MIB


@dataclass(frozen=True)
class Bank:
    """A bank with a place of its own."""

    node: Node
    span: Span

    @property
    def reusable(self) -> bool:
        """Whether the system uses it until somebody allocates."""
        return self.node.has("reusable")

    def __str__(self) -> str:
        return f"bank {self.node.name} ({self.span})"


def find(base: Tree, merged: Tree, contexts: Sequence[Node]) -> list[Node]:
    """Return the nodes below /reserved-memory that overlays made, and those that contexts name."""
    before = base.reserved_memory.children
    named = {phandle for it in contexts for phandle in it.cells("memory-region")}
    return [
        node
        for name, node in merged.reserved_memory.children.items()
        if before.get(name) != node or set(node.cells("phandle")) & named
    ]


def placed(nodes: Sequence[Node], merged: Tree) -> list[Bank]:
    """Return the banks that have a place."""
    parent = merged.reserved_memory
    banks = [(node, tree.spans(node, "reg", parent)) for node in nodes if node.enabled]
    return [Bank(node, ranges[0]) for node, ranges in banks if ranges and ranges[0].size]


def judge_parent(merged: Tree) -> Iterator[str]:
    """Say what is wrong with /reserved-memory, so that nothing in it is read as it is meant."""
    here = merged.reserved_memory
    for name in ("#address-cells", "#size-cells"):
        root, own = merged.root.cells(name), here.cells(name)
        if here.children and own != root:
            yield (
                f"/reserved-memory has {name} <{_words(own)}>, the root of the tree "
                f"<{_words(root)}>: they must be the same, or the kernel ignores all that is "
                "reserved; what is in it was not judged"
            )
    if here.children and not here.has("ranges"):
        yield "/reserved-memory has no ranges: add an empty property, or the kernel ignores it all"


def judge_node(node: Node, parent: Node) -> Iterator[str]:
    """Say what is wrong with a bank's properties."""
    who = f"bank {node.name}"
    ranges = tree.spans(node, "reg", parent)
    if not ranges:
        yield f"{who} has no reg: give it a fixed place, which others can be kept away from"
    elif len(ranges) > 1:
        yield f"{who} has {len(ranges)} ranges in its reg: a bank is one range"
    elif not ranges[0].size:
        yield f"{who} has a size of 0"
    elif (address := node.name.partition("@")[2]) != f"{ranges[0].start:x}":
        yield (
            f"{who} is at {ranges[0].start:#x}, and its name says {address or 'nothing of that'}: "
            f"call it {node.name.partition('@')[0]}@{ranges[0].start:x}"
        )
    if node.has("no-map") and node.has("reusable"):
        yield (
            f"{who} is no-map and reusable: memory that the kernel does not map cannot be lent to "
            "the system; take one of them away"
        )
    if node.has("reusable") and POOL not in node.strings("compatible"):
        yield f'{who} is reusable: its compatible must be "{POOL}", or the kernel ignores that'


def judge_place(bank: Bank, memory: Memory, kernel: Kernel) -> Iterator[str]:
    """Say what is wrong with where a bank lies."""
    start, size = bank.span
    block = kernel.block if bank.reusable else PAGE
    for what, value in (("base", start), ("size", size)):
        if value % block:
            yield (
                f"{bank}: its {what} {value:#x} is no multiple of {block:#x}, which Debian's "
                f"kernels ask of {'a reusable' if bank.reusable else 'every'} bank"
            )
    if size > MOST:
        yield f"{bank} has {size // MIB:,} MiB: the module takes at most {MOST // MIB:,} MiB"
    if not any(span.holds(bank.span) for span in memory.ram):
        ram = ", ".join(map(str, memory.ram))
        yield f"{bank} does not lie in the board's RAM ({ram})"
    for border, what in kernel.borders(memory.ram[0]).items():
        if start < border < bank.span.end:
            yield (
                f"{bank} reaches across {border:#x}, {what}: the kernel sets such a bank up and "
                "then does not use it"
            )
    for it in memory.taken:
        if bank.span.overlaps(it.span):
            yield (
                f"{bank} lies where kernel, initramfs or device tree may be at boot: {it.span}, "
                f"{it.by} ({memory.source})"
            )


def judge_neighbours(banks: Sequence[Bank], others: Sequence[Reservation]) -> Iterator[str]:
    """Say which banks overlap each other, or what the board reserves."""
    for one, other in combinations(banks, 2):
        if one.span.overlaps(other.span):
            yield f"{one} and {other} overlap"
    for one in banks:
        for it in others:
            if one.span.overlaps(it.span):
                yield f"{one} overlaps {it.span}, {it.by}"


def judge_sizes(banks: Sequence[Bank], memory: Memory, kernel: Kernel) -> Iterator[str]:
    """Say when banks leave too little for what the kernel cannot move."""
    first = memory.ram[0]
    areas = {"RAM": memory.ram}
    if kernel.low and kernel.low < memory.size:
        areas["low memory"] = (Span(first.start, kernel.low).common(first),)
    for where, area in areas.items():
        whole = sum(span.size for span in area)
        common = [one.span.common(span).size for one in banks for span in area]
        size = sum(it for it in common if it > 0)
        if size > whole // 2:
            yield (
                f"the banks take {size // MIB:,} of {whole // MIB:,} MiB of {where}, more than "
                "half: the system needs the rest for what cannot be moved out of a bank"
            )


def _words(cells: list[int]) -> str:
    return " ".join(map(str, cells))
