# SPDX-License-Identifier: MIT
"""The device tree a board boots with: QEMU's or Debian's, merged with a list of overlays."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import dtbs
from .board import Board
from .error import BoardError, run


def merge(board: Board, overlays: Sequence[Path], into: Path) -> None:
    """Write the board's own DTB with these overlays (.dtso sources) merged in order."""
    with tempfile.TemporaryDirectory() as scratch:
        base = _base(board, Path(scratch))
        merged = [compile_overlay(path, Path(scratch)) for path in overlays]
        if not merged:
            into.write_bytes(base.read_bytes())
            return
        run(
            ["fdtoverlay", "-i", base, "-o", into, *merged],
            doing=f"merging {', '.join(path.name for path in overlays)} into {board.name}'s tree",
        )


def compile_overlay(source: Path, into: Path) -> Path:
    """Compile one overlay source and return the .dtbo."""
    if not source.is_file():
        raise BoardError(f"no overlay {source}")
    target = into / f"{source.stem}.dtbo"
    run(
        ["dtc", "-@", "-Wno-unit_address_vs_reg", "-I", "dts", "-O", "dtb", "-o", target, source],
        doing=f"compiling {source.name}",
    )
    return target


def _base(board: Board, scratch: Path) -> Path:
    if board.tree:
        return dtbs.make(board.architecture) / board.tree
    base = scratch / "base.dtb"
    _dump(board, base)
    return base


def _dump(board: Board, into: Path) -> None:
    qemu = board.qemu
    padded = into.with_suffix(".padded")
    run(
        [
            f"qemu-system-{qemu.system}", "-machine", f"{qemu.machine},dumpdtb={padded}",
            "-cpu", qemu.cpu, "-smp", str(qemu.cpus), "-m", f"{qemu.memory_mib}M",
            "-nic", "none", "-display", "none",
        ],
        doing="asking QEMU for its device tree",
        timeout=60,
    )  # fmt: skip
    # QEMU pads what it dumps to a megabyte and doubles that when it loads it: the kernel takes two.
    run(
        ["dtc", "-q", "-I", "dtb", "-O", "dtb", "-o", into, padded], doing="packing the device tree"
    )
