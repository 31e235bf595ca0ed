# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a mapping of a chunk is, for its process and for others."""

from __future__ import annotations

import errno
from typing import Any

import pytest

pytestmark = [
    pytest.mark.two_kernels,
    pytest.mark.parametrize("context", ["shared", "private"]),
]
CELL = 4096
"""Bytes of the pattern that hold the same number."""
FAULTS = 4


def where_it_lies(context: str, size: int) -> dict[str, Any]:
    from cm_agent.contiguity import pagemap
    from cm_agent.core.context import Context

    with (
        Context(context) as pool,
        pool.alloc(size) as chunk,
        pool.pinned(chunk) as pin,
        chunk.cpu_access("r") as view,
    ):
        runs = [[run.offset, run.length, run.address] for run in pagemap.runs(view)]
        return {"runs": runs, "pin": pin.address}


@pytest.mark.parametrize(("pages", "more"), [(1, 0), (33, 0), (0, 4 << 20)])
def test_pagemap_shows_one_run_at_the_pinned_address(
    module: Any, page_size: int, context: str, pages: int, more: int
) -> None:
    size = pages * page_size + more
    got = module.call(where_it_lies, context=context, size=size)
    assert got["runs"] == [[0, size, got["pin"]]]


def map_wrongly(context: str, length: int, offset: int, private: bool) -> int:
    """Return the errno of mmap(), of so many pages; the chunk has 8."""
    import mmap

    from cm_agent.core.context import Context

    page = mmap.PAGESIZE
    with Context(context) as pool, pool.alloc(8 * page) as chunk:
        flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
        try:
            mmap.mmap(chunk.fd, length * page, flags, offset=offset * page).close()
        except OSError as error:
            return error.errno or 0
        return 0


# In pages.
MAPPINGS = {
    "all": (8, 0, False, 0),
    "last-page": (1, 7, False, 0),
    "private": (8, 0, True, errno.EINVAL),
    "private-page": (1, 1, True, errno.EINVAL),
    "a-page-too-long": (9, 0, False, errno.EINVAL),
    "behind-the-end": (1, 8, False, errno.EINVAL),
    "across-the-end": (2, 7, False, errno.EINVAL),
    # On 32 bits below 4 GiB, from where on the kernel says EOVERFLOW of its own accord.
    "far-behind": (1, 1 << 19, False, errno.EINVAL),
}


@pytest.mark.parametrize("case", MAPPINGS)
def test_only_shared_mappings_inside_the_chunk_are_made(
    module: Any, context: str, case: str
) -> None:
    length, offset, private, number = MAPPINGS[case]
    asked = {"length": length, "offset": offset, "private": private}
    assert module.call(map_wrongly, context=context, **asked) == number


def map_a_part(context: str) -> list[int]:
    """Number the pages, and read the numbers through a mapping of the last three of them."""
    import mmap

    from cm_agent.core.context import Context

    page = mmap.PAGESIZE
    with Context(context) as pool, pool.alloc(8 * page) as chunk:
        with chunk.cpu_access("w") as view:
            for number in range(8):
                view[page * number] = number + 1
        with mmap.mmap(chunk.fd, 3 * page, offset=5 * page) as part:
            return [part[at] for at in (2 * page, page, 0)]


def test_an_offset_counts_from_the_start_of_the_chunk(module: Any, context: str) -> None:
    assert module.call(map_a_part, context=context) == [8, 7, 6]


