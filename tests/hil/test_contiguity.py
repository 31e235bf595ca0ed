# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is said of buffers that are not ours, and of ours that a device does not reach.

The buffers come from the kernel as it is: vivid with vmalloc, vivid with dma-contig, udmabuf.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("module")


def load_vivid(allocators: int) -> None:
    import subprocess

    options = ["n_devs=1", "node_types=0x1", f"allocators={allocators}", "multiplanar=1"]
    subprocess.run(["modprobe", "-r", "vivid"], check=True)
    subprocess.run(["modprobe", "vivid", *options], check=True)


@pytest.fixture
def vmalloc_vivid(board: Any) -> Iterator[None]:
    board.call(load_vivid, allocators=0)
    yield
    board.check("modprobe -r vivid")


@pytest.fixture
def contiguous_vivid(board: Any) -> Iterator[None]:
    board.call(load_vivid, allocators=1)
    yield
    board.check("modprobe -r vivid")


def verify_exported(context: str | None, dma_bits: int) -> list[dict[str, Any]]:
    """Verify the buffers that vivid allocated itself, with or without a context to ask."""
    import json
    from contextlib import ExitStack

    from cm_agent.contiguity.verification import verify
    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    with ExitStack() as stack:
        device = stack.enter_context(VideoDevice(find("vivid")))
        pool = stack.enter_context(Context(context)) if context else None
        device.capture.negotiate(640, 480, "RGB3")
        buffers = stack.enter_context(device.capture.exported(4))
        found = [verify(plane, pool, dma_bits=dma_bits) for planes in buffers for plane in planes]
        return json.loads(json.dumps([verification.to_json() for verification in found]))


