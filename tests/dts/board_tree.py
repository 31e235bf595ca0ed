# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A small board's tree, an overlay that is right for it, and judging variants of both."""

from __future__ import annotations

from pathlib import Path

from boards.error import run
from overlays import tree
from overlays.check import Result, check, judge, merge

# 1 GiB of RAM, of which 768 MiB are low memory, up to 0xb0000000.
BOARD = """\
/dts-v1/;
/memreserve/ 0xaf000000 0x1000;

/ {
	model = "A board of the tests";
	compatible = "cm-agent,test";
	#address-cells = <1>;
	#size-cells = <1>;

	cpus {
		#address-cells = <1>;
		#size-cells = <0>;

		cpu@0 {
			device_type = "cpu";
			compatible = "arm,cortex-a8";
			reg = <0>;
		};
	};

	memory@80000000 {
		device_type = "memory";
		reg = <0x80000000 0x40000000>;
	};

	reserved-memory {
		#address-cells = <1>;
		#size-cells = <1>;
		ranges;

		firmware@9e000000 {
			reg = <0x9e000000 0x1000000>;
			no-map;
		};

		unused@a4000000 {
			reg = <0xa4000000 0x1000000>;
			no-map;
			status = "disabled";
		};

		display {
			compatible = "shared-dma-pool";
			no-map;
			size = <0x2400000>;
			alignment = <0x100000>;
			alloc-ranges = <0xb0000000 0x10000000>;
		};
	};

	soc {
		compatible = "simple-bus";
		#address-cells = <1>;
		#size-cells = <1>;
		ranges;
	};
};
"""

OVERLAY = """\
/dts-v1/;
/plugin/;

&{/} {
	reserved-memory {
		#address-cells = <1>;
		#size-cells = <1>;
		ranges;

		camera: camera@a0000000 {
			compatible = "shared-dma-pool";
			reg = <0xa0000000 0x04000000>;
			reusable;
		};

		codec: codec@a8000000 {
			compatible = "shared-dma-pool";
			reg = <0xa8000000 0x01000000>;
			reusable;
		};
	};

	context-shared {
		compatible = "cm-agent,context";
		label = "shared";
		memory-region = <&camera>;
		cm,min-alignment = <0x100000>;
	};

	context-private {
		compatible = "cm-agent,context";
		label = "private";
		memory-region = <&codec>;
		cm,private;
	};
};
"""


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Return a source with words replaced, all of which must be there."""
    for old, new in changes:
        assert old in text, f"{old!r} is not in the source"
        text = text.replace(old, new)
    return text


def compiled(text: str, into: Path) -> Path:
    """Compile a board's source and return its DTB."""
    source = into / "board.dts"
    source.write_text(text)
    dtb = source.with_suffix(".dtb")
    run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", dtb, source], doing="compiling a test's tree")
    return dtb


def judged(scratch: Path, overlay: str = OVERLAY, board: str = BOARD) -> Result:
    """Judge an overlay on a board by our own rules, which take no time."""
    source, merged = scratch / "overlay.dtso", scratch / "merged.dtb"
    source.write_text(overlay)
    base = compiled(board, scratch)
    merge(base, [source], merged)
    return judge(tree.read(base), tree.read(merged))


def complaints(scratch: Path, overlay: str = OVERLAY, board: str = BOARD) -> tuple[str, ...]:
    """Return what is wrong with an overlay on a board by our own rules."""
    return judged(scratch, overlay, board).complaints


def everything(scratch: Path, overlay: str = OVERLAY, board: str = BOARD) -> tuple[str, ...]:
    """Return what is wrong with an overlay on a board, by dt-validate too."""
    source = scratch / "overlay.dtso"
    source.write_text(overlay)
    return check(compiled(board, scratch), [source]).complaints
