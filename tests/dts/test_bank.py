# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Banks with one mistake each are refused, with the reason and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .board_tree import BOARD, OVERLAY, changed, complaints, everything

CAMERA = "a0000000"
CODEC = "a8000000"
REG = "<0xa0000000 0x04000000>"

MISTAKES = {
    "base misaligned": (
        [(CAMERA, "a0400000")],
        r"bank camera@a0400000 .*: its base 0xa0400000 is no multiple of 0x800000",
    ),
    "size misaligned": (
        [("0x04000000", "0x04400000")],
        r"bank camera@a0000000 .*: its size 0x4400000 is no multiple of 0x800000",
    ),
    "outside RAM": (
        [(CAMERA, "c0000000")],
        r"bank camera@c0000000 .* does not lie in the board's RAM \(0x80000000..0xbfffffff\)",
    ),
    "half outside RAM": (
        [(CAMERA, "be000000")],
        r"bank camera@be000000 \(0xbe000000..0xc1ffffff\) does not lie in the board's RAM",
    ),
    "across the end of low memory": (
        [(CAMERA, "af800000")],
        r"bank camera@af800000 .* reaches across 0xb0000000, the end of low memory, of 768 MiB",
    ),
    "over another bank": (
        [(CODEC, "a3000000")],
        r"bank (camera|codec)@.* and bank (camera|codec)@.* overlap",
    ),
    "over what the board reserves": (
        [(CAMERA, "9c000000")],
        r"bank camera@9c000000 .* overlaps 0x9e000000..0x9effffff, "
        r"/reserved-memory/firmware@9e000000 of the tree",
    ),
    "over a memreserve": (
        [(CAMERA, "ac000000")],
        r"bank camera@ac000000 .* overlaps 0xaf000000..0xaf000fff, a /memreserve/ of the board",
    ),
    "where the boot loader works": (
        [(CAMERA, "8c000000")],
        r"bank camera@8c000000 .* lies where kernel, initramfs or device tree may be at boot: "
        r"0x80000000..0x8fffffff, most boot loaders \(a guess: dts/boards.toml does not know",
    ),
    "reusable and no other pool": (
        [('"shared-dma-pool";\n\t\t\treg = <0xa0', '"cm-agent,pool";\n\t\t\treg = <0xa0')],
        r'bank camera@a0000000 is reusable: its compatible must be "shared-dma-pool"',
    ),
    "no fixed place": (
        [("reg = " + REG, "size = <0x04000000>")],
        r"bank camera@a0000000 has no reg: give it a fixed place",
    ),
    "two places": (
        [(REG, REG + ", <0xb0000000 0x04000000>")],
        r"bank camera@a0000000 has 2 ranges in its reg",
    ),
    "no size": ([(REG, "<0xa0000000 0x0>")], r"bank camera@a0000000 has a size of 0"),
    "called by another address": (
        [("camera@a0000000", "camera@a2000000")],
        r"bank camera@a2000000 is at 0xa0000000, and its name says a2000000: call it "
        r"camera@a0000000",
    ),
    "where a region of the board has to go": (
        [(CAMERA, "b0000000"), ("0x04000000", "0x10000000")],
        r"there is no room left for /reserved-memory/display of the tree, which wants 36 MiB",
    ),
}


def test_a_right_overlay_is_not_blamed(tmp_path: Path) -> None:
    assert everything(tmp_path) == ()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_its_reason(tmp_path: Path, mistake: str) -> None:
    changes, reason = MISTAKES[mistake]
    (only,) = complaints(tmp_path, changed(OVERLAY, *changes))
    assert re.search(reason, only), only


def test_no_map_and_reusable_exclude_each_other(tmp_path: Path) -> None:
    """The module would refuse the bank, too, for being no-map alone."""
    both = changed(OVERLAY, (REG + ";", REG + ";\n\t\t\tno-map;"))
    ours, modules = complaints(tmp_path, both)
    assert "bank camera@a0000000 is no-map and reusable: memory that the kernel does not" in ours
    assert "context /context-shared: bank camera@a0000000 is no-map: the module" in modules


def test_a_place_that_the_board_reserves_no_more_may_be_taken(tmp_path: Path) -> None:
    """camera lies over unused@a4000000, which is disabled."""
    over = changed(OVERLAY, (CAMERA, "a2000000"))
    assert everything(tmp_path, over) == ()


PLAIN = [
    ("0x01000000>;\n\t\t\treusable;", "0x01000000>;"),
    ('compatible = "shared-dma-pool";\n\t\t\treg = <0xa8', "reg = <0xa8"),
]


def test_a_plain_bank_needs_no_cma_blocks(tmp_path: Path) -> None:
    plain = changed(OVERLAY, *PLAIN, (CODEC, "a8001000"), ("0x01000000", "0x00003000"))
    assert everything(tmp_path, plain) == ()


def test_a_plain_bank_is_made_of_pages(tmp_path: Path) -> None:
    plain = changed(OVERLAY, *PLAIN, ("0x01000000", "0x00003800"))
    (only,) = complaints(tmp_path, plain)
    assert "its size 0x3800 is no multiple of 0x1000" in only


