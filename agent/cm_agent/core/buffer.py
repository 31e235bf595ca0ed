# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A dma-buf in user space: one chunk of ours, or a buffer that a driver exported."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self

from cm_agent.core.descriptor import Descriptor
from cm_agent.core.errors import ClosedError, explained, request_error
from cm_agent.core.lending import LentArrays, Mapping, Part, import_numpy
from cm_agent.core.uapi import ffi, ioctl
from cm_agent.core.whole_number import require_whole

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cm_agent.core.lending import Array

Mode = Literal["r", "w", "rw"]

# linux/dma-buf.h. SET_NAME's number holds the size of a pointer, as DMA_BUF_SET_NAME_A (32-bit)
# and DMA_BUF_SET_NAME_B (64-bit) say.
_SYNC_READ, _SYNC_WRITE = 1 << 0, 2 << 0
_SYNC_START, _SYNC_END = 0 << 2, 1 << 2
_SYNC = 1 << 30 | 8 << 16 | ord("b") << 8 | 0
_SET_NAME = 1 << 30 | struct.calcsize("P") << 16 | ord("b") << 8 | 1
NAME_MAX = 31

DMA_BUF_LINK = "/dmabuf:"
"""How the link of a dma-buf's descriptor in /proc begins, since Linux 5.3; its name follows."""

_ACCESS: dict[str, int] = {
    "r": _SYNC_READ,
    "w": _SYNC_WRITE,
    "rw": _SYNC_READ | _SYNC_WRITE,
}


