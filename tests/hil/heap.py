# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The one call of the kernel's dma-heaps (linux/dma-heap.h), as tests make it on our nodes."""

from __future__ import annotations

import os
import struct
from typing import Any

LAYOUT = "=QIIQ"
"""struct dma_heap_allocation_data: len, fd, fd_flags, heap_flags."""
SIZE = struct.calcsize(LAYOUT)
FD_AT, FLAGS_AT, HEAP_FLAGS_AT = 8, 12, 16
ALLOC = 3 << 30 | SIZE << 16 | ord("H") << 8
USUAL_FLAGS = os.O_RDWR | os.O_CLOEXEC
LENGTH = 3 * 4096


def call(
    *,
    length: int = LENGTH,
    fd: int = 0,
    fd_flags: int = USUAL_FLAGS,
    heap_flags: int = 0,
    size: int = SIZE,
    beyond: int = 0,
    there: int = 0,
    address: int | None = None,
) -> tuple[Any, ...]:
    """Describe a call like test_ioctl does; of another size, it ends earlier or goes on in ones.

    Beyond the end, nothing is accessible, as test_ioctl.NO_ACCESS has it.
    """
    whole = struct.pack(LAYOUT, length, fd, fd_flags, heap_flags)
    argument = whole[:size].ljust(size, b"\xff")
    number = ALLOC & ~(0x3FFF << 16) | size << 16
    return number, argument, FD_AT, "new", beyond, there, address