def test_banks_leave_half_of_the_memory(tmp_path: Path) -> None:
    """Of all RAM, and of low memory, from which the kernel takes what it cannot move."""
    bare = changed(BOARD, ("memreserve/ 0xaf000000", "memreserve/ 0x80000000"))
    bare = changed(bare, ("9e000000", "80000000"), ("0x40000000>", "0x60000000>"))
    many = changed(OVERLAY, (CODEC, "c0000000"), ("0x01000000", "0x20000000"), (CAMERA, "90000000"))
    of_low, of_all = sorted(complaints(tmp_path, changed(many, ("0x04000000", "0x19000000")), bare))
    assert "the banks take 400 of 768 MiB of low memory, more than half" in of_low
    assert "the banks take 912 of 1,536 MiB of RAM, more than half" in of_all


def test_a_region_of_the_board_finds_a_place_at_its_alignment(tmp_path: Path) -> None:
    both = changed(OVERLAY, (CAMERA, "b8000000"), (CODEC, "b0000000"))
    assert complaints(tmp_path, both) == ()
    coarse = changed(BOARD, ("alignment = <0x100000>", "alignment = <0x8000000>"))
    (only,) = complaints(tmp_path, both, coarse)
    assert "there is no room left for /reserved-memory/display of the tree" in only


def test_the_kernels_own_cma_area_finds_room_unless_the_tree_has_it(tmp_path: Path) -> None:
    small = changed(
        BOARD,
        ("0x40000000>", "0x20000000>"),
        ("0xaf000000", "0x80000000"),
        ("9e000000", "80000000"),
        ("0xb0000000 0x10000000", "0x90000000 0x10000000"),
    )
    scattered = changed(OVERLAY, (CAMERA, "94000000"), (CODEC, "9b000000"))
    own = changed(small, ("\t\tdisplay {", "\t\tdisplay {\n\t\t\tlinux,cma-default;"))
    assert complaints(tmp_path, scattered, own) == ()
    (only,) = complaints(tmp_path, scattered, small)
    assert only == (
        "there is no room left for the kernel's own CMA area, which wants 128 MiB in one piece: "
        "the largest that the banks leave has 64 MiB"
    )


# arm64, with 4 GiB of RAM below and above 4 GiB each.
WIDE = """\
/dts-v1/;

/ {
	model = "A 64-bit board of the tests";
	compatible = "cm-agent,test";
	#address-cells = <2>;
	#size-cells = <2>;

	cpus {
		#address-cells = <1>;
		#size-cells = <0>;

		cpu@0 {
			device_type = "cpu";
			compatible = "arm,cortex-a53";
			reg = <0>;
		};
	};

	memory@40000000 {
		device_type = "memory";
		reg = <0x0 0x40000000 0x2 0x00000000>;
	};
};
"""
WIDE_OVERLAY = """\
/dts-v1/;
/plugin/;

&{/} {
	reserved-memory {
		#address-cells = <2>;
		#size-cells = <2>;
		ranges;

		camera: camera@180000000 {
			compatible = "shared-dma-pool";
			reg = <0x1 0x80000000 0x0 0x00400000>;
			reusable;
		};
	};

	context-shared {
		compatible = "cm-agent,context";
		memory-region = <&camera>;
	};
};
"""
WIDE_MISTAKES = {
    "across 4 GiB": (
        [("180000000", "ffc00000"), ("0x1 0x80000000 0x0 0x00400000", "0x0 0xffc00000 0 0x800000")],
        r"bank camera@ffc00000 .* reaches across 0x100000000, the end of what 32 bits address",
    ),
    "misaligned for an old kernel": (
        [("180000000", "180200000"), ("0x80000000", "0x80200000")],
        r"its base 0x180200000 is no multiple of 0x400000",
    ),
    "larger than a DMA segment": (
        [("0x0 0x00400000", "0x0 0x80400000")],
        r"bank camera@180000000 .* has 2,052 MiB: the module takes at most 2,048 MiB",
    ),
}


def test_a_bank_above_4_gib_is_read_right(tmp_path: Path) -> None:
    assert everything(tmp_path, WIDE_OVERLAY, WIDE) == ()


@pytest.mark.parametrize("mistake", WIDE_MISTAKES)
def test_a_mistake_on_64_bits_is_refused_with_its_reason(tmp_path: Path, mistake: str) -> None:
    changes, reason = WIDE_MISTAKES[mistake]
    (only,) = complaints(tmp_path, changed(WIDE_OVERLAY, *changes), WIDE)
    assert re.search(reason, only), only


CELLS = (
    "#address-cells = <1>;\n\t\t#size-cells = <1>",
    "#address-cells = <2>;\n\t\t#size-cells = <2>",
)


def test_cells_unlike_the_roots_are_refused_before_all_is_misread(tmp_path: Path) -> None:
    address, size = everything(tmp_path, changed(OVERLAY, CELLS))
    assert "/reserved-memory has #address-cells <2>, the root of the tree <1>" in address
    assert "/reserved-memory has #size-cells <2>, the root of the tree <1>" in size


def test_a_reserved_memory_without_ranges_is_refused(tmp_path: Path) -> None:
    (only,) = everything(tmp_path, changed(WIDE_OVERLAY, ("ranges;", "")), WIDE)
    assert "/reserved-memory has no ranges" in only
