# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A call that the kernel takes its time for stops no other thread of the process."""

from __future__ import annotations

from typing import Any

import pytest
from boards.remote import RemoteBoard

pytestmark = pytest.mark.two_kernels


def block(request: str, context: str, others: int) -> dict[str, Any]:
    """Have a thread blocked in a call, and do the same from another thread meanwhile.

    The structure of the blocked one is in a page that is missing, until userfaultfd is asked to
    put one there (the kernel's admin-guide/mm/userfaultfd.rst).
    """
    import ctypes
    import fcntl
    import mmap
    import os
    import platform
    import struct
    import threading
    from contextlib import suppress

    from cm_agent import Context
    from cm_agent.core import uapi

    number = {"aarch64": 282, "armv7l": 388, "x86_64": 323}[platform.machine()]
    missing, api = 1, 0xAA
    use_api, register, put_zeros = 0xC018AA3F, 0xC020AA00, 0xC020AA04
    page = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    faults = libc.syscall(number, os.O_CLOEXEC)
    if faults < 0:
        raise OSError(ctypes.get_errno(), "userfaultfd")
    area = mmap.mmap(-1, page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    fcntl.ioctl(faults, use_api, struct.pack("=3Q", api, 0, 0))
    fcntl.ioctl(faults, register, struct.pack("=4Q", address, page, missing, 0))

    def call() -> None:
        with suppress(OSError):  # zeros may be no structure of its
            uapi.submit(pool.fileno(), request, uapi.ffi.cast("void *", address))

    with Context(context) as pool:
        blocked = threading.Thread(target=call)
        blocked.start()
        os.read(faults, 32)
        same = {"CM_IOC_QUERY": pool.query, "CM_IOC_STATS": pool.stats}[request]
        done = [same() for _ in range(others)]
        waiting = blocked.is_alive()
        fcntl.ioctl(faults, put_zeros, struct.pack("=4Q", address, page, 0, 0))
        blocked.join()
    os.close(faults)
    return {"done": len(done), "waiting": waiting}


@pytest.mark.parametrize("request_name", ["CM_IOC_QUERY", "CM_IOC_STATS"])
def test_a_thread_that_is_blocked_in_a_call_delays_no_other(
    module: RemoteBoard, request_name: str
) -> None:
    got = module.call(block, request=request_name, context="shared", others=1000)
    assert got == {"done": 1000, "waiting": True}
