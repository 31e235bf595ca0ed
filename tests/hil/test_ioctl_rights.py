# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Calls of cm.h that are right in themselves and refused for what the caller may or has."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from cm_agent.core import uapi

CONTEXTS = ("shared", "private")
FRAME = 640 * 480 * 3


def without_rawio(context: str) -> dict[str, Any]:
    """Pin and attest in a child that has every capability but CAP_SYS_RAWIO."""
    import ctypes
    import json
    import os

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    def drop_rawio() -> None:
        libc, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0)
        sets = (ctypes.c_uint32 * 6)()
        libc.capget(header, sets)
        for at in range(3):
            sets[at] &= ~(1 << 17)
        libc.capset(header, sets)

    def look() -> dict[str, Any]:
        found: dict[str, Any] = {"pin": 0}
        try:
            uapi.call(pool.fileno(), "CM_IOC_PIN", fd=chunk.fd)
        except OSError as error:
            found["pin"] = error.errno
        runs = uapi.new_runs(2)
        asked = {"fd": chunk.fd, "dma_bits": 64, "runs_capacity": 2}
        got = uapi.call(pool.fileno(), "CM_IOC_ATTEST", runs=uapi.address_of(runs), **asked)
        found["runs"] = [[runs[i].offset, runs[i].length, runs[i].address] for i in range(2)]
        return found | {"count": got.run_count, "flags": got.found, "pinned": pool.query().pinned}

    with Context(context) as pool, pool.alloc(1 << 16) as chunk:
        reader, writer = os.pipe()
        if not (child := os.fork()):
            try:
                drop_rawio()
                os.write(writer, json.dumps(look()).encode())
            finally:
                os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader) as pipe:
            return {"without": json.loads(pipe.read()), "with": look()}


@pytest.mark.parametrize("context", CONTEXTS)
def test_pin_without_rawio_is_eperm(module: Any, context: str) -> None:
    got = module.call(without_rawio, context=context)
    assert (got["without"]["pin"], got["without"]["pinned"]) == (errno.EPERM, 0)
    assert (got["with"]["pin"], got["with"]["pinned"]) == (0, 1 << 16)


@pytest.mark.parametrize("context", CONTEXTS)
def test_attestation_without_rawio_tells_no_address(module: Any, context: str) -> None:
    got = module.call(without_rawio, context=context)
    addresses, in_bank = uapi.ATTEST_ADDRESSES, uapi.ATTEST_IN_BANK
    assert got["without"]["runs"] == [[0, 1 << 16, 0], [0, 0, 0]]
    assert (got["without"]["count"], got["without"]["flags"]) == (1, in_bank)
    assert got["with"]["runs"][0][2] != 0 and got["with"]["flags"] == in_bank | addresses


def out_of_descriptors(context: str) -> dict[str, Any]:
    """Ask for a chunk when not one more descriptor may be opened."""
    import os
    import resource

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Context(context) as pool:
        before, counted = pool.query(), pool.stats()
        asked = uapi.prepare("CM_IOC_ALLOC", size=1 << 20)
        capture_buffers, number = [], 0
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
        try:
            while True:
                try:
                    capture_buffers.append(os.dup(pool.fileno()))
                except OSError:
                    break
            uapi.submit(pool.fileno(), "CM_IOC_ALLOC", asked)
        except OSError as error:
            number = error.errno or 0
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in capture_buffers:
                os.close(fd)
        same = (before, counted.successes) == (pool.query(), pool.stats().successes)
        return {"errno": number, "fd": asked.fd, "same": same}


@pytest.mark.parametrize("context", CONTEXTS)
def test_alloc_without_a_free_descriptor_is_emfile(module: Any, context: str) -> None:
    """Nothing is allocated, and the structure names no descriptor."""
    got = module.call(out_of_descriptors, context=context)
    assert got == {"errno": errno.EMFILE, "fd": -1, "same": True}


def call_with_a_drivers_buffer(request: str, members: dict[str, int], access: int) -> Any:
    """Do a call with a buffer that vivid exported; tell errno, size, and whether it changed."""
    import fcntl
    import mmap
    import os
    from contextlib import ExitStack

    from cm_agent.core import uapi
    from cm_agent.core.context import Context
    from cm_agent.video import uapi as v4l2
    from cm_agent.video import uapi_queue
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find

    def export(access: int) -> int:
        asked = {"type": uapi_queue.CAPTURE, "index": 0, "flags": access | os.O_CLOEXEC}
        told = v4l2.ffi.new("struct v4l2_exportbuffer *", asked)
        fcntl.ioctl(device.fileno(), v4l2.NUMBERS["VIDIOC_EXPBUF"], v4l2.ffi.buffer(told))
        return int(told.fd)

    with VideoDevice(find("vivid")) as device, Context("shared") as pool, ExitStack() as stack:
        device.capture.negotiate(640, 480, "RGB3")
        stack.enter_context(device.capture.exported(1))
        fd, ours = export(access), export(os.O_RDWR)
        mapping = mmap.mmap(ours, 640 * 480 * 3)
        before, content, number, size = pool.query(), mapping[:], 0, 0
        try:
            size = uapi.call(pool.fileno(), request, fd=fd, **members).size
        except OSError as error:
            number = error.errno or 0
        same = (before, content) == (pool.query(), mapping[:])
        mapping.close()
        os.close(fd)
        os.close(ours)
        return number, size, same


FOREIGN = {
    "CM_IOC_FREE": ({}, errno.EXDEV),
    "CM_IOC_PIN": ({}, errno.EXDEV),
    "CM_IOC_UNPIN": ({}, errno.EXDEV),
    "CM_IOC_INFO": ({}, errno.EXDEV),
    "CM_IOC_ATTEST": ({"dma_bits": 64}, 0),
    "CM_IOC_PATTERN": ({"seed": 1}, 0),
}


@pytest.mark.lg_feature("vivid")
@pytest.mark.parametrize("request_name", FOREIGN)
def test_a_dma_buf_of_another_exporter(vivid: Any, request_name: str) -> None:
    """It can be attested and its content checked; all else is for chunks of the context."""
    members, number = FOREIGN[request_name]
    got = vivid.call(call_with_a_drivers_buffer, request=request_name, members=members, access=2)
    assert (got[0], got[2]) == (number, True)
    assert got[1] >= FRAME or number


ACCESSES = {
    "check-rdonly": (os.O_RDONLY, 0, 0),
    "fill-rdonly": (os.O_RDONLY, uapi.PATTERN_FILL, errno.EACCES),
    "check-wronly": (os.O_WRONLY, 0, errno.EACCES),
    "fill-wronly": (os.O_WRONLY, uapi.PATTERN_FILL, errno.EACCES),
}


@pytest.mark.lg_feature("vivid")
@pytest.mark.parametrize("case", ACCESSES)
def test_the_pattern_takes_the_access_that_the_descriptor_gives(vivid: Any, case: str) -> None:
    """Chunks are always exported O_RDWR, so this takes a driver's buffer exported otherwise."""
    access, flags, number = ACCESSES[case]
    asked = {"members": {"seed": 1, "flags": flags}, "access": access}
    got = vivid.call(call_with_a_drivers_buffer, request="CM_IOC_PATTERN", **asked)
    assert (got[0], got[2]) == (number, True)
