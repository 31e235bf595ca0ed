# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts made and removed at run time through /dev/cm/control, and by the module's parameter."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.lg_feature("emulated")
MIB = 1 << 20
BANK = "camera@70000000"
OTHER = "codec@78000000"
RELOAD = "rmmod cm && modprobe cm && udevadm settle --timeout=30"


@pytest.fixture
def bare(module: Any) -> Iterator[Any]:
    """The board with both banks in nobody's hands; the contexts come back afterwards."""
    module.check("cm-agent destroy shared && cm-agent destroy private")
    yield module
    module.check(RELOAD)


def contexts(board: Any) -> dict[str, dict[str, Any]]:
    """Return what `cm-agent list` says of each context; no context is no mistake here."""
    said = board.run("cm-agent list --json").stdout
    return {it["name"]: it for it in json.loads(said or "[]")}


def test_a_context_of_the_device_tree_can_be_destroyed_and_comes_back(bare: Any) -> None:
    assert contexts(bare) == {}
    bare.check(RELOAD)
    assert sorted(contexts(bare)) == ["private", "shared"]
    bare.check("cm-agent destroy shared && cm-agent destroy private")


def test_two_contexts_share_a_bank_and_both_work(bare: Any) -> None:
    bare.check(f"cm-agent create left {BANK} --size 16MiB")
    bare.check(f"cm-agent create right {BANK} --offset 16MiB --private --min-alignment 1MiB")
    found = [
        (it["name"], it["size"], it["private"], it["min_alignment"])
        for it in contexts(bare).values()
    ]
    assert found == [("left", 16 * MIB, False, 4096), ("right", 48 * MIB, True, MIB)]
    bare.check("cm-agent verify left 16MiB && cm-agent verify right 48MiB 4KiB")
    bare.check("cm-agent destroy left && cm-agent destroy right")
    assert contexts(bare) == {}


REFUSED = {
    "overlap": (f"twice {BANK} --offset 8MiB --size 2MiB", "belongs to another context"),
    "unaligned offset": (f"odd {BANK} --offset 33MiB --size 2MiB", "kernel log"),
    "unaligned size": (f"odd {BANK} --offset 32MiB --size 3MiB", "kernel log"),
    "beyond the end": (f"far {BANK} --offset 32MiB --size 64MiB", "kernel log"),
    "behind the end": (f"far {BANK} --offset 64MiB", "kernel log"),
    "unknown bank": ("lost nobody@0", "there is no such bank"),
    "name in use": (f"left {BANK} --offset 32MiB", "there is a context of that name"),
    "bad name": (f"Left {BANK} --offset 32MiB", "kernel log"),
    "odd alignment": (f"crooked {BANK} --offset 32MiB --min-alignment 12KiB", "kernel log"),
}


@pytest.mark.kernel_log("cm-context")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_the_reason(bare: Any, case: str) -> None:
    bare.check(f"cm-agent create left {BANK} --size 16MiB")
    words, reason = REFUSED[case]
    got = bare.run(f"cm-agent create {words}")
    assert got.code == 1 and reason in got.stderr, got
    assert list(contexts(bare)) == ["left"]


def destroy_in_use(context: str) -> dict[str, Any]:
    """Destroy a context while it has a chunk, and again without; look at it through an old fd."""
    from cm_agent.context import Context
    from cm_agent.control import Control

    told: dict[str, Any] = {}
    with Control() as control, Context(context) as pool:
        with pool.alloc(4096):
            try:
                control.destroy(context)
            except OSError as error:
                told["busy"] = error.errno
            told["size"] = pool.query().size
        control.destroy(context)
        told["left"] = pool.query().size
        try:
            pool.alloc(4096).close()
        except OSError as error:
            told["alloc"] = error.errno
    return told


@pytest.mark.parametrize("private", ["", "--private"])
def test_a_context_with_chunks_stays(bare: Any, private: str) -> None:
    bare.check(f"cm-agent create it {OTHER} --size 8MiB {private}")
    got = bare.call(destroy_in_use, context="it")
    assert got == {"busy": errno.EBUSY, "size": 8 * MIB, "left": 0, "alloc": errno.ENODEV}
    bare.check(f"cm-agent create it {OTHER} --private && cm-agent verify it 64MiB")


def test_a_private_one_takes_its_memory_once_and_gives_it_back(bare: Any) -> None:
    for _ in range(5):
        bare.check(f"cm-agent create it {BANK} --private && cm-agent verify it 64MiB")
        bare.check("cm-agent destroy it")


def test_only_root_controls(bare: Any) -> None:
    guest = "setpriv --reuid guest --regid guest --groups cm"
    got = bare.run(f"{guest} cm-agent create it {BANK}")
    assert got.code == 1 and "Permission denied" in got.stderr


def test_what_is_not_there_cannot_be_destroyed(bare: Any) -> None:
    got = bare.run("cm-agent destroy nothing")
    assert got.code == 1 and "No such file" in got.stderr


def raw(calls: list[list[Any]]) -> list[int]:
    """Do ioctls on the control node; return each one's errno."""
    import fcntl
    import os

    from cm_agent import uapi

    device, found = os.open("/dev/cm/control", os.O_RDWR), []
    for name, fields, extra in calls:
        argument = uapi.prepare(name, **fields)
        data = bytearray(bytes(uapi.ffi.buffer(argument)) + bytes(extra))
        number = uapi.NUMBERS[name] & ~(0x3FFF << 16) | len(data) << 16
        try:
            fcntl.ioctl(device, number, data)
            found.append(0)
        except OSError as error:
            found.append(error.errno)
    os.close(device)
    return found


