# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Where a board has RAM that nobody has reserved, as the running kernel shows it."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from mmap import PAGESIZE
from pathlib import Path
from typing import Self

TREE = Path("/proc/device-tree")
BOOTED = Path("/sys/firmware/fdt")
"""The tree as the boot loader left it, with the /memreserve/ that the other has not; for root."""
ZONES = Path("/proc/zoneinfo")
LARGEST_BANK = 2 << 30
"""What the module takes; BANK_MAX_BYTES in kmod/bank.c."""
_MIB = 1 << 20
_BLOCKS = {4 << 10: 4 * _MIB, 16 << 10: 32 * _MIB, 64 << 10: 512 * _MIB}
_32_BITS = ("arm", "i386", "i686")


def block_size() -> int:
    """Return the bytes of the running kernel's CMA blocks, which a bank must fill.

    The largest of those that Debian's kernels have with pages of this size (dts/README.md).
    """
    if os.uname().machine.startswith(_32_BITS):
        return 8 * _MIB
    return _BLOCKS.get(PAGESIZE, 4 * _MIB)


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """What a device tree says of memory.

    `model` is the board; `cells` are those of an address and of a size; `zones` is where the
    kernel's zones start; `free` are the ranges of RAM, each within one zone, that neither the tree
    nor the boot loader's initramfs has. Without root, /memreserve/ entries of a tree are not seen.
    """

    model: str
    cells: tuple[int, int]
    zones: tuple[int, ...]
    free: tuple[range, ...]

    @classmethod
    def read(cls, replaced: Collection[str] = ()) -> Self | None:
        """Read the running system's, taking banks of these names for free; None: it has no tree."""
        root = TREE
        if not (root / "#address-cells").exists():
            return None
        cells = _number(root / "#address-cells"), _number(root / "#size-cells")
        memory = [node for node in _nodes(root) if _text(node / "device_type") == "memory"]
        reserved = [node for node in _nodes(root / "reserved-memory") if node.name not in replaced]
        ram = [span for node in memory for span in _spans(node, cells)]
        taken = [*_memreserve(), *(span for node in reserved for span in _spans(node, cells))]
        zones = _zones()
        free = _without([part for span in ram for part in _split(span, zones)], taken)
        model = _text(root / "model") or "a board without a name"
        return cls(model, cells, zones, tuple(_without(free, _initramfs(root / "chosen"))))

    def place(self, size: int, block: int) -> int | None:
        """Return the address of a free place, a multiple of `block`; None: there is none.

        It is in the lowest zone that has one, which the most devices reach; there it is the
        highest, since boot loaders put kernel and initramfs at the start.
        """
        if size > LARGEST_BANK:
            return None
        places = [(span, (span.stop - size) // block * block) for span in self.free]
        found = [at for span, at in places if at >= span.start]
        return max(found, key=self._preference, default=None)

    def without(self, start: int, size: int) -> Self:
        """Return it with a place taken."""
        return replace(self, free=tuple(_without(self.free, [range(start, start + size)])))

    def _preference(self, address: int) -> tuple[int, int]:
        return -sum(start <= address for start in self.zones), address


def _without(spans: Iterable[range], taken: Iterable[range]) -> list[range]:
    left = list(spans)
    for hole in taken:
        parts = [
            part
            for span in left
            for part in (
                range(span.start, min(span.stop, hole.start)),
                range(max(span.start, hole.stop), span.stop),
            )
        ]
        left = [part for part in parts if part]
    return left


def _split(span: range, borders: Iterable[int]) -> Iterator[range]:
    inside = sorted(border for border in borders if span.start < border < span.stop)
    for start, stop in zip([span.start, *inside], [*inside, span.stop], strict=True):
        yield range(start, stop)


def _zones() -> tuple[int, ...]:
    """Return where zones start: the kernel does not use a bank that reaches from one to another."""
    found = re.findall(r"^\s*start_pfn:\s+(\d+)$", ZONES.read_text(), re.MULTILINE)
    return tuple(sorted({int(number) * PAGESIZE for number in found}))


def _memreserve() -> Iterator[range]:
    """Yield the places in the header of the tree (struct fdt_reserve_entry, up to an empty one)."""
    try:
        data = BOOTED.read_bytes()
    except OSError:
        return
    at = int.from_bytes(data[16:20], "big")
    for start, size in struct.iter_unpack(">QQ", data[at : at + (len(data) - at) // 16 * 16]):
        if not size:
            return
        yield range(start, start + size)


def _initramfs(chosen: Path) -> list[range]:
    start, end = (_number(chosen / f"linux,initrd-{which}") for which in ("start", "end"))
    return [range(start, end)]


def _nodes(folder: Path) -> list[Path]:
    return sorted(node for node in folder.iterdir() if node.is_dir()) if folder.is_dir() else []


def _spans(node: Path, cells: tuple[int, int]) -> list[range]:
    address, size = cells[0] * 4, cells[1] * 4
    data = _bytes(node / "reg")
    starts = range(0, len(data), address + size)
    rows = [(data[at : at + address], data[at + address : at + address + size]) for at in starts]
    pairs = [
        (int.from_bytes(first, "big"), int.from_bytes(second, "big")) for first, second in rows
    ]
    return [range(first, first + length) for first, length in pairs]


def _number(file: Path) -> int:
    return int.from_bytes(_bytes(file), "big")


def _text(file: Path) -> str:
    return _bytes(file).decode(errors="replace").removesuffix("\0")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
