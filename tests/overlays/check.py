# SPDX-License-Identifier: MIT
"""An overlay and a board's tree: merged, and all that is wrong with the result."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from boards.devicetree import compile_overlay
from boards.error import BoardError, run

from . import bank, board, context, reservation, schema, tree
from .bank import Bank
from .board import Memory
from .kernel import KERNELS
from .tree import Tree


@dataclass(frozen=True)
class Result:
    """A merged tree, its memory and banks, what is wrong with them, and what may be meant so.

    One that is not `readable` has a mistake that hides all others.
    """

    merged: Tree
    memory: Memory
    banks: tuple[Bank, ...]
    complaints: tuple[str, ...]
    notes: tuple[str, ...] = ()
    readable: bool = True


def check(base: Path, overlays: Sequence[Path]) -> Result:
    """Merge overlays (.dtso or .dtbo) into a DTB, and judge the result by our rules and bindings.

    Without overlays a tree is judged that has banks and contexts already.
    """
    with tempfile.TemporaryDirectory() as scratch:
        merged = Path(scratch) / "merged.dtb"
        merge(base, overlays, merged)
        result = judge(tree.read(base), tree.read(merged))
        if not result.readable:
            return result
        by_schema = schema.judge(base if overlays else None, merged)
    return replace(result, complaints=(*result.complaints, *by_schema))


def merge(base: Path, overlays: Sequence[Path], into: Path) -> None:
    """Merge overlays into a DTB; say which labels are missing when that is why it fails."""
    known = _labels(tree.read(base), "__symbols__")
    compiled = []
    for source in overlays:
        ready = compile_overlay(source, into.parent) if source.suffix == ".dtso" else source
        overlay = tree.read(ready)
        if missing := sorted(_labels(overlay, "__fixups__") - known):
            raise BoardError(
                f"{source.name} refers to {', '.join(f'&{it}' for it in missing)}, and {base.name} "
                f"has {'no such label' if known else 'no labels at all'}: write "
                "&{/path/of/the/node} instead"
            )
        known |= _labels(overlay, "__symbols__")
        compiled.append(ready)
    if compiled:
        run(["fdtoverlay", "-i", base, "-o", into, *compiled], doing=f"merging into {base.name}")
    else:
        into.write_bytes(base.read_bytes())


def judge(base: Tree, merged: Tree) -> Result:
    """Say what is wrong with a merged tree, by our own rules."""
    memory, kernel = board.memory(merged), KERNELS[merged.architecture]
    if unreadable := tuple(bank.judge_parent(merged)):
        return Result(merged, memory, (), unreadable, readable=False)
    contexts = context.find(merged)
    nodes = bank.find(base, merged, contexts)
    banks = bank.placed(nodes, merged)
    others = reservation.fixed(merged, besides=nodes)
    taken = [
        *(one.span for one in banks),
        *(other.span for other in others),
        *(place.span for place in memory.taken),
    ]
    complaints = (
        *([] if nodes or contexts else ["there is neither a bank nor a context"]),
        *(it for node in nodes for it in bank.judge_node(node, merged.reserved_memory)),
        *(it for one in banks for it in bank.judge_place(one, memory, kernel)),
        *bank.judge_neighbours(banks, others),
        *bank.judge_sizes(banks, memory, kernel),
        *reservation.judge(reservation.wishes(merged, memory, kernel), taken),
        *context.judge(contexts, merged),
        *context.judge_strangers(merged),
    )
    notes = tuple(context.note_unused(nodes, merged))
    return Result(merged, memory, tuple(banks), complaints, notes)


def _labels(it: Tree, table: str) -> set[str]:
    """Return the labels that a tree has (__symbols__), or refers to (__fixups__)."""
    node = it.root.children.get(table)
    return set(node.properties) if node else set()