WRONG = {
    "unknown flag": ["CM_IOC_CREATE", {"name": b"a", "bank": b"b", "flags": 2}, []],
    "reserved": ["CM_IOC_CREATE", {"name": b"a", "bank": b"b", "reserved": 1}, []],
    "endless name": ["CM_IOC_CREATE", {"name": b"a" * 32, "bank": b"b"}, []],
    "endless bank": ["CM_IOC_CREATE", {"name": b"a", "bank": b"b" * 64}, []],
    "endless name to destroy": ["CM_IOC_DESTROY", {"name": b"a" * 32}, []],
    "quota with a flag": ["CM_IOC_QUOTA", {"name": b"a", "flags": 1}, []],
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_einval(module: Any, case: str) -> None:
    assert module.call(raw, calls=[WRONG[case]]) == [errno.EINVAL]


def test_a_longer_structure_must_end_in_zeros(module: Any) -> None:
    quota = {"name": b"shared", "bytes": (1 << 64) - 1, "uid": (1 << 32) - 1}
    calls = [["CM_IOC_QUOTA", quota, [0] * 8], ["CM_IOC_QUOTA", quota, [0] * 7 + [1]]]
    assert module.call(raw, calls=calls) == [0, errno.E2BIG]


def test_a_call_of_a_context_is_unknown_to_it(module: Any) -> None:
    assert module.call(raw, calls=[["CM_IOC_QUERY", {}, []]]) == [errno.ENOTTY]


# -- the parameter


def load_with(board: Any, contexts: str) -> Any:
    board.check("rmmod cm")
    return board.run(f"modprobe cm 'contexts={contexts}' && udevadm settle --timeout=30")


@pytest.mark.kernel_log("cm-context")
def test_the_parameter_makes_what_the_device_tree_left(bare: Any) -> None:
    """The device tree's contexts come first and have both banks: the log says so."""
    assert load_with(bare, f"more={BANK}/offset=32M").code != 0
    log = bare.check("dmesg | tail -5")
    assert "already belongs to another context" in log
    bare.check("modprobe cm")
    bare.check("cm-agent destroy shared && cm-agent destroy private")


@pytest.mark.kernel_log("cm: contexts")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "expected NAME=BANK"),
        (f"it={BANK}/sise=4M", '"sise=4M" is neither'),
        ("it=nobody@0", "there is no /reserved-memory/nobody@0"),
    ],
)
def test_a_mistake_in_the_parameter_names_itself(bare: Any, text: str, said: str) -> None:
    assert load_with(bare, text).code != 0
    assert said in bare.check("dmesg | grep 'cm: contexts' | tail -1")
    assert bare.run("grep -q '^cm ' /proc/modules").code != 0
    bare.check("modprobe cm && cm-agent destroy shared && cm-agent destroy private")


# -- quotas


def alloc_as(context: str, uid: int, sizes: list[int]) -> list[list[Any]]:
    """Allocate as a user without capabilities, keep it all, and tell how each one ended."""
    import grp
    import json
    import os

    reader, writer = os.pipe()
    if not os.fork():
        try:
            from cm_agent.context import Context
            from cm_agent.errors import AllocationError

            os.setgroups([grp.getgrnam("cm").gr_gid])
            os.setgid(uid)
            os.setuid(uid)
            told, kept = [], []
            with Context(context) as pool:
                for size in sizes:
                    try:
                        kept.append(pool.alloc(size))
                        told.append([0, None, 0, ""])
                    except AllocationError as error:
                        told.append([error.errno, error.quota, error.used, error.strerror])
            os.write(writer, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        told = json.loads(answer.read())
    os.wait()
    return told


@pytest.fixture
def unlimited(module: Any) -> Iterator[Any]:
    """The board; quotas are gone afterwards."""
    yield module
    for context in ("shared", "private"):
        module.check(f"cm-agent quota {context} none && cm-agent quota {context} none --user guest")


@pytest.mark.parametrize("context", ["shared", "private"])
def test_who_would_exceed_his_quota_is_told_the_numbers(unlimited: Any, context: str) -> None:
    unlimited.check(f"cm-agent quota {context} 3MiB --user guest")
    got = unlimited.call(alloc_as, context=context, uid=1000, sizes=[2 * MIB, 2 * MIB, MIB])
    assert [it[:3] for it in got] == [
        [0, None, 0],
        [errno.EDQUOT, 3 * MIB, 2 * MIB],
        [0, None, 0],
    ]
    assert "QUOTA; you have 2 MiB of your 3 MiB; free chunks of yours" in got[1][3]


def test_a_quota_is_of_one_user_and_one_context(unlimited: Any) -> None:
    unlimited.check("cm-agent quota shared 0 --user guest")
    refused, other_user, other_context = (
        unlimited.call(alloc_as, context=context, uid=uid, sizes=[4096])[0][0]
        for context, uid in (("shared", 1000), ("shared", 1001), ("private", 1000))
    )
    assert (refused, other_user, other_context) == (errno.EDQUOT, 0, 0)


def test_the_quota_for_everybody_is_for_those_without_one(unlimited: Any) -> None:
    unlimited.check("cm-agent quota shared 1MiB && cm-agent quota shared none --user guest")
    limited, own = (
        unlimited.call(alloc_as, context="shared", uid=uid, sizes=[2 * MIB])[0][0]
        for uid in (1001, 1000)
    )
    assert (limited, own) == (errno.EDQUOT, 0)


def test_root_may_exceed_it(unlimited: Any) -> None:
    unlimited.check("cm-agent quota shared 0 && cm-agent verify shared 1MiB")


def test_a_user_that_does_not_exist_is_a_mistake(module: Any) -> None:
    got = module.run("cm-agent quota shared 1MiB --user nobody-at-all")
    assert got.code == 2 and "there is no user" in got.stderr
