# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The source of a device tree overlay: banks in free places of this board, and their contexts."""

from __future__ import annotations

from collections.abc import Sequence

from cm_agent.cli.size.budget import Bank
from cm_agent.core.memory_map import LARGEST_BANK, MemoryMap
from cm_agent.core.size import format_size
from cm_agent.core.text import printable

_HEAD = """\
/*
 * Made by `cm-agent size` for: {model}.
 * Check it: make check-overlay DTB=board.dtb OVERLAY=this.dtso, as dts/README.md has it.
 *
{banks}
 * A bank is made of whole blocks of {block}, the unit of this kernel's CMA. It is at the highest
 * free place of the lowest zone, which the most devices reach.
 */
/dts-v1/;
/plugin/;

&{{/}} {{
	reserved-memory {{
		#address-cells = <{cells[0]}>;
		#size-cells = <{cells[1]}>;
		ranges;
"""
_BANK = """
		bank{number}: {context}@{start:x} {{
			compatible = "shared-dma-pool";
			reg = <{reg}>;
			reusable;
		}};
"""
_CONTEXT = """
	context-{context} {{
		compatible = "cm-agent,context";
		label = "{context}";
		memory-region = <&bank{number}>;{private}
	}};
"""


def place(banks: Sequence[Bank], memory: MemoryMap, block: int) -> dict[str, int]:
    """Return the addresses of banks by their contexts; those without a free place are missing."""
    found = {}
    for bank in banks:
        start = memory.place(bank.size, block)
        if start is not None:
            memory = memory.without(start, bank.size)
            found[bank.context] = start
    return found


def explain_missing(bank: Bank) -> str:
    """Return the sentence about a bank that has no place."""
    return (
        f"there is no free place for {format_size(bank.size)} in one piece, which context "
        f"{bank.context!r} takes; a bank has {format_size(LARGEST_BANK)} at most"
    )


def source(banks: Sequence[Bank], places: dict[str, int], memory: MemoryMap, block: int) -> str:
    """Return the overlay as text, ending with a newline."""
    head = _HEAD.format(
        model=printable(memory.model).replace("*/", ""),
        banks="\n".join(map(_explain, banks)),
        block=format_size(block),
        cells=memory.cells,
    )
    numbered = list(enumerate(banks, 1))
    nodes = [
        _BANK.format(
            number=number,
            context=bank.context,
            start=places[bank.context],
            reg=_cells((places[bank.context], bank.size), memory.cells),
        )
        for number, bank in numbered
    ]
    contexts = [
        _CONTEXT.format(
            number=number,
            context=bank.context,
            private="\n\t\tcm,private;" if bank.private else "",
        )
        for number, bank in numbered
    ]
    return "".join([head, *nodes, "\t};\n", *contexts, "};\n"])


def _explain(bank: Bank) -> str:
    spare = format_size(bank.size - bank.needed)
    return (
        f" * {bank.context}: {bank.needed:,} bytes of chunks, {format_size(bank.size)} reserved, "
        f"{spare} to spare."
    )


def _cells(numbers: tuple[int, int], widths: tuple[int, int]) -> str:
    words = [
        f"0x{number >> 32 * at & 0xFFFFFFFF:x}"
        for number, width in zip(numbers, widths, strict=True)
        for at in reversed(range(width))
    ]
    return " ".join(words)
