# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A Buffer without a dma-buf, for what concerns its descriptor and its bytes only."""

import os
from typing import Self

from cm_agent.core.buffer import Buffer


class MemfdBuffer(Buffer):
    """A Buffer over a memfd, which needs no synchronization and has no ioctl for it."""

    syncs: list[int]

    @classmethod
    def holding(cls, data: bytes, id: int | None = None, context: str | None = None) -> Self:
        """Make one of these bytes, as of a chunk of this number and context."""
        fd = os.memfd_create("test")
        os.write(fd, data)
        buffer = cls(fd, len(data), id, context)
        buffer.syncs = []
        return buffer

    def _sync(self, fd: int, flags: int) -> None:
        os.fstat(fd)
        self.syncs.append(flags)
