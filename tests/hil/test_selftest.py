# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the kernel's own selftests ask of those that export dma-bufs, asked of our nodes.

Of tools/testing/selftests (Linux 6.12), case by case:

dmabuf-heaps/dmabuf-heap.c: test_selftest_heaps.py runs it as it is; of calls of our own,
- test_alloc_and_import: the tests below, with the same importer, vgem
- test_alloc_zeroed: test_lifetime.py, test_memory_is_zero_whatever_it_held_before
- test_alloc_compat: test_ioctl.py, structures that are shorter (none is older yet) and longer
- test_alloc_errors: test_ioctl.py, descriptors, flags and values that make no sense

drivers/dma-buf/udmabuf.c
- 1 to 4, offset and size that are no whole pages, no memfd: a chunk has no offset and no memfd, its
  size is rounded up: below
- 5 to 7, what is written shows in the dma-buf when its pages were migrated: test_compaction.py;
  pages that are huge: a chunk has none
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards.remote import RemoteBoard

CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
MIB = 1 << 20


@pytest.fixture
def vgem(module: RemoteBoard) -> Iterator[RemoteBoard]:
    """The board with a graphics driver that imports dma-bufs."""
    module.check("modprobe vgem && udevadm settle")
    yield module
    module.check("modprobe -r vgem")


def import_by_vgem(context: str, size: int) -> dict[str, Any]:
    """Have vgem import a chunk, and write it before and meanwhile; tell what was seen."""
    import fcntl
    import os
    import struct
    from pathlib import Path

    from cm_agent.core.buffer import Buffer
    from cm_agent.core.context import Context

    def drm(number: int, direction: int, *words: int) -> tuple[int, ...]:
        argument = bytearray(struct.pack(f"={len(words)}i", *words))
        fcntl.ioctl(card, direction << 30 | len(argument) << 16 | ord("d") << 8 | number, argument)
        return struct.unpack(f"={len(words)}i", argument)

    to_descriptor, to_handle, close = (0x2D, 3), (0x2E, 3), (0x09, 1)  # drm.h: PRIME_*, GEM_CLOSE
    cards = Path("/sys/class/drm").glob("card*")
    (name,) = (it.name for it in cards if (it / "device").resolve().name == "vgem")
    card = os.open(f"/dev/dri/{name}", os.O_RDWR | os.O_CLOEXEC)
    try:
        with Context(context) as pool, pool.alloc(size) as chunk:
            with chunk.cpu_access("rw") as view:
                view[:] = b"\1" * (size // 2) + b"\0" * (size // 2)
            handle, _, _ = drm(*to_handle, 0, 0, chunk.fd)
            imported = pool.info(chunk)
            with chunk.cpu_access("rw") as view:
                kept = bytes(view) == b"\1" * (size // 2) + b"\0" * (size // 2)
                view[:] = b"\xff" * size
            _, _, fd = drm(*to_descriptor, handle, os.O_CLOEXEC | os.O_RDWR, -1)
            with Buffer.from_fd(fd) as back, back.cpu_access("r") as view:
                same, read = pool.info(back).id == chunk.id, bytes(view) == b"\xff" * size
            drm(*close, handle, 0)
            return {
                "imports": [imported.imports, pool.info(chunk).imports],
                "maps": [imported.maps, pool.info(chunk).maps],
                "kept": kept,
                "same": same,
                "read": read,
            }
    finally:
        os.close(card)


@CONTEXTS
@pytest.mark.lg_feature("vgem")
def test_a_chunk_is_accessed_while_a_graphics_driver_has_it(
    vgem: RemoteBoard, context: str
) -> None:
    """Imported, written under it, handed on by it as the same chunk, and let go."""
    got = vgem.call(import_by_vgem, context=context, size=MIB)
    assert got.pop("maps") in ([1, 0], [0, 0]), "7.2 maps it once it needs to"
    assert got == {"imports": [1, 0], "kept": True, "same": True, "read": True}


def sizes_given(context: str, sizes: list[int]) -> list[list[int]]:
    """Allocate chunks of these sizes; tell how large chunk and dma-buf are."""
    import os

    from cm_agent.core.context import Context

    told = []
    with Context(context) as pool:
        for size in sizes:
            with pool.alloc(size) as chunk:
                told.append([chunk.size, os.lseek(chunk.fd, 0, os.SEEK_END)])
    return told


@CONTEXTS
def test_a_size_that_is_no_whole_page_is_rounded_up(
    module: RemoteBoard, page_size: int, context: str
) -> None:
    sizes = [1, page_size // 2, page_size, page_size + 1, 3 * page_size - 1]
    rounded = [pages * page_size for pages in (1, 1, 1, 2, 3)]
    assert module.call(sizes_given, context=context, sizes=sizes) == [[it, it] for it in rounded]
