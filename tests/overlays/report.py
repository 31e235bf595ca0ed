# SPDX-License-Identifier: MIT
"""What is printed about an overlay: `python3 -m boards overlay`, `make check-overlay`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from boards import dtbs
from boards.error import BoardError

from .check import Result, check
from .kernel import MIB


def show(dtb: str, overlays: Sequence[Path]) -> int:
    """Print banks, complaints and notes; return 1 when there are complaints."""
    result = check(_find(dtb), overlays)
    for line in _describe(result):
        print(line)
    for complaint in result.complaints:
        print(f"WRONG  {complaint}")
    for note in result.notes:
        print(f"NOTE   {note}")
    if not result.complaints:
        print("nothing is wrong, as far as a tree can tell")
    return 1 if result.complaints else 0


def _describe(result: Result) -> list[str]:
    merged, memory = result.merged, result.memory
    ram = ", ".join(map(str, memory.ram))
    lines = [
        f"{merged.model}, {merged.architecture}, {memory.size // MIB:,} MiB of RAM: {ram}",
        *(f"kept free of banks: {it.span}, {it.by}" for it in memory.taken),
        f"source: {memory.source}",
    ]
    for bank in sorted(result.banks, key=lambda it: it.span):
        kind = "reusable" if bank.reusable else "no-map" if bank.node.has("no-map") else "plain"
        lines.append(f"{bank}: {bank.span.size // MIB:,} MiB, {kind}")
    return lines


def _find(dtb: str) -> Path:
    """Return a file, or Debian's tree of that name with or without its vendor's directory."""
    if Path(dtb).exists():
        return Path(dtb)
    for architecture in dtbs.PACKAGES:
        found = sorted(dtbs.make(architecture).rglob(Path(dtb).name))
        if found:
            return found[0]
    raise BoardError(f"there is neither a file {dtb} nor a tree of that name in Debian's kernels")
