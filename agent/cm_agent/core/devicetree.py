# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The contexts that the device tree asks for, as the running kernel shows it."""

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


def bank_names(tree: Path = Path("/proc/device-tree")) -> list[str]:
    """Return the names of the reserved memory that there is, sorted."""
    return sorted(node.name for node in _reserved(tree))


def bank_sizes(tree: Path = Path("/proc/device-tree")) -> dict[str, int | None]:
    """Return the bytes of each bank by its name; None of one that the kernel placed at boot."""
    memory = tree / "reserved-memory"
    start, end = (4 * _number(_bytes(memory / f"#{it}-cells")) for it in ("address", "size"))
    sizes = {node.name: _bytes(node / "reg")[start : start + end] for node in _reserved(tree)}
    return {name: _number(size) if size else None for name, size in sizes.items()}


def _reserved(tree: Path) -> list[Path]:
    memory = tree / "reserved-memory"
    if not memory.is_dir():
        return []
    return [node for node in memory.iterdir() if node.is_dir() and _enabled(node)]


def _banks(tree: Path) -> dict[bytes, str]:
    return {phandle: node.name for node in _reserved(tree) if (phandle := _bytes(node / "phandle"))}


def _enabled(node: Path) -> bool:
    return _strings(node / "status") in ([], ["okay"], ["ok"])


def _number(cells: bytes) -> int:
    return int.from_bytes(cells, "big")


def _strings(file: Path) -> list[str]:
    text = _bytes(file).decode(errors="backslashreplace")
    return [printable(it) for it in text.removesuffix("\0").split("\0")] if text else []


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
