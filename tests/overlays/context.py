# SPDX-License-Identifier: MIT
"""Contexts: nodes that ask the module for one, judged as the module will."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from .bank import POOL
from .kernel import PAGE
from .tree import Node, Tree

COMPATIBLE = "cm-agent,context"
VENDOR = COMPATIBLE.partition(",")[0]
# What only the properties of contexts begin with.
OWN = "cm,"
ALIKE = 0.8
# Banks are judged as such.
BANKS = "/reserved-memory/"
NAME = re.compile(r"[a-z0-9_-]{1,31}")


def find(tree: Tree) -> list[Node]:
    """Return the enabled nodes that ask for a context."""
    nodes = (it for it in tree.root.walk() if it.enabled)
    return [it for it in nodes if _is_context(it)]


def judge_strangers(merged: Tree) -> Iterator[str]:
    """Say which nodes look like contexts, and are none to the module."""
    for node in merged.root.walk():
        if node.enabled and not _is_context(node) and _resembles_context(node):
            kinds = node.strings("compatible")
            said = f'is "{kinds[0]}"' if kinds else "is missing"
            yield (
                f"node {node.path} is no context: its compatible {said}, and the module knows "
                f'"{COMPATIBLE}" only'
            )


def _resembles_context(node: Node) -> bool:
    if node.path == "/" or node.path.startswith(BANKS):
        return False
    return any(name.startswith(OWN) for name in node.properties) or any(
        kind.partition(",")[0] == VENDOR or SequenceMatcher(None, kind, COMPATIBLE).ratio() >= ALIKE
        for kind in node.strings("compatible")
    )


def note_unused(banks: Sequence[Node], merged: Tree) -> Iterator[str]:
    """Say which banks that a context could have are named by no node with a driver."""
    for bank in banks:
        others = bank.has("no-map") or {*bank.strings("compatible")} - {POOL}
        named = any(it.has("compatible") for it in named_by(bank, merged))
        if bank.enabled and not others and not named:
            yield (
                f"bank {bank.name} has no context: no memory-region of a node with compatible = "
                f'"{COMPATIBLE}" refers to it; add such a node, unless contexts are made of it at '
                "run time (cm-agent create)"
            )


def judge(nodes: Sequence[Node], merged: Tree) -> Iterator[str]:
    """Say what is wrong with contexts, each by itself and beside each other."""
    names: dict[str, Node] = {}
    banks: dict[int, Node] = {}
    for node in nodes:
        yield from _name(node, names)
        yield from _place(node)
        yield from _alignment(node)
        yield from _bank(node, banks, merged)


def _name(node: Node, others: dict[str, Node]) -> Iterator[str]:
    (name,) = node.strings("label")[:1] or [node.name.partition("@")[0]]
    if not NAME.fullmatch(name) or name == "control":
        yield (
            f"context {node.path} is called {name!r}: a name is 1 to 31 of a-z, 0-9, - and _, and "
            "not 'control'"
        )
    if other := others.get(name):
        yield f"contexts {other.path} and {node.path} have the same name, {name!r}"
    others.setdefault(name, node)


def _place(node: Node) -> Iterator[str]:
    if node.path.count("/") != 1:
        yield (
            f"context {node.path} is not at the root of the tree: deeper down the kernel may make "
            "no device of it, or its bus may not reach the bank; move it"
        )


def _alignment(node: Node) -> Iterator[str]:
    cells = node.cells("cm,min-alignment")
    if node.has("cm,min-alignment") and (
        len(cells) != 1 or cells[0] < PAGE or cells[0] & (cells[0] - 1)
    ):
        said = " ".join(f"{cell:#x}" for cell in cells)
        yield (
            f"context {node.path}: cm,min-alignment is <{said}>: one power of two of at least "
            f"{PAGE} is wanted"
        )


def _bank(node: Node, others: dict[int, Node], merged: Tree) -> Iterator[str]:
    who = f"context {node.path}"
    phandles = node.cells("memory-region")
    if not phandles:
        yield f"{who} has no memory-region: it must name its bank, memory-region = <&bank>"
        return
    if len(phandles) > 1:
        yield f"{who} names {len(phandles)} banks in its memory-region: a context has one"
    bank = merged.by_phandle(phandles[0])
    if bank is None or bank.path.rpartition("/")[0] != "/reserved-memory":
        where = bank.path if bank else "nothing"
        yield f"{who}: its memory-region leads to {where}: it must be a child of /reserved-memory"
        return
    if other := others.get(phandles[0]):
        yield f"contexts {other.path} and {node.path} have the same bank, {bank.name}: one has it"
    others.setdefault(phandles[0], node)
    yield from _kind(node, bank)
    yield from _users(node, bank, merged)


def _kind(node: Node, bank: Node) -> Iterator[str]:
    who = f"context {node.path}: bank {bank.name}"
    foreign = bank.has("compatible") and POOL not in bank.strings("compatible")
    if not bank.enabled:
        yield f"{who} is disabled, so that the kernel reserves nothing"
    if bank.has("no-map"):
        yield f"{who} is no-map: the module takes only memory that the kernel maps; remove no-map"
    elif bank.has("linux,cma-default"):
        yield f"{who} is the kernel's own (linux,cma-default): make one for the context alone"
    elif foreign and not bank.has("reusable"):  # else bank.judge_node() says it
        yield (
            f'{who} has another use: its compatible is not "{POOL}"; give the context a bank of '
            "its own"
        )
    elif not bank.has("reusable") and not node.has("cm,private"):
        yield (
            f"{who} is not reusable, so that the context cannot share it with the system: add "
            "cm,private to the context, or reusable to the bank"
        )


def _users(node: Node, bank: Node, merged: Tree) -> Iterator[str]:
    if others := [it.path for it in named_by(bank, merged) if not _is_context(it)]:
        yield (
            f"context {node.path}: bank {bank.name} is the memory-region of {', '.join(others)}, "
            "too: give the context a bank of its own"
        )


def named_by(bank: Node, merged: Tree) -> list[Node]:
    """Return the enabled nodes whose memory-region a bank is."""
    own = set(bank.cells("phandle"))
    return [it for it in merged.root.walk() if it.enabled and own & {*it.cells("memory-region")}]


def _is_context(node: Node) -> bool:
    return COMPATIBLE in node.strings("compatible")
