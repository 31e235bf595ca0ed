# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Reserved memory, and the contexts that are asked for, in the running kernel's device tree."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cm_agent.core.text import printable

COMPATIBLE = "cm-agent,context"


@dataclass(frozen=True, slots=True)
class ContextNode:
    """A node of the device tree that asks for a context.

    `name` is what the context will be called; `bank` the name of its reserved memory, None when
    there is no such memory.
    """

    path: str
    name: str
    bank: str | None


def context_nodes(tree: Path = Path("/proc/device-tree")) -> list[ContextNode]:
    """Return the enabled nodes with compatible "cm-agent,context", sorted by path."""
    banks = _banks(tree)
    found = []
    for folder, _, files in os.walk(tree):
        node = Path(folder)
        if "compatible" in files and _enabled(node):
            if COMPATIBLE not in _strings(node / "compatible"):
                continue
            label = _strings(node / "label")
            found.append(
                ContextNode(
                    path="/" + str(node.relative_to(tree)),
                    name=label[0] if label else node.name.partition("@")[0],
                    bank=banks.get(_bytes(node / "memory-region")),
                )
            )
    return sorted(found, key=lambda found_node: found_node.path)


@dataclass(frozen=True, slots=True)
class Bank:
    """Reserved memory: a node below /reserved-memory.

    `size` in bytes, None when the tree does not have it; a `reusable` one is lent to the system.
    `obstacle`: why no context can be made of it, empty when nothing in the tree says so.
    """

    name: str
    size: int | None
    reusable: bool
    obstacle: str


def banks(tree: Path = Path("/proc/device-tree")) -> list[Bank]:
    """Return the reserved memory that there is, sorted by name."""
    users = _users(tree)
    return [
        Bank(
            name=printable(node.name),
            size=_size(node),
            reusable=(node / "reusable").exists(),
            obstacle=_obstacle(node, users),
        )
        for node in sorted(_reserved(tree))
    ]


def _size(node: Path) -> int | None:
    """Return the size that `reg` has after the address, or `size` of memory without an address."""
    cells = [_number(node.parent / f"#{what}-cells") for what in ("address", "size")]
    after, length = 4 * cells[0], 4 * cells[1]
    place = _bytes(node / "reg")[after : after + length] or _bytes(node / "size")[:length]
    return int.from_bytes(place, "big") if place else None


def _number(file: Path) -> int:
    return int.from_bytes(_bytes(file), "big")


def _obstacle(node: Path, users: dict[bytes, str]) -> str:
    """Return why kmod/bank.c would refuse it."""
    if (node / "no-map").exists():
        return "it is no-map, so it has no struct pages"
    if (node / "linux,cma-default").exists():
        return "it is linux,cma-default, from which the kernel allocates"
    compatible = _strings(node / "compatible")
    if compatible and "shared-dma-pool" not in compatible:
        return f"its compatible is {compatible[0]!r}"
    user = users.get(_bytes(node / "phandle"))
    return f"it is the memory-region of {user}" if user else ""


def _users(tree: Path) -> dict[bytes, str]:
    """Return which node has reserved memory for itself, by phandle."""
    users: dict[bytes, str] = {}
    for folder, _, files in os.walk(tree):
        node = Path(folder)
        if "memory-region" in files and _enabled(node):
            if COMPATIBLE in _strings(node / "compatible"):
                continue
            regions = _bytes(node / "memory-region")
            path = printable("/" + str(node.relative_to(tree)))
            users |= {regions[at : at + 4]: path for at in range(0, len(regions), 4)}
    return users


def bank_names(tree: Path = Path("/proc/device-tree")) -> list[str]:
    """Return the names of the reserved memory that there is, sorted."""
    return sorted(node.name for node in _reserved(tree))


def bank_sizes(tree: Path = Path("/proc/device-tree")) -> dict[str, int | None]:
    """Return the bytes of each bank by its name; None of one that the kernel placed at boot."""
    return {node.name: _size(node) for node in _reserved(tree)}


def _reserved(tree: Path) -> list[Path]:
    memory = tree / "reserved-memory"
    if not memory.is_dir():
        return []
    return [node for node in memory.iterdir() if node.is_dir() and _enabled(node)]


def _banks(tree: Path) -> dict[bytes, str]:
    return {phandle: node.name for node in _reserved(tree) if (phandle := _bytes(node / "phandle"))}


def _enabled(node: Path) -> bool:
    return _strings(node / "status") in ([], ["okay"], ["ok"])


def _strings(file: Path) -> list[str]:
    text = _bytes(file).decode(errors="backslashreplace")
    return [printable(it) for it in text.removesuffix("\0").split("\0")] if text else []


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
