# SPDX-License-Identifier: MIT
"""What Debian's kernels ask of a bank: the strictest of 5.10, 6.1, 6.12 and 7.2.

Tried in QEMU with banks at odd places: a reusable bank that does not fill CMA blocks is refused at
boot ("Reserved memory: incorrect alignment of CMA region"), one that reaches from one zone into
another is set up and never used.
"""

from __future__ import annotations

from dataclasses import dataclass

from .span import Span

MIB = 1 << 20
PAGE = 4096


@dataclass(frozen=True)
class Kernel:
    """Sizes in bytes.

    block: of CMA; base and size of a reusable bank are multiples of it
    low: RAM that the kernel maps for good, from its start on; None where that is all of it
    cma: the kernel's own CMA area, which it places where there is room
    """

    block: int
    low: int | None
    cma: int

    def borders(self, ram: Span) -> dict[int, str]:
        """Return the addresses that no bank may reach across, and what is there."""
        if self.low is None:
            return {1 << 32: "the end of what 32 bits address"}
        return {ram.start + self.low: f"the end of low memory, of {self.low // MIB} MiB"}


KERNELS = {
    # CONFIG_ARCH_FORCE_MAX_ORDER is 11 for the sake of the AM335x: blocks of 2^11 pages. CMA has
    # 16 MiB up to 6.12.
    "armhf": Kernel(block=8 * MIB, low=768 * MIB, cma=128 * MIB),
    # 5.10 wants the buddy allocator's largest block, later ones a pageblock of 2 MiB.
    "arm64": Kernel(block=4 * MIB, low=None, cma=64 * MIB),
}
