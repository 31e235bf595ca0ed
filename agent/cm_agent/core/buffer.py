# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A dma-buf in user space: one chunk of ours, or a buffer that a driver exported."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from cm_agent.core.descriptor import Descriptor
from cm_agent.core.errors import ClosedError, explained

Mode = Literal["r", "w", "rw"]

# linux/dma-buf.h. SET_NAME's number holds the size of a pointer, as DMA_BUF_SET_NAME_A (32-bit)
# and DMA_BUF_SET_NAME_B (64-bit) say.
_SYNC_READ, _SYNC_WRITE = 1 << 0, 2 << 0
_SYNC_START, _SYNC_END = 0 << 2, 1 << 2
_SYNC = 1 << 30 | 8 << 16 | ord("b") << 8 | 0
_SET_NAME = 1 << 30 | struct.calcsize("P") << 16 | ord("b") << 8 | 1
NAME_MAX = 31

_ACCESS: dict[str, int] = {
    "r": _SYNC_READ,
    "w": _SYNC_WRITE,
    "rw": _SYNC_READ | _SYNC_WRITE,
}


class Buffer(Descriptor):
    """Own the descriptor of a dma-buf; a chunk is freed when its last descriptor closes.

    `size` is in bytes. `id` is the chunk's number when a Context of this process allocated it,
    None for a foreign dma-buf.

    Synchronization: none required for close() against cpu_access(); a close() while a view
    is in use takes effect when the last `with` block ends.
    """

    def __init__(self, fd: int, size: int, id: int | None = None) -> None:
        """Take the descriptor over."""
        super().__init__(fd, "foreign dma-buf" if id is None else f"chunk {id}")
        self.size = size
        self.id = id
        self._lock = threading.Lock()
        self._mapping: mmap.mmap | None = None
        self._accesses = 0
        self._closing = False

    @classmethod
    def from_fd(cls, fd: int) -> Buffer:
        """Make a Buffer of any dma-buf's descriptor, asking the descriptor for the size.

        The descriptor is taken over at once: it is closed on failure, too.
        """
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
        except OSError as error:
            with suppress(OSError):
                os.close(fd)
            raise explained(error, f"descriptor {fd} tells no size, so it is no dma-buf") from None
        return cls(fd, size)

    @property
    def fd(self) -> int:
        """Return the descriptor, which stays the Buffer's; ClosedError after close()."""
        return self.fileno()

    def set_name(self, name: str) -> None:
        """Name the dma-buf for whoever lists buffers; at most 31 bytes of UTF-8.

        ValueError for a longer name or one with a NUL; OSError EBUSY while drivers import it.
        """
        encoded = encode_name(name)
        try:
            fcntl.ioctl(self.fd, _SET_NAME, encoded + b"\0")
        except OSError as error:
            raise explained(error, f"{self._what} cannot be named {name!r}") from None

    @contextmanager
    def cpu_access(self, mode: Mode) -> Iterator[memoryview]:
        """Give the bytes to the CPU for the length of a `with` block, synchronized with devices.

        The view is read-only in mode "r". It is released when the block ends; BufferError when it
        is still lent to something then. A slice, or an array made of the view, keeps the memory
        mapped, beyond close() too, but what it reads is no longer synchronized.
        OSError ENOTTY: not a dma-buf.

        Access to a chunk after CM_IOC_FREE raises SIGBUS, which ends the process.
        """
        flags, writing = _ACCESS[mode], mode != "r"
        fd, mapping = self._begin(writing=writing)
        try:
            self._sync(fd, _SYNC_START | flags)
            with _lent(mapping, writable=writing) as view:
                try:
                    yield view
                finally:
                    self._sync(fd, _SYNC_END | flags)
        finally:
            del mapping
            self._end()

    def close(self) -> None:
        """Unmap and close, at the end of the last cpu_access() block; again does nothing."""
        with self._lock:
            self._closing = True
            if not self._accesses:
                self._release()

    def __bool__(self) -> bool:
        """Return whether it is open."""
        return not self._closing

    def _begin(self, *, writing: bool) -> tuple[int, mmap.mmap]:
        with self._lock:
            if self._closing:
                raise ClosedError(f"{self._what} is closed")
            writable = fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
            if writing and not writable:
                raise PermissionError(
                    errno.EACCES,
                    f"{self._what}: descriptor {self._fd} is not open for writing; "
                    "export it with O_RDWR",
                )
            if self._mapping is None:
                self._mapping = self._map(writable)
            self._accesses += 1
            return self._fd, self._mapping

    def _map(self, writable: bool) -> mmap.mmap:
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        try:
            return mmap.mmap(self._fd, self.size, mmap.MAP_SHARED, protection)
        except OSError as error:
            raise explained(error, f"{self._what} of {self.size} bytes cannot be mapped") from None

    def _end(self) -> None:
        with self._lock:
            self._accesses -= 1
            if self._closing and not self._accesses:
                self._release()

    def _release(self) -> None:
        """Drop the mapping, which CPython unmaps with its last slice, and close the descriptor."""
        self._mapping = None
        super().close()

    def _sync(self, fd: int, flags: int) -> None:
        while True:
            try:
                fcntl.ioctl(fd, _SYNC, struct.pack("=Q", flags))
                return
            except (InterruptedError, BlockingIOError):
                continue
            except OSError as error:
                raise explained(error, f"{self._what}: CPU access cannot be synchronized") from None


def encode_name(name: str) -> bytes:
    """Return a buffer's name in bytes; ValueError when the kernel would not take it."""
    encoded = name.encode()
    if len(encoded) > NAME_MAX or b"\0" in encoded:
        raise ValueError(f"{name!r} cannot name a buffer: at most {NAME_MAX} bytes, no NUL")
    return encoded


@contextmanager
def _lent(mapping: mmap.mmap, *, writable: bool) -> Iterator[memoryview]:
    """Lend a view and take it back; an error of the borrower goes before one of the release."""
    view = memoryview(mapping)
    shown = view if writable else view.toreadonly()
    try:
        yield shown
    except BaseException:
        with suppress(BufferError):
            shown.release()
            view.release()
        raise
    try:
        shown.release()
        view.release()
    except BufferError:
        raise BufferError(
            "something made of a buffer's view outlives the `with` block; "
            "copy what you keep and delete the rest before the block ends"
        ) from None
