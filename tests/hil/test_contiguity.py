# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is said of buffers that are not ours, and what is said to those who may not know.

The buffers come from the kernel as it is: vivid with vmalloc, vivid with dma-contig, udmabuf.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

ADDRESS = re.compile(r"0x[0-9a-f]{6,}|\b1[89]\d{8}\b|\b20\d{8}\b|\b21[0-4]\d{7}\b")
"""What looks like an address, or like one of the banks' (0x70000000 to 0x7fffffff) in decimal."""
GUEST = "setpriv --reuid guest --regid guest --groups cm"


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

    from cm_agent.context import Context
    from cm_agent.contiguity import verify
    from cm_agent.v4l2.device import VideoDevice
    from cm_agent.v4l2.exported import exported
    from cm_agent.v4l2.lookup import find

    with ExitStack() as stack:
        device = stack.enter_context(VideoDevice(find("vivid")))
        pool = stack.enter_context(Context(context)) if context else None
        device.negotiate(640, 480, "RGB3")
        buffers = stack.enter_context(exported(device, 4))
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


def verify_udmabuf(pages: int) -> dict[str, Any]:
    """Verify a dma-buf made of a memory file, through Linux' own udmabuf."""
    import fcntl
    import json
    import os
    import struct

    from cm_agent.buffer import Buffer
    from cm_agent.context import Context
    from cm_agent.contiguity import verify

    memory = os.memfd_create("tenant", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(memory, pages * 4096)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    device = os.open("/dev/udmabuf", os.O_RDWR)
    request = bytearray(struct.pack("=IIQQ", memory, 1, 0, pages * 4096))
    udmabuf_create = 1 << 30 | len(request) << 16 | ord("u") << 8 | 0x42
    buffer = Buffer.from_fd(fcntl.ioctl(device, udmabuf_create, request))
    os.close(device)
    os.close(memory)
    with buffer, Context("shared") as context:
        return json.loads(json.dumps(verify(buffer, context).to_json()))


def test_a_dma_buf_of_ordinary_memory_is_fragmented(board: Any) -> None:
    if board.run("test -c /dev/udmabuf").code:
        pytest.skip("this kernel has no udmabuf")
    found = board.call(verify_udmabuf, pages=1024)
    assert (found["verdict"], found["agree"]) == ("FRAGMENTED", True), found


# -- whom a device reaches


def verify_own(context: str, dma_bits: int) -> dict[str, Any]:
    import json

    from cm_agent.context import Context
    from cm_agent.contiguity import verify

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


# -- who may know addresses


def guest_looks(context: str) -> dict[str, Any]:
    """Say all that the library tells a member of group cm without any capability."""
    import ctypes
    import grp
    import json
    import os
    from dataclasses import asdict

    def look() -> dict[str, Any]:
        from cm_agent.context import Context
        from cm_agent.contiguity import verify

        with Context(context) as pool, pool.alloc(1 << 20) as buffer:
            try:
                pinned = repr(pool.pin(buffer))
            except PermissionError as error:
                pinned = f"errno {error.errno}"
            return {
                "pin": pinned,
                "attest": asdict(pool.attest(buffer)),
                "info": asdict(pool.info(buffer)),
                "query": asdict(pool.query()),
                "verify": verify(buffer, pool).to_json(),
                "alone": verify(buffer, None).to_json(),
            }

    reader, writer = os.pipe()
    if not os.fork():
        try:
            os.setgroups([grp.getgrnam("cm").gr_gid])
            os.setgid(1000)
            os.setuid(1000)
            ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE, as after exec()
            os.write(writer, json.dumps(look()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def guest(board: Any) -> dict[str, Any]:
    """What a user without capabilities is told."""
    return board.call(guest_looks, context="shared")


def test_a_guest_may_not_pin(guest: dict[str, Any]) -> None:
    assert guest["pin"] == "errno 1"


def test_a_guest_is_told_that_it_is_one_run_and_not_where(guest: dict[str, Any]) -> None:
    attested = guest["attest"]
    assert (attested["has_addresses"], attested["in_bank"]) == (False, True)
    assert [run["address"] for run in attested["runs"]] == [None]
    assert (guest["verify"]["verdict"], guest["verify"]["agree"]) == ("CONTIGUOUS", True)


def test_a_guests_pagemap_is_blind_and_says_so(guest: dict[str, Any]) -> None:
    assert words(guest["verify"])["pagemap"][0] == "UNVERIFIABLE"
    assert "CAP_SYS_ADMIN" in words(guest["verify"])["pagemap"][1]
    assert guest["alone"]["verdict"] == "UNVERIFIABLE"


def test_a_guest_finds_no_address_anywhere(guest: dict[str, Any]) -> None:
    assert not ADDRESS.findall(json.dumps(guest))


@pytest.mark.parametrize(
    "command",
    [
        "cm-agent verify shared 1MiB --json",
        "cm-agent verify shared 1MiB",
        "cm-agent alloc private 2MiB --verify --json",
        "cm-agent alloc private 2MiB --verify",
        "cm-agent list --json",
        "cat /sys/class/cm/*/uevent",
    ],
)
def test_a_command_tells_a_guest_no_address(board: Any, command: str) -> None:
    said = board.check(f"{GUEST} sh -c '{command}' 2>&1")
    assert said and not ADDRESS.findall(said), said


def test_root_is_told_the_address(board: Any) -> None:
    """So that the tests above look for the right thing."""
    assert ADDRESS.findall(board.check("cm-agent verify shared 1MiB"))
    assert ADDRESS.findall(board.check("cm-agent verify shared 1MiB --json"))


# -- exit codes


def hold() -> list[int]:
    """Start a process that holds a buffer of vivid; return its pid and descriptor."""
    import subprocess
    import sys

    source = (
        "import signal; from cm_agent.v4l2.device import VideoDevice\n"
        "from cm_agent.v4l2.exported import exported; from cm_agent.v4l2.lookup import find\n"
        "with VideoDevice(find('vivid')) as device, exported(device, 1) as buffers:\n"
        "    print(buffers[0][0].fd, flush=True); signal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return [process.pid, int(process.stdout.readline())]


def ended(pid: int) -> None:
    """Kill a child process and take its leave."""
    import os
    import signal

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_exit_code_is_0_for_contiguous_only(board: Any) -> None:
    assert board.run("cm-agent verify shared 64KiB 1MiB/2MiB").code == 0
    bounced = board.run("cm-agent verify shared 64KiB --dma-bits 30")
    assert bounced.code == 1 and "BOUNCED" in bounced.stdout


@pytest.mark.lg_feature("vivid")
@pytest.mark.usefixtures("vmalloc_vivid")
def test_the_exit_code_is_1_for_a_fragmented_buffer_of_another_process(board: Any) -> None:
    pid, fd = board.call(hold)
    try:
        got = board.run(f"cm-agent verify shared --pid {pid} --fd {fd}")
        assert got.code == 1 and "FRAGMENTED" in got.stdout, got
    finally:
        board.call(ended, pid=pid)


@pytest.mark.lg_feature("vivid")
@pytest.mark.usefixtures("contiguous_vivid")
def test_the_exit_code_is_1_for_what_cannot_be_verified(board: Any) -> None:
    pid, fd = board.call(hold)
    try:
        got = board.run(f"cm-agent verify --dev /nowhere --pid {pid} --fd {fd}")
        assert got.code == 1 and "UNVERIFIABLE" in got.stdout, got
        seen = board.run(f"cm-agent verify shared --pid {pid} --fd {fd}")
        assert seen.code == 0 and "CONTIGUOUS" in seen.stdout, seen
    finally:
        board.call(ended, pid=pid)