class Buffer(Descriptor):
    """Own the descriptor of a dma-buf; a chunk is freed when its last descriptor closes.

    `size` and len() are bytes. `id` and `context` are a chunk's number and the name of its context,
    when a Context of this process allocated or adopted it; None for a foreign dma-buf.

    multiprocessing passes a Buffer to another process, which owns a descriptor of its own then.
    Keep this one open until the other process has it: Queue.put() returns before the descriptor was
    duplicated, which a thread does later.

    Synchronization: none required for close() against cpu_access(); a close() while a view
    is in use takes effect when the last `with` block ends.
    """

    def __init__(
        self, fd: int, size: int, id: int | None = None, context: str | None = None
    ) -> None:
        """Take the descriptor over."""
        of = f" of context {context!r}" if context else ""
        super().__init__(fd, "foreign dma-buf" if id is None else f"chunk {id}{of}")
        self.size = size
        self.id = id
        self.context = context
        self._lock = threading.RLock()  # a collection may end a block meanwhile
        self._idle: list[Mapping] = []
        self._accesses = 0
        self._closing = False

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Make a Buffer of any dma-buf's descriptor, which it owns if that succeeds.

        RequestError: it is no dma-buf (EINVAL, EBADF), and stays the caller's. Context.adopt()
        knows chunks, too.
        """
        link = _link(fd)
        if not link.startswith(DMA_BUF_LINK):
            raise request_error(errno.EINVAL, f"descriptor {fd} is {link!r}, and no dma-buf")
        return cls(fd, os.lseek(fd, 0, os.SEEK_END))

    @property
    def fd(self) -> int:
        """Return the descriptor, which stays the Buffer's; ClosedError after close()."""
        return self.fileno()

    def dup(self) -> Buffer:
        """Return another Buffer of the same memory, with a descriptor of its own."""
        fd = fcntl.fcntl(self.fd, fcntl.F_DUPFD_CLOEXEC, 3)
        return Buffer(fd, self.size, self.id, self.context)

    def detach(self) -> int:
        """Return the descriptor, which is the caller's from now on; this Buffer is closed.

        BufferError while a block uses the memory.
        """
        with self._lock:
            fd = self.fileno()
            if self._accesses:
                raise BufferError(f"{self._what} is in use: detach() it when the blocks have ended")
            self._closing = True
            self._unmap()
            self._abandon.detach()
            return fd

    def set_name(self, name: str) -> None:
        """Name the dma-buf, as lists of buffers show it; at most 31 bytes of UTF-8.

        ValueError for a longer name or one with a NUL; OSError EBUSY while drivers import it.
        """
        encoded = encode_name(name)
        try:
            ioctl(self.fd, _SET_NAME, ffi.new("char[]", encoded))
        except OSError as error:
            raise explained(error, f"{self._what} cannot be named {name!r}") from None

    @contextmanager
    def cpu_access(self, mode: Mode = "r") -> Iterator[memoryview]:
        """Give the bytes to the CPU for the length of a `with` block, synchronized with devices.

        The view is read-only in mode "r". It is released when the block ends; KeptError when
        something else that was made of it is still there then: a slice, an array, another view.
        That has a copy of the content from then on.
        OSError ENOTTY: not a dma-buf.

        Access to a chunk after CM_IOC_FREE raises SIGBUS, which ends the process.
        """
        flags, writing = _access(mode), mode != "r"
        fd, mapping = self._begin(writing=writing)
        readable = False
        try:
            self._sync(fd, _SYNC_START | flags)
            try:
                with mapping.lend(self._what, writable=writing) as view:
                    yield view
            finally:
                self._sync(fd, _SYNC_END | flags)
                readable = True
        finally:
            self._end(mapping, readable=readable)

    @contextmanager
    def array(
        self,
        shape: int | tuple[int, ...] | None = None,
        dtype: DTypeLike = "uint8",
        mode: Mode = "r",
        *,
        offset: int = 0,
        strides: tuple[int, ...] | None = None,
    ) -> Iterator[Array]:
        """Give the memory to the CPU as a NumPy array, without a copy, for a `with` block.

        As cpu_access(). shape: elements in each dimension; None for all that fits. offset and
        strides are bytes. Keep the array in a local variable; using it after the block raises,
        and KeptError says at the end of the block that anything else refers to it, or was made
        of it. What it raises then has the words "its block has ended", unless it is the IndexError
        of NumPy that an array of 0 dimensions has no elements. ValueError: it does not fit the
        buffer; ImportError: without NumPy.
        """
        offset = require_whole("offset", offset, "bytes, a whole number")
        if shape is None:
            shape = (self.size - offset) // max(import_numpy().dtype(dtype).itemsize, 1)
        steps = None if strides is None else _whole("strides", strides)
        part = Part(0, offset, _whole("shape", shape), dtype, steps)
        with LentArrays([self.cpu_access(mode)], [part]) as arrays:
            yield arrays[0]

    def close(self) -> None:
        """Unmap and close, at the end of the last cpu_access() block; again does nothing."""
        with self._lock:
            self._closing = True
            if not self._accesses:
                self._release()

    def __len__(self) -> int:
        """Return the size in bytes."""
        return self.size

    def __bool__(self) -> bool:
        """Return whether it is open."""
        return not self._closing

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing import reduction

        if sys._getframe(1).f_globals.get("__name__") != reduction.__name__:
            raise TypeError(
                f"{self._what} has a descriptor, which only multiprocessing can pass on; "
                "use that, or send its fd by socket.send_fds()"
            )
        return _received, (type(self), reduction.DupFd(self.fd), self.size, self.id, self.context)

    def _begin(self, *, writing: bool) -> tuple[int, Mapping]:
        with self._lock:
            if self._closing:
                raise ClosedError(f"{self._what} is closed")
            writable = fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
            if writing and not writable:
                raise request_error(
                    errno.EACCES,
                    f"{self._what}: descriptor {self._fd} is not open for writing; "
                    "export it with O_RDWR",
                )
            # A mapping for each block at a time, so that what outlives one is known to be of it.
            self._accesses += 1
            try:
                return self._fd, self._idle.pop() if self._idle else self._map(writable)
            except BaseException:
                self._accesses -= 1
                raise

    def _map(self, writable: bool) -> Mapping:
        try:
            return Mapping(self._fd, self.size, writable=writable)
        except OSError as error:
            raise explained(error, f"{self._what} of {self.size} bytes cannot be mapped") from None

    def _end(self, mapping: Mapping, *, readable: bool) -> None:
        with self._lock:
            self._accesses -= 1
            try:
                if not mapping.is_kept():
                    self._idle.append(mapping)
                elif readable:
                    mapping.copy()
            finally:
                if self._closing and not self._accesses:
                    self._release()

    def _release(self) -> None:
        self._unmap()
        super().close()

    def _unmap(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _sync(self, fd: int, flags: int) -> None:
        while True:
            try:
                return ioctl(fd, _SYNC, ffi.new("uint64_t *", flags))
            except BlockingIOError:
                continue
            except OSError as error:
                raise explained(error, f"{self._what}: CPU access cannot be synchronized") from None


def _link(fd: int) -> str:
    """Return what a descriptor's link in /proc says that it is; RequestError: it is none."""
    try:
        os.fstat(fd)
    except (OSError, OverflowError, TypeError):
        what = f"{fd!r} is no open descriptor, and so no dma-buf"
        raise explained(OSError(errno.EBADF, ""), what) from None
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError as error:
        raise explained(error, f"/proc does not say whether {fd} is a dma-buf") from None


def _access(mode: Mode) -> int:
    try:
        return _ACCESS[mode]
    except (KeyError, TypeError):
        raise ValueError(f"{mode!r} is no mode of access: use 'r', 'w' or 'rw'") from None


def _whole(name: str, numbers: int | Sequence[int]) -> tuple[int, ...]:
    several = numbers if isinstance(numbers, tuple | list) else (numbers,)
    what = "a whole number, or a tuple of such"
    return tuple(require_whole(name, number, what) for number in several)


def _received(
    kind: type[Buffer], passed: Any, size: int, id: int | None, context: str | None
) -> Buffer:
    """Make a Buffer of what came from another process."""
    fd = passed.detach()
    os.set_inheritable(fd, False)  # which it was, to reach a process that was spawned
    return kind(fd, size, id, context)


def encode_name(name: str) -> bytes:
    """Return a buffer's name in bytes; ValueError when the kernel would not take it."""
    if not isinstance(name, str):
        raise TypeError(f"{name!r} cannot name a buffer: a name is a str")
    encoded = name.encode(errors="surrogatepass")
    if len(encoded) > NAME_MAX or not name.isprintable():
        what = f"at most {NAME_MAX} bytes of characters that print"
        raise ValueError(f"{name!r} cannot name a buffer: {what}")
    return encoded
