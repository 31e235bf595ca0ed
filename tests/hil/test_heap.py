# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A context as a dma-heap: DMA_HEAP_IOCTL_ALLOC on its node, and the names that udev gives it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest
from boards.board import PROJECT
from hil import heap
from hil.test_control import RELOAD, create, destroy
from hil.test_ioctl import READ_ONLY, U64, ask, refuse
from hil.test_quota import limit

MIB = 1 << 20
GUEST = 1000
FEATURE_DMA_HEAP = 1 << 6
EXAMPLE = PROJECT / "agent/examples/70-cm-heap.rules"
RULES = "/run/udev/rules.d/70-cm-heap.rules"
APPLY = "udevadm control --reload && udevadm trigger --subsystem-match=cm --settle"
CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])


def allocate(request: int, context: str, length: int, flags: int) -> dict[str, Any]:
    """Write to a chunk and free it, allocate by the link in /dev/dma_heap, and tell of what."""
    import fcntl
    import mmap
    import os
    import struct

    from cm_agent.core.buffer import Buffer
    from cm_agent.core.context import Context

    def map_for(fd: int, protection: int) -> int:
        try:
            mmap.mmap(fd, length, prot=protection).close()
        except OSError as error:
            return error.errno or 0
        return 0

    with Context(context) as pool:
        with pool.alloc(length) as before, before.cpu_access("w") as view:
            view[:] = b"\xff" * len(view)
            place = pool.pin(before).address
            pool.unpin(before)
        node = os.open(f"/dev/dma_heap/cm-{context}", os.O_RDWR | os.O_CLOEXEC)
        argument = bytearray(struct.pack("=QIIQ", length, 0, flags, 0))
        fcntl.ioctl(node, request, argument)
        os.close(node)
        with Buffer.from_fd(struct.unpack("=QIIQ", argument)[1]) as chunk:
            info = pool.info(chunk)
            told: dict[str, Any] = {
                "size": [chunk.size, info.size],
                "owner": [info.uid, info.pid == os.getpid()],
                "same place": pool.pin(chunk).address == place,
                "access": fcntl.fcntl(chunk.fd, fcntl.F_GETFL) & os.O_ACCMODE,
                "cloexec": bool(fcntl.fcntl(chunk.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC),
                "mapped": [map_for(chunk.fd, it) for it in (mmap.PROT_READ, mmap.PROT_WRITE)],
            }
            pool.unpin(chunk)
            if told["mapped"][0] == 0:
                with mmap.mmap(chunk.fd, chunk.size, prot=mmap.PROT_READ) as mapping:
                    told["zero"] = not mapping[:].strip(b"\0")
    return told


def demand(
    request: int,
    path: str,
    length: int,
    uid: int = 0,
    no_descriptors: bool = False,
) -> dict[str, Any]:
    """Allocate in a child by a heap's node; return the errno, and what of the statistics grew."""
    import fcntl
    import grp
    import os
    import resource
    import struct
    from pathlib import Path

    from cm_agent.core.context import Context

    def ask() -> int:
        os.setgroups([grp.getgrnam("cm").gr_gid])
        os.setresuid(uid, uid, uid)
        node = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        if no_descriptors:
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
        try:
            fcntl.ioctl(node, request, struct.pack("=QIIQ", length, 0, os.O_RDWR, 0))
        except OSError as error:
            return error.errno or 0
        return 0

    with Context(Path(path).resolve().name) as pool:
        before, state = pool.stats(), pool.query()
        if (child := os.fork()) == 0:
            code = 255
            try:
                code = ask()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        after = pool.stats()
        grown = {
            reason.name: after.failures[reason] - before.failures[reason]
            for reason in after.failures
        }
        return {
            "errno": code,
            "attempts": after.attempts - before.attempts,
            "successes": after.successes - before.successes,
            "failures": {name: count for name, count in grown.items() if count},
            "chunks": pool.query().chunks - state.chunks,
        }


def refused(number: int, reason: str) -> dict[str, Any]:
    """Return what `demand` tells of one allocation that is refused."""
    return {
        "errno": number,
        "attempts": 1,
        "successes": 0,
        "failures": {reason: 1},
        "chunks": 0,
    }


# -- what is allocated


@pytest.mark.two_kernels
@CONTEXTS
def test_it_allocates_a_chunk_that_is_zero_whatever_it_held(
    module: Any, page_size: int, context: str
) -> None:
    told = module.call(
        allocate, request=heap.ALLOC, context=context, length=2 * MIB, flags=heap.USUAL_FLAGS
    )
    assert told["same place"], "nothing was written where it lies"
    assert told["zero"]
    assert told["size"] == [2 * MIB] * 2 and told["owner"] == [0, True]


@CONTEXTS
def test_a_length_is_rounded_up_to_whole_pages(module: Any, page_size: int, context: str) -> None:
    told = module.call(
        allocate, request=heap.ALLOC, context=context, length=page_size + 1, flags=os.O_RDWR
    )
    assert told["size"] == [2 * page_size] * 2


@pytest.mark.two_kernels
@pytest.mark.parametrize(
    ("access", "mapped"),
    [
        (os.O_RDONLY, [0, errno.EACCES]),
        (os.O_WRONLY, [errno.EACCES, errno.EACCES]),
        (os.O_RDWR, [0, 0]),
    ],
    ids=["read-only", "write-only", "read-write"],
)
@pytest.mark.parametrize("cloexec", [0, os.O_CLOEXEC], ids=["inherited", "cloexec"])
def test_the_descriptor_has_the_flags_that_were_asked_for(
    module: Any, access: int, mapped: list[int], cloexec: int
) -> None:
    told = module.call(
        allocate, request=heap.ALLOC, context="shared", length=4096, flags=access | cloexec
    )
    assert (told["access"], told["cloexec"]) == (access, bool(cloexec))
    assert told["mapped"] == mapped


def features(context: str) -> int:
    from cm_agent.core.context import Context

    with Context(context) as pool:
        return pool.query().features


@CONTEXTS
def test_a_context_says_that_it_is_a_heap(module: Any, context: str) -> None:
    assert module.call(features, context=context) & FEATURE_DMA_HEAP


# -- what is refused


WRONG = {
    "length-0": ({"length": 0}, errno.EINVAL),
    "length-all-ones": ({"length": U64}, errno.EINVAL),
    "length-beyond-the-bank": ({"length": 1 << 40}, errno.ENOMEM),
    "length-a-page-below-2^64": ({"length": -65536 & U64}, errno.ENOMEM),
    "fd-1": ({"fd": 1}, errno.EINVAL),
    "fd-all-ones": ({"fd": (1 << 32) - 1}, errno.EINVAL),
    "heap-flags-1": ({"heap_flags": 1}, errno.EINVAL),
    "heap-flags-high": ({"heap_flags": 1 << 63}, errno.EINVAL),
}


@CONTEXTS
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_refused(module: Any, case: str, context: str) -> None:
    members, number = WRONG[case]
    refuse(module, [heap.call(**members)], number, context=context)


def test_every_other_descriptor_flag_is_einval(module: Any) -> None:
    flags = [1 << bit for bit in range(32) if not 1 << bit & (os.O_ACCMODE | os.O_CLOEXEC)]
    calls = [heap.call(fd_flags=heap.USUAL_FLAGS | it) for it in flags]
    assert len(calls) == 29
    refuse(module, calls, errno.EINVAL)


def test_a_structure_that_has_no_room_for_the_descriptor_is_einval(module: Any) -> None:
    calls = [heap.call(size=size) for size in range(heap.FLAGS_AT)]
    refuse(module, calls, errno.EINVAL)


@pytest.mark.two_kernels
@pytest.mark.parametrize("size", [heap.FLAGS_AT, heap.HEAP_FLAGS_AT])
def test_what_a_shorter_structure_lacks_is_zero(module: Any, size: int) -> None:
    """Of 16 bytes, without heap_flags, is the older one of the kernel's selftest."""
    ((result, same, _),) = ask(module, [heap.call(size=size)])
    assert (result, same) == (0, False)


@pytest.mark.two_kernels
@pytest.mark.parametrize("tail", [1, 8, 24, 4096])
def test_the_tail_of_a_longer_structure_is_left_alone(module: Any, tail: int) -> None:
    ((result, same, after),) = ask(module, [heap.call(size=heap.SIZE + tail)])
    assert (result, same) == (0, False)
    assert after[heap.SIZE :] == b"\xff" * tail


def test_an_inaccessible_structure_is_efault(module: Any) -> None:
    calls = [heap.call(beyond=beyond) for beyond in (1, heap.SIZE // 2, heap.SIZE)]
    calls += [heap.call(address=address) for address in (0, 8, -8 & U64, 0xFFFF << 48)]
    refuse(module, calls, errno.EFAULT)


@CONTEXTS
def test_a_structure_that_cannot_be_written_back_is_efault(module: Any, context: str) -> None:
    """And what was allocated until then is free again."""
    calls = [heap.call(beyond=beyond, there=READ_ONLY) for beyond in (1, heap.SIZE // 2)]
    refuse(module, calls, errno.EFAULT, context=context)


def test_a_call_of_other_direction_or_number_is_enotty(module: Any) -> None:
    _, *rest = heap.call()
    numbers = [heap.ALLOC ^ flip << 30 for flip in (1, 2, 3)]
    numbers += [heap.ALLOC + nr for nr in (1, 2, 255)]
    refuse(module, [(number, *rest) for number in numbers], errno.ENOTTY)


# -- limits, statistics, errors


@CONTEXTS
def test_an_allocation_is_counted(module: Any, context: str) -> None:
    path = f"/dev/dma_heap/cm-{context}"
    told = module.call(demand, request=heap.ALLOC, path=path, length=MIB)
    assert told == {"errno": 0, "attempts": 1, "successes": 1, "failures": {}, "chunks": 0}


@CONTEXTS
def test_more_than_is_free_is_enomem_and_counted_as_full(module: Any, context: str) -> None:
    path = f"/dev/dma_heap/cm-{context}"
    told = module.call(demand, request=heap.ALLOC, path=path, length=1 << 30)
    assert told == refused(errno.ENOMEM, "FULL")


@pytest.fixture
def limited(module: Any) -> Iterator[Any]:
    """The board, where the guest may have 1 MiB, and 1 chunk of 4 KiB, of each context."""
    module.call(limit, quotas=[[it, MIB, GUEST, None] for it in ("shared", "private")])
    yield module
    module.call(limit, quotas=[[it, None, GUEST, None] for it in ("shared", "private")])


@CONTEXTS
def test_a_quota_applies(limited: Any, context: str) -> None:
    path, request = f"/dev/dma_heap/cm-{context}", heap.ALLOC
    fits = limited.call(demand, request=request, path=path, length=MIB, uid=GUEST)
    more = limited.call(demand, request=request, path=path, length=MIB + 1, uid=GUEST)
    assert (fits["errno"], fits["successes"]) == (0, 1)
    assert more == refused(errno.EDQUOT, "QUOTA")


def test_without_a_free_descriptor_nothing_is_allocated(module: Any) -> None:
    path = "/dev/dma_heap/cm-shared"
    told = module.call(demand, request=heap.ALLOC, path=path, length=MIB, no_descriptors=True)
    assert (told["errno"], told["chunks"]) == (errno.EMFILE, 0)


def demand_past_an_obstacle(request: int, context: str) -> list[Any]:
    """Ask for all free bytes while a pipe holds a page of a chunk between them.

    Return the errno, and how often CM_IOC_ALLOC's reason BUSY was counted.
    """
    import ctypes
    import errno
    import fcntl
    import mmap
    import os
    import struct

    from cm_agent.core.context import Context
    from cm_agent.core.uapi import Reason

    reader, writer = os.pipe()
    failure, size = 0, 1 << 20
    with Context(context) as pool, pool.alloc(size) as first, pool.alloc(size) as chunk:
        first.close()
        with mmap.mmap(chunk.fd, size) as mapping:
            mapping[0] = 1
            page = ctypes.c_char.from_buffer(mapping)
            vector = (ctypes.c_size_t * 2)(ctypes.addressof(page), 4096)
            assert ctypes.CDLL(None).vmsplice(writer, vector, 1, 0) == 4096
            del page
        busy = pool.stats().failures[Reason.BUSY]
        argument = struct.pack("=QIIQ", pool.query().free, 0, os.O_RDWR, 0)
        try:
            fcntl.ioctl(pool.fileno(), request, argument)
        except OSError as error:
            failure = error.errno or 0
        busy = pool.stats().failures[Reason.BUSY] - busy
        os.close(reader)
        os.close(writer)
    return [errno.errorcode.get(failure), busy]


def test_what_is_busy_is_enomem_as_heaps_know_no_other_error(module: Any) -> None:
    got = module.call(demand_past_an_obstacle, request=heap.ALLOC, context="private")
    assert got == ["ENOMEM", 1]


def demand_of_a_context_that_is_gone(request: int, context: str) -> int:
    import fcntl
    import os
    import struct

    from cm_agent.core.context import Context
    from cm_agent.core.control import Control

    with Control() as control, Context(context) as pool:
        control.destroy(context)
        try:
            fcntl.ioctl(pool.fileno(), request, struct.pack("=QIIQ", 4096, 0, os.O_RDWR, 0))
        except OSError as error:
            return error.errno or 0
    return 0


@pytest.fixture
def bank(module: Any, banks: dict[str, str]) -> Iterator[str]:
    """A bank without a context."""
    module.call(destroy, names=["private"])
    yield banks["private"]
    module.check(RELOAD)


@pytest.mark.lg_feature("device-tree")
def test_a_context_that_is_gone_is_enodev(module: Any, bank: str) -> None:
    spec = {"name": "it", "bank": bank, "size": 8 * MIB, "private": True}
    assert module.call(create, specs=[spec]) == [""]
    got = module.call(demand_of_a_context_that_is_gone, request=heap.ALLOC, context="it")
    assert got == errno.ENODEV


# -- what udev calls it


@pytest.mark.two_kernels
def test_every_context_has_a_link_and_the_control_node_has_none(module: Any) -> None:
    said = module.check("udevadm settle && cd /dev/dma_heap && readlink -f cm-* && echo cm-*")
    assert said.split() == ["/dev/cm/private", "/dev/cm/shared", "cm-private", "cm-shared"]


def test_a_link_goes_with_its_context(module: Any, bank: str) -> None:
    """`bank` has destroyed it."""
    assert module.check("udevadm settle && cd /dev/dma_heap && echo cm-*") == "cm-shared"


@pytest.fixture
def rules(module: Any) -> Iterator[Any]:
    """The board; rules that a test puts there, and their links, are gone afterwards."""
    module.check("mkdir -p /run/udev/rules.d")
    yield module
    module.check(f"rm -f {RULES} && {APPLY}")


NAMES = {"linux,cma": "lens,one", "reserved": "lens-two"}
"""Those of the example, and what they are in these tests: a kernel may have heaps of the former."""


def apply_example(board: Any, **other: str) -> None:
    """Have udev follow the example, with other names in it."""
    board.put(EXAMPLE, RULES)
    for name, instead in (NAMES | other).items():
        board.check(f"sed -i 's:dma_heap/{name}\":dma_heap/{instead}\":g' {RULES}")
    board.check(APPLY)


def test_the_example_gives_a_context_two_names(rules: Any) -> None:
    apply_example(rules)
    said = rules.check("cd /dev/dma_heap && readlink -f lens,one lens-two cm-shared")
    assert said.split() == ["/dev/cm/shared"] * 3


def test_a_name_goes_with_its_rule(rules: Any) -> None:
    apply_example(rules)
    rules.check(f"rm {RULES} && {APPLY}")
    said = rules.check("cd /dev/dma_heap && echo cm-* lens*")
    assert said == "cm-private cm-shared lens*"


@pytest.mark.lg_feature("dma-heap")
def test_a_heap_of_the_kernels_keeps_its_name_while_there_is_a_rule_and_after(rules: Any) -> None:
    """The other names are given all the same."""
    look = "stat -c %Hr:%Lr /dev/dma_heap/system; cat /sys/class/dma_heap/system/dev"
    apply_example(rules, reserved="system")
    said = rules.check(f"{look}; readlink -f /dev/dma_heap/lens,one").split()
    assert said[0] == said[1] and said[2] == "/dev/cm/shared"
    rules.check(f"rm {RULES} && {APPLY}")
    there, its = rules.check(look).split()
    assert there == its
