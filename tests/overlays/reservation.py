# SPDX-License-Identifier: MIT
"""What the board's own tree reserves: places that are fixed, and sizes that need one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import tree
from .board import MIB, Memory
from .kernel import PAGE, Kernel
from .span import Span, cut, highest
from .tree import Node, Tree


@dataclass(frozen=True)
class Reservation:
    """A place that is reserved, by whom."""

    span: Span
    by: str


@dataclass(frozen=True)
class Wish:
    """So many bytes somewhere in these ranges: the kernel finds the place at boot."""

    by: str
    size: int
    alignment: int
    ranges: tuple[Span, ...]


def fixed(merged: Tree, besides: Sequence[Node]) -> list[Reservation]:
    """Return the places that a tree reserves, besides some nodes'."""
    parent = merged.reserved_memory
    return [
        *(Reservation(span, "a /memreserve/ of the board") for span in merged.reserved),
        *(
            Reservation(span, f"{node.path} of the tree")
            for node in parent.children.values()
            if node.enabled and node not in besides
            for span in tree.spans(node, "reg", parent)
        ),
    ]


def wishes(merged: Tree, memory: Memory, kernel: Kernel) -> list[Wish]:
    """Return what is to be placed at boot: the tree's own, and CMA unless the tree has it."""
    parent = merged.reserved_memory
    nodes = [it for it in parent.children.values() if it.enabled]
    asked = [_wish(it, parent, memory) for it in nodes if it.has("size") and not it.has("reg")]
    if not any(it.has("linux,cma-default") for it in nodes):
        below_4g = Span(0, 1 << 32)
        ranges = tuple(span.common(below_4g) for span in memory.ram)
        asked.append(Wish("the kernel's own CMA area", kernel.cma, kernel.block, ranges))
    return asked


def judge(wanted: Sequence[Wish], taken: Sequence[Span]) -> Iterator[str]:
    """Say what finds no room any more; each takes the highest place that is left, like at boot."""
    out = list(taken)
    for wish in wanted:
        holes = cut((span for span in wish.ranges if span.size > 0), out)
        place = highest(holes, wish.size, wish.alignment)
        if place:
            out.append(place)
            continue
        largest = max((hole.size for hole in holes), default=0)
        yield (
            f"there is no room left for {wish.by}, which wants {wish.size // MIB} MiB in one "
            f"piece: the largest that the banks leave has {largest // MIB} MiB"
        )


def _wish(node: Node, parent: Node, memory: Memory) -> Wish:
    allowed = tree.spans(node, "alloc-ranges", parent) or list(memory.ram)
    return Wish(
        by=f"{node.path} of the tree",
        size=tree.number(node, "size") or 0,
        alignment=tree.number(node, "alignment") or PAGE,
        ranges=tuple(span.common(it) for it in allowed for span in memory.ram),
    )