def grow(context: str, how: list[int]) -> dict[str, Any]:
    """Try to reach past a chunk of 8 pages from a mapping of all of it.

    By mremap(), from how many pages to how many and with which flags, or by remap_file_pages(), to
    which page.
    """
    import ctypes
    import mmap

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    libc, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
    libc.mremap.restype = ctypes.c_void_p
    libc.mremap.argtypes = [ctypes.c_void_p, *[ctypes.c_size_t] * 2, ctypes.c_int]
    size, number = ctypes.c_size_t, ctypes.c_int
    libc.remap_file_pages.argtypes = [ctypes.c_void_p, size, number, size, number]
    with (
        Context(context) as pool,
        pool.alloc(8 * page) as chunk,
        chunk.cpu_access("rw") as view,
    ):
        view[0] = 7
        start = uapi.address_of(view)
        if len(how) == 3:
            old, new, flags = how
            refused = libc.mremap(start, old * page, new * page, flags) == ctypes.c_void_p(-1).value
        else:
            refused = libc.remap_file_pages(start + page * 7, page, 0, how[0], 0) == -1
        return {"errno": ctypes.get_errno() if refused else 0, "first": view[0]}


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ([8, 9, 0], errno.EFAULT),
        ([8, 9, 1], errno.EFAULT),
        ([8, 1 << 18, 1], errno.EFAULT),
        ([0, 16, 1], errno.EFAULT),
        ([1, 2, 1], errno.EFAULT),
        ([8], errno.EINVAL),
    ],
    ids=["in-place", "by-moving", "far", "second-mapping", "its-first-page", "remap-file-pages"],
)
def test_a_mapping_does_not_grow_past_the_chunk(
    module: Any, context: str, how: list[int], number: int
) -> None:
    assert module.call(grow, context=context, how=how) == {"errno": number, "first": 7}


def count_faults(context: str) -> list[int]:
    """Read a byte of every page of 4 MiB; return minor faults, of a rehearsal and of it."""
    import mmap
    import resource

    from cm_agent.core.context import Context

    counts = []
    with Context(context) as pool:
        for _ in range(2):
            with pool.alloc(4 << 20) as chunk, chunk.cpu_access("r") as view:
                before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
                for at in range(0, 4 << 20, mmap.PAGESIZE):
                    if view[at]:
                        raise ValueError("not zero")
                counts.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
    return counts


def test_reading_a_whole_mapping_costs_a_handful_of_faults(module: Any, context: str) -> None:
    """Writing costs one more a page on processors that cannot mark a page dirty themselves."""
    counts = module.call(count_faults, context=context)
    assert 1 <= counts[-1] <= FAULTS


def share_with_a_child(context: str) -> dict[str, Any]:
    """Write before and after fork(), in parent and child, and let the kernel look as well."""
    import mmap
    import os

    from cm_agent.contiguity import pagemap
    from cm_agent.core.context import Context

    size = 64 * mmap.PAGESIZE
    with Context(context) as pool, pool.alloc(size) as chunk:
        with chunk.cpu_access("rw") as view:
            view[0] = 1
            here = pagemap.runs(view)[0].address
            if not (child := os.fork()):
                good = view[0] == 1 and pagemap.runs(view)[0].address == here
                view[:] = bytes(size)
                view[size - 1] = 2
                os._exit(0 if good else 1)
            _, status = os.waitpid(child, 0)
            seen = [view[0], view[size - 1]]
        return {"status": status, "seen": seen, "kernel": pool.pattern_check(chunk, 0).matched}


def test_a_forked_child_has_the_same_memory(module: Any, context: str) -> None:
    """The last 8 bytes are the child's; the pattern of seed 0 is zero for one cell."""
    got = module.call(share_with_a_child, context=context)
    assert got == {"status": 0, "seen": [0, 2], "kernel": CELL}


