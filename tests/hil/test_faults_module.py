# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Every allocation fails once while the module is loaded, and while contexts are made at run time.

As in test_faults.py, by fail-nth.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from cm_agent.core import uapi
from hil.faults import MARKS, MOST, READY, check
from hil.test_control import RELOAD, destroy

pytestmark = MARKS
SHORT = {"loads": 24, "every": 5}
THOROUGH = {"loads": 0, "every": 1}


@pytest.fixture
def faulty(module: Any) -> Any:
    """The board with allocations that fail when a thread asks for it."""
    module.check(READY)
    return module


@pytest.fixture
def much(request: pytest.FixtureRequest) -> dict[str, int]:
    """How many of the driver core's allocations fail: some, or with --thorough every one."""
    return THOROUGH if request.config.getoption("--thorough") else SHORT


@pytest.fixture
def given_back(faulty: Any) -> Iterator[Any]:
    """The same, with the private context's bank in nobody's hands."""
    faulty.call(destroy, names=["private"])
    yield faulty
    faulty.check(f"udevadm settle --timeout=300; {RELOAD}")


def spoil_control(what: str, most: int, every: int, wish: dict[str, Any]) -> dict[str, Any]:
    """Make, limit or destroy a context, failing its first allocation or one `every` so many."""
    import os
    from collections import Counter

    from cm_agent.core import uapi
    from cm_agent.core.control import Control

    name = b"spoilt"
    calls = {
        "CREATE": {"bank": wish["bank"].encode(), "size": wish["size"], "flags": wish["flags"]},
        "QUOTA": {"bytes": 0, "uid": 1000},
        "DESTROY": {},
    }
    told: dict[str, Any] = {"errnos": Counter(), "changed": [], "ended": False}
    switch = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    with Control() as control:

        def do(call: str, nth: int = 0) -> int:
            argument = uapi.prepare(f"CM_IOC_{call}", name=name, **calls[call])
            os.write(switch, b"%d" % nth)
            try:
                uapi.submit(control.fileno(), f"CM_IOC_{call}", argument)
            except OSError as error:
                return error.errno or 0
            return 0

        for nth in range(1, most, every):
            if what != "CREATE" and do("CREATE"):
                raise AssertionError("the memory of the last one is not there")
            before, number = os.listdir("/sys/class/cm"), do(what, nth)
            left = int(os.pread(switch, 16, 0))
            os.write(switch, b"0")
            after = os.listdir("/sys/class/cm")
            gained = {"CREATE": 1, "QUOTA": 0, "DESTROY": -1}[what] if not number else 0
            if len(after) - len(before) != gained:
                told["changed"].append([nth, number, before, after])
            if "spoilt" in after and do("DESTROY"):
                raise AssertionError("it is in use")
            if left:
                told["ended"] = not number
                break
            told["errnos"][number] += 1
    os.close(switch)
    return told | {"errnos": dict(told["errnos"])}


@pytest.mark.parametrize(
    ("what", "private"), [("CREATE", False), ("CREATE", True), ("QUOTA", False), ("DESTROY", True)]
)
def test_a_context_is_made_limited_and_destroyed_or_not(
    given_back: Any, banks: dict[str, str], what: str, private: bool, much: dict[str, int]
) -> None:
    """The driver core has some two hundred allocations for a new device."""
    wish = {"bank": banks["private"], "size": 8 << 20, "flags": uapi.CONTEXT_PRIVATE * private}
    every = much["every"] if what == "CREATE" else 1
    scene = {"what": what, "most": MOST, "every": every, "wish": wish}
    check(given_back.call(spoil_control, timeout=300, **scene), {errno.EBUSY})


def load_spoiled(loads: int) -> dict[str, Any]:
    """Insert and remove the module, one allocation of each failing; 0 loads are as many as it has.

    The system calls are made here, by their numbers on arm64: fail-nth is the calling thread's.
    """
    import ctypes
    import os
    import subprocess
    from collections import Counter

    from cm_agent.core.context import Context

    libc = ctypes.CDLL(None, use_errno=True)
    switch = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    module = os.open(f"/lib/modules/{os.uname().release}/updates/cm.ko", os.O_RDONLY)
    insert, remove = (273, module, b"", 0), (106, b"cm", os.O_NONBLOCK)

    def call(words: tuple[Any, ...], nth: int) -> tuple[int, int]:
        os.write(switch, b"%d" % nth)
        failed = libc.syscall(*words)
        number, left = ctypes.get_errno() if failed else 0, int(os.pread(switch, 16, 0))
        os.write(switch, b"0")
        return number, nth - left

    told = {"insert": Counter(), "remove": Counter(), "contexts": Counter()}
    subprocess.run(["rmmod", "cm"], check=True)
    (_, inserting), (_, removing) = call(insert, 1 << 30), call(remove, 1 << 30)
    rounds = min(loads or inserting, inserting)
    for turn in range(rounds):
        number, _ = call(insert, 1 + turn * inserting // rounds)
        told["insert"][number] += 1
        if not number:
            subprocess.run(["udevadm", "settle", "--timeout=60"], check=True)
            there = os.listdir("/sys/class/cm")
            told["contexts"][len(there)] += 1
            told["remove"][call(remove, 1 + turn % max(removing, 1))[0]] += 1
    left = [path for path in ("/sys/class/cm", "/sys/module/cm") if os.path.exists(path)]
    subprocess.run(["modprobe", "cm"], check=True)
    subprocess.run(["udevadm", "settle", "--timeout=60"], check=True)
    whole = []
    for name in ("shared", "private"):
        with Context(name) as pool, pool.alloc(pool.query().size, deadline=60) as chunk:
            whole.append(chunk.size == pool.query().size)
    os.close(switch)
    os.close(module)
    counts = {name: dict(count) for name, count in told.items()}
    return counts | {"allocations": [inserting, removing], "left": left, "whole": whole}


# It is the kernel's that warns when it has no memory for a module's trace events.
@pytest.mark.kernel_log(r"WARNING: .* at kernel/trace/trace_events\.c:")
def test_the_module_loads_and_unloads_or_says_enomem(faulty: Any, much: dict[str, int]) -> None:
    """A context whose probe got no memory is missing, and nothing else; unloading never fails."""
    got = faulty.call(load_spoiled, timeout=900, loads=much["loads"])
    print(got)
    assert set(map(int, got["insert"])) <= {0, errno.ENOMEM}, got
    assert set(map(int, got["remove"])) == {0}, got
    assert (got["left"], got["whole"]) == ([], [True, True]), got
