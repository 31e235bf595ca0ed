# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How long allocations of a context take, beside what its memory and a system call cost."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cm_agent.core import uapi
from cm_agent.core.context import Context


@dataclass(frozen=True, slots=True)
class Times:
    """Nanoseconds: the median, and what 99 of 100 did not exceed."""

    p50: int
    p99: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured for one size, each `count` times and in turn."""

    size: int
    count: int
    alloc: Times
    memset: Times
    ioctl: Times

    @property
    def ratio(self) -> float:
        """Return the median allocation in terms of clearing as many bytes."""
        return self.alloc.p50 / max(self.memset.p50, 1)


def summarize(samples: list[int]) -> Times:
    """Return the percentiles of samples, of which there is at least one."""
    ordered = sorted(samples)
    return Times(*(ordered[min(len(ordered) - 1, len(ordered) * it // 100)] for it in (50, 99)))


def measure(context: Context, size: int, count: int) -> Measured:
    """Allocate chunks of this size and free them at once, which no time counts.

    Each chunk in turn with a memset of as many bytes and a request that does nothing, so that what
    else the machine does meets all three alike. A size is rounded up to whole pages, as a chunk's
    is. The first of each does not count. AllocationError for what Context.alloc() raises it for.
    """
    with context.alloc(size) as chunk:
        size = chunk.size
    allocs, memsets, ioctls = [], [], []
    fd = context.fileno()
    with _memory(size) as address, _no_collections():
        for _ in range(count + 1):
            allocs.append(_time_alloc(context, size))
            memsets.append(_time(ctypes.memset, address, 0, size))
            ioctls.append(_time(uapi.call_nothing, fd))
    return Measured(size, count, *(summarize(it[1:]) for it in (allocs, memsets, ioctls)))


def _time(do: Callable[..., object], *arguments: object) -> int:
    began = time.perf_counter_ns()
    do(*arguments)
    return time.perf_counter_ns() - began


def _time_alloc(context: Context, size: int) -> int:
    """Without Context.alloc(), whose Python would be a part of what is measured."""
    request = uapi.prepare("CM_IOC_ALLOC", size=size)
    try:
        took = _time(uapi.submit, context.fileno(), "CM_IOC_ALLOC", request)
    except OSError:
        context.alloc(size).close()  # fails with the reason, if it still does
        raise
    os.close(request.fd)
    return took


@contextmanager
def _memory(size: int) -> Iterator[int]:
    """Yield the address of so many bytes of ordinary memory, which is mapped already."""
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        first = ctypes.c_char.from_buffer(memory)
        try:
            address = ctypes.addressof(first)
            ctypes.memset(address, 1, size)
            yield address
        finally:
            del first


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keep Python from collecting garbage while it measures."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