def reach_from_outside(context: str, how: str) -> dict[str, Any]:
    """Read and write the mapping of a chunk from a child, as a debugger does."""
    import ctypes
    import mmap
    import os

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    size, parent = 40 * mmap.PAGESIZE, os.getpid()

    def copy(name: str, memory: Any) -> None:
        if how == "/proc/pid/mem":
            with open(f"/proc/{parent}/mem", "r+b", buffering=0) as file:
                file.seek(there)
                (file.readinto if name == "read" else file.write)(memory)
            return
        libc = ctypes.CDLL(None, use_errno=True)
        local = (ctypes.c_size_t * 2)(ctypes.addressof(memory), size)
        remote = (ctypes.c_size_t * 2)(there, size)
        call = libc.process_vm_readv if name == "read" else libc.process_vm_writev
        if call(parent, local, 1, remote, 1, 0) != size:
            raise OSError(ctypes.get_errno(), name)

    with Context(context) as pool, pool.alloc(size) as chunk, chunk.cpu_access("rw") as view:
        view[:] = bytes(range(256)) * (size // 256)
        there = uapi.address_of(view)
        if not (child := os.fork()):
            code = 1
            try:
                memory = (ctypes.c_ubyte * size)()
                copy("read", memory)
                code = 2 * (bytes(memory) != bytes(range(256)) * (size // 256))
                ctypes.memset(memory, 0xC3, size)
                copy("write", memory)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        return {"status": status, "written": view.tobytes() == b"\xc3" * size}


@pytest.mark.parametrize("how", ["process_vm", "/proc/pid/mem"])
def test_another_process_reaches_it_as_a_debugger_does(module: Any, context: str, how: str) -> None:
    got = module.call(reach_from_outside, context=context, how=how)
    assert got == {"status": 0, "written": True}


def flags_in_smaps(context: str) -> list[str]:
    import re
    from pathlib import Path

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(4096) as chunk, chunk.cpu_access("r") as view:
        smaps = Path("/proc/self/smaps").read_text()
        entry = smaps[re.search(rf"^{uapi.address_of(view):x}-", smaps, re.MULTILINE).start() :]
        return re.search(r"^VmFlags: (.*)$", entry, re.MULTILINE)[1].split()


def test_its_flags_are_dont_expand_and_dont_dump(module: Any, context: str) -> None:
    flags = set(module.call(flags_in_smaps, context=context))
    assert {"sh", "de", "dd", "mm"} <= flags, "shared, not expanded, not dumped, with struct pages"
    assert not {"pf", "io"} & flags, "frame numbers only would hide it from pagemap and O_DIRECT"


def outlive_the_descriptor(context: str) -> dict[str, Any]:
    import mmap

    from cm_agent.core.context import Context

    with Context(context) as pool:
        before = pool.query()
        chunk = pool.alloc(16 * mmap.PAGESIZE)
        mapping = mmap.mmap(chunk.fd, chunk.size)
        mapping[0] = 1
        chunk.close()
        during = pool.query()
        mapping[-1] = 2
        content = [mapping[0], mapping[mmap.PAGESIZE], mapping[-1]]
        mapping.close()
        after = pool.query()
        return {
            "held": [before.free - during.free, during.chunks - before.chunks],
            "content": content,
            "same": after == before,
        }


def test_a_mapping_keeps_the_memory_after_the_last_descriptor(
    module: Any, page_size: int, context: str
) -> None:
    got = module.call(outlive_the_descriptor, context=context)
    assert got == {"held": [16 * page_size, 1], "content": [1, 0, 2], "same": True}


def kill_while_the_kernel_faults(context: str, size: int, rounds: int) -> dict[str, Any]:
    """Have a child read into a mapping that it has not touched; kill it early or late in that.

    Tell how many were gone within 10 s, and whether all bytes are free again.
    """
    import mmap
    import os
    import random
    import signal
    import time

    from cm_agent.core.context import Context

    def read() -> None:
        with pool.alloc(size) as chunk, open("/dev/zero", "rb") as zero:
            while True:
                view = mmap.mmap(chunk.fd, size)
                os.write(ready, b".")
                os.readv(zero.fileno(), [memoryview(view)[size // 2 :]])
                view.close()

    chance, gone = random.Random(size), 0
    with Context(context) as pool:
        before = pool.query().free
        for _ in range(rounds):
            told, ready = os.pipe()
            pid = os.fork()
            if not pid:
                try:
                    read()
                finally:
                    os._exit(1)
            os.close(ready)
            os.read(told, 1)
            time.sleep(chance.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            limit = time.monotonic() + 10
            while not (ended := os.waitpid(pid, os.WNOHANG)[0]) and time.monotonic() < limit:
                time.sleep(0.01)
            gone += bool(ended)
            os.close(told)
        return {"gone": gone, "lost": before - pool.query().free}


def test_a_process_that_is_killed_while_the_kernel_faults_for_it_ends(
    module: Any, context: str
) -> None:
    got = module.call(kill_while_the_kernel_faults, context=context, size=24 << 20, rounds=20)
    assert got == {"gone": 20, "lost": 0}
