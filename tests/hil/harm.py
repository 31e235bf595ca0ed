# SPDX-License-Identifier: MIT
"""What a test may have done to its board: the kernel complains, or memory did not come back."""

import time

import pytest
from boards.remote import RemoteBoard
from cm_agent.core import uapi
from hil.complaint import OF_OTHERS, complaints

SETTLE_SECONDS = 3


def check_log(handle: RemoteBoard, node: pytest.Item) -> None:
    """Fail when the kernel said something bad since this was last looked at in this boot."""
    boot, last = getattr(handle, "log_seen", ("", -1))
    *seen, new = handle.call(kernel_log, boot=boot, last=last)
    handle.log_seen = tuple(seen)
    expected = [word for mark in node.iter_markers("kernel_log") for word in mark.args]
    bad = list(complaints(new, [*OF_OTHERS, *expected]))
    if bad:
        around = "\n".join(new[max(0, new.index(bad[0]) - 5) :][:60])
        pytest.fail(f"the kernel of {handle.name} complained: {bad[0]}\n{around}", pytrace=False)


def _fill(handle: RemoteBoard) -> dict[str, list[int]]:
    if handle.strategy.status not in ("module", "agent"):
        return {}
    return handle.call(
        fill,
        request=uapi.NUMBERS["CM_IOC_QUERY"],
        length=uapi.ffi.sizeof("struct cm_query"),
        size=uapi.ffi.offsetof("struct cm_query", "size"),
        free=uapi.ffi.offsetof("struct cm_query", "free"),
    )


def fill_before(handle: RemoteBoard) -> dict[str, list[int]]:
    """Return what is free now: what the last test left, when the board kept its state."""
    left = getattr(handle, "left", None)
    if left and left[0] == handle.transitions:
        return left[1]
    return _fill(handle)


def check_fill(handle: RemoteBoard, before: dict[str, list[int]]) -> None:
    """Fail when a context that was there before has another number of free bytes now.

    A context that is wholly free is right whatever it was before: the agent's own verification
    may have held a chunk when we looked first.
    """
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        after = _fill(handle)
        drifts = [
            f"{name}: {before[name][1]:,} bytes free before, {free:,} after"
            for name, (size, free) in sorted(after.items())
            if free != size and free != before.get(name, (size, free))[1]
        ]
        if not drifts:
            handle.left = (handle.transitions, after)
            return
        if time.monotonic() > until:
            pytest.fail("memory drifted in " + "; ".join(drifts), pytrace=False)
        time.sleep(0.2)


def kernel_log(boot: str, last: int) -> tuple[str, int, list[str]]:
    """Return what the kernel has said since message `last` of `boot`, and where that ends now."""
    import os
    from pathlib import Path

    now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    last = last if boot == now else -1
    device = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    messages = []
    try:
        while True:
            try:
                record = os.read(device, 8192)
            except BrokenPipeError:
                continue
            except BlockingIOError:
                break
            priority, sequence, _ = record.split(b",", 2)
            if int(sequence) <= last:
                continue
            last = int(sequence)
            if int(priority) < 8:
                text = record.partition(b";")[2].decode(errors="replace")
                messages.append(text.splitlines()[0])
    finally:
        os.close(device)
    return now, last, messages


def fill(request: int, length: int, size: int, free: int) -> dict[str, list[int]]:
    """Return the size and the free bytes of each context, from the kernel."""
    import fcntl
    import os
    from pathlib import Path

    contexts = {}
    for node in sorted(Path("/dev/cm").glob("*")):
        if node.name != "control":
            answer = bytearray(length)
            device = os.open(node, os.O_RDWR)
            try:
                fcntl.ioctl(device, request, answer)
            finally:
                os.close(device)
            contexts[node.name] = [
                int.from_bytes(answer[at : at + 8], "little") for at in (size, free)
            ]
    return contexts