def words(verification: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {it["name"]: (it["verdict"], it["detail"]) for it in verification["witnesses"]}


@pytest.mark.lg_feature("vivid")
@pytest.mark.usefixtures("vmalloc_vivid")
def test_the_witnesses_agree_on_a_drivers_virtually_contiguous_buffer(board: Any) -> None:
    """On a freshly booted board such a buffer may happen to be one run: that is true, then."""
    for found in board.call(verify_exported, context="shared", dma_bits=64):
        attestation, pagemap, pattern = found["witnesses"]
        verdict = "CONTIGUOUS" if attestation["runs"] == 1 else "FRAGMENTED"
        assert (found["verdict"], found["agree"]) == (verdict, True), found
        assert attestation["runs"] == pagemap["runs"]
        assert attestation["address"] == pagemap["address"]
        assert pattern["consistent"]


@pytest.mark.lg_feature("vivid")
@pytest.mark.usefixtures("contiguous_vivid")
def test_a_foreign_contiguous_buffer_is_contiguous_but_in_no_bank(board: Any) -> None:
    """Pagemap cannot see it; the attestation can, and nobody contradicts."""
    for found in board.call(verify_exported, context="private", dma_bits=64):
        said = words(found)
        assert (found["verdict"], found["agree"]) == ("CONTIGUOUS", True), found
        assert said["attestation"][0] == "CONTIGUOUS" and "in no bank" in said["attestation"][1]
        assert said["pagemap"][0] == "UNVERIFIABLE" and "VM_PFNMAP" in said["pagemap"][1]


@pytest.mark.lg_feature("vivid")
@pytest.mark.usefixtures("contiguous_vivid")
def test_what_only_pagemap_could_see_and_cannot_is_unverifiable(board: Any) -> None:
    for found in board.call(verify_exported, context=None, dma_bits=64):
        assert (found["verdict"], found["agree"]) == ("UNVERIFIABLE", True), found


# -- memory scattered on purpose


def hold_scattered(pages: int) -> list[int]:
    """Leave a process holding a dma-buf of ordinary pages, no two of them in a row.

    Linux' own udmabuf strings the pages of a memory file together in the order it is told: here
    from the highest page frame down. Pages that a bank lent it are migrated when they are pinned,
    so it is made once in any order, and again when the pages have come to rest.
    Returns the pid and the descriptor.
    """
    import fcntl
    import mmap
    import os
    import signal
    import struct

    page, create_list = mmap.PAGESIZE, 1 << 30 | 8 << 16 | ord("u") << 8 | 0x43
    memory = os.memfd_create("tenant", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, pages * page)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    view = mmap.mmap(memory, pages * page)

    def udmabuf(order: list[int]) -> int:
        request = struct.pack("=II", 0, pages)
        request += b"".join(struct.pack("=IIQQ", memory, 0, at * page, page) for at in order)
        with open("/dev/udmabuf", "r+b", buffering=0) as device:
            return fcntl.ioctl(device, create_list, bytearray(request))

    def frames() -> list[int]:
        for offset in range(0, pages * page, page):
            view[offset] = 1
        with open("/proc/self/maps") as maps, open("/proc/self/pagemap", "rb") as pagemap:
            (start,) = (int(line.split("-")[0], 16) for line in maps if "memfd:tenant" in line)
            pagemap.seek(start // page * 8)
            entries = struct.unpack(f"={pages}Q", pagemap.read(8 * pages))
        return [entry & (1 << 55) - 1 for entry in entries]

    os.close(udmabuf(list(range(pages))))
    found = frames()
    buffer = udmabuf(sorted(range(pages), key=lambda index: -found[index]))
    pid = os.fork()
    if not pid:
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        while True:
            signal.pause()
    os.close(buffer)
    os.close(memory)
    return [pid, buffer]


def ended(pid: int) -> None:
    """Kill a child process and take its leave."""
    import os
    import signal

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.fixture
def scattered(board: Any) -> Iterator[str]:
    """The arguments by which the verifier finds a dma-buf of 64 scattered pages."""
    pid, fd = board.call(hold_scattered, pages=64)
    yield f"--pid {pid} --fd {fd}"
    board.call(ended, pid=pid)


@pytest.mark.lg_feature("udmabuf")
def test_a_deliberately_scattered_buffer_is_fragmented(board: Any, scattered: str) -> None:
    got = board.run(f"cm-agent verify shared {scattered} --json")
    (found,) = json.loads(got.stdout)["result"]
    assert (found["verdict"], found["agree"]) == ("FRAGMENTED", True), found
    runs = {witness["name"]: witness["runs"] for witness in found["witnesses"]}
    assert runs["attestation"] == 64


@pytest.mark.lg_feature("udmabuf")
def test_the_exit_code_is_1_for_a_fragmented_buffer(board: Any, scattered: str) -> None:
    got = board.run(f"cm-agent verify shared {scattered}")
    assert got.code == 1 and "FRAGMENTED" in got.stdout, got


# -- whom a device reaches


def verify_own(context: str, dma_bits: int) -> dict[str, Any]:
    import json

    from cm_agent.contiguity.verification import verify
    from cm_agent.core.context import Context

    with Context(context) as pool, pool.alloc(1 << 20) as buffer:
        return json.loads(json.dumps(verify(buffer, pool, dma_bits=dma_bits).to_json()))


@pytest.mark.parametrize("context", ["shared", "private"])
@pytest.mark.parametrize(("bits", "verdict"), [(30, "BOUNCED"), (31, "CONTIGUOUS")])
def test_a_chunk_out_of_a_devices_reach_is_bounced(
    board: Any, context: str, bits: int, verdict: str
) -> None:
    """The banks lie from 0x70000000 on: 31 address bits reach them, 30 do not."""
    found = board.call(verify_own, context=context, dma_bits=bits)
    assert (found["verdict"], found["agree"]) == (verdict, True), found
    assert f"{bits} address bits" in words(found)["attestation"][1]


# -- exit codes


def hold() -> list[int]:
    """Start a process that holds a buffer of vivid; return its pid and descriptor."""
    import subprocess
    import sys

    source = (
        "import signal; from cm_agent.video.device import VideoDevice\n"
        "from cm_agent.video.discovery import find\n"
        "with VideoDevice(find('vivid')) as device, device.capture.exported(1) as buffers:\n"
        "    print(buffers[0][0].fd, flush=True); signal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return [process.pid, int(process.stdout.readline())]


def test_the_exit_code_is_0_for_contiguous_only(board: Any) -> None:
    assert board.run("cm-agent verify shared 64KiB 1MiB/2MiB").code == 0
    bounced = board.run("cm-agent verify shared 64KiB --dma-bits 30")
    assert bounced.code == 1 and "BOUNCED" in bounced.stdout


@pytest.mark.lg_feature("vivid")
@pytest.mark.usefixtures("contiguous_vivid")
def test_the_exit_code_is_1_for_what_cannot_be_verified(board: Any) -> None:
    pid, fd = board.call(hold)
    try:
        alone = f"mount -t tmpfs none /dev/cm && cm-agent verify --pid {pid} --fd {fd}"
        got = board.run(f"unshare --mount sh -c '{alone}'")
        assert got.code == 1 and "UNVERIFIABLE" in got.stdout, got
        seen = board.run(f"cm-agent verify shared --pid {pid} --fd {fd}")
        assert seen.code == 0 and "CONTIGUOUS" in seen.stdout, seen
    finally:
        board.call(ended, pid=pid)
