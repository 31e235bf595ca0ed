# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts made and removed at run time, through /dev/cm/control."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.lg_feature("device-tree")
MIB = 1 << 20
RELOAD = "rmmod cm && modprobe cm && udevadm settle --timeout=30"


@pytest.fixture(scope="module")
def given_back(board: Any) -> Iterator[None]:
    """Destroy the device tree's contexts, so that all tests of the file find their banks free."""
    board.need("module").call(destroy, names=["shared", "private"])
    yield
    board.need("module").check(RELOAD)


@pytest.fixture
def bare(module: Any, given_back: None) -> Iterator[Any]:
    """The board without any context, also afterwards."""
    yield module
    module.call(destroy, names=None)


def destroy(names: list[str] | None) -> None:
    """Destroy contexts, or all that there are."""
    from cm_agent.core.context import contexts as there
    from cm_agent.core.control import Control

    with Control() as control:
        for name in there() if names is None else names:
            control.destroy(name)


def create(specs: list[dict[str, Any]]) -> list[str]:
    """Create contexts one after the other; return each one's error, or nothing."""
    from cm_agent.core.control import Control

    errors = []
    with Control() as control:
        for spec in specs:
            try:
                control.create(**spec)
                errors.append("")
            except OSError as error:
                errors.append(str(error))
    return errors


def look(sizes: dict[str, list[int]]) -> dict[str, list[Any]]:
    """Return what each context is, and verify chunks of these sizes in it."""
    from cm_agent.contiguity.verification import verify
    from cm_agent.core.context import Context

    told = {}
    for name, wanted in sizes.items():
        with Context(name) as pool:
            state = pool.query()
            verdicts = []
            for size in wanted:
                with pool.alloc(size) as buffer:
                    verdicts.append(str(verify(buffer, pool).verdict))
            told[name] = [state.size, state.private, state.min_alignment, verdicts]
    return told


@pytest.mark.two_kernels
def test_two_contexts_share_a_bank_and_both_work(
    bare: Any, banks: dict[str, str], page_size: int
) -> None:
    bank = banks["shared"]
    left = {"name": "left", "bank": bank, "size": 16 * MIB}
    right = {"name": "right", "bank": bank, "offset": 16 * MIB, "private": True}
    assert bare.call(create, specs=[left, right | {"min_alignment": MIB}]) == ["", ""]
    assert bare.call(look, sizes={"left": [16 * MIB], "right": [48 * MIB, 4096]}) == {
        "left": [16 * MIB, False, page_size, ["CONTIGUOUS"]],
        "right": [48 * MIB, True, MIB, ["CONTIGUOUS"] * 2],
    }


def test_the_command_line_creates_and_destroys(bare: Any, banks: dict[str, str]) -> None:
    made = f"cm-agent create it {banks['private']} --offset 16MiB --size 8MiB --private"
    assert bare.check(made) == f"it: private, 8 MiB of {banks['private']}, from 16 MiB on"
    log = f'cm: private context "it": 8192 KiB in bank {banks["private"].partition("@")[0]}'
    assert log in bare.check("dmesg | tail -20")
    assert bare.call(look, sizes={"it": [8 * MIB]})["it"][:2] == [8 * MIB, True]
    assert bare.check("cm-agent destroy it") == "it: destroyed"
    got = bare.run("cm-agent destroy it")
    assert got.code == 2 and "there are none: run `cm-agent doctor`" in got.stderr


def test_banks_shows_what_is_used_and_what_is_free(bare: Any, banks: dict[str, str]) -> None:
    """With the command that makes a context of it, which does."""
    bank = banks["shared"]
    spec = {"name": "left", "bank": bank, "offset": 32 * MIB, "size": 16 * MIB}
    assert bare.call(create, specs=[spec]) == [""]
    (shown,) = (it for it in told(bare.check("cm-agent banks --json")) if it["name"] == bank)
    assert shown["contexts"] == [{"context": "left", "offset": 32 * MIB, "size": 16 * MIB}]
    assert shown["free"] == [
        {"offset": 0, "size": 32 * MIB},
        {"offset": 48 * MIB, "size": 16 * MIB},
    ]
    (line,) = (it for it in bare.check("cm-agent banks").splitlines() if f"{bank} --offset" in it)
    assert bare.check(line.partition("free: ")[2].replace("NAME", "right")) == (
        f"right: shared, 16 MiB of {bank}, from 48 MiB on"
    )
    hidden = "setpriv --reuid guest --regid guest --groups cm cm-agent banks --json"
    (seen,) = (it for it in told(bare.check(hidden)) if it["name"] == bank)
    assert ([it["offset"] for it in seen["contexts"]], seen["free"]) == ([None, None], None)


def told(text: str) -> Any:
    """Return the result in a document."""
    return json.loads(text)["result"]


def test_the_doctor_accepts_what_was_made_at_run_time(bare: Any, banks: dict[str, str]) -> None:
    left = {"name": "left", "bank": banks["private"], "size": 16 * MIB, "private": True}
    shared = {"name": "shared", "bank": banks["shared"]}
    assert bare.call(create, specs=[left, shared]) == ["", ""]
    findings = json.loads(bare.run("cm-agent doctor --json").stdout)["result"]
    ours = [it for it in findings if it["what"].startswith("context ")]
    judged = {it["what"].split()[1]: it["ok"] for it in ours}
    assert judged == {"'left'": None, "'shared'": True, "'private'": None}, ours


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "overlap": ({"offset": 8 * MIB, "size": 8 * MIB}, "belong to another context; take another"),
    "unaligned offset": ({"offset": 33 * MIB, "size": 8 * MIB}, "must be multiples of"),
    "unaligned size": ({"offset": 32 * MIB, "size": 3 * MIB}, "size 3145728 must be multiples of"),
    "beyond the end": ({"offset": 32 * MIB, "size": 64 * MIB}, "which has 67108864"),
    "behind the end": ({"offset": 64 * MIB}, "0 bytes from 67108864 on end beyond bank"),
    "unknown bank": ({"bank": "nobody@0"}, "no /reserved-memory/nobody@0; there are "),
    "name in use": ({"name": "left", "offset": 32 * MIB}, 'another context is called "left"'),
    "bad name": ({"name": "Left", "offset": 32 * MIB}, "must be 1 to 31 of a-z, 0-9, - and _"),
    "odd alignment": ({"offset": 32 * MIB, "min_alignment": 12 << 10}, "must be a power of two"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_the_reason(
    bare: Any, banks: dict[str, str], case: str
) -> None:
    """In the call's own structure, in one sentence: nothing is read from the kernel log."""
    spec, reason = REFUSED[case]
    left = {"name": "left", "bank": banks["shared"], "size": 16 * MIB}
    made, refused = bare.call(create, specs=[left, {"name": "it", "bank": banks["shared"]} | spec])
    assert made == "" and reason in refused
    assert case != "unknown bank" or banks["private"] in refused
    assert bare.check("ls /dev/cm").split() == ["control", "left"]


def test_a_name_is_ascii(bare: Any, banks: dict[str, str]) -> None:
    """0xe9 is a small letter to the kernel's islower()."""
    spec = {"bank": banks["private"].encode(), "flags": 1}
    calls = [["CM_IOC_CREATE", {"name": name} | spec, []] for name in (b"caf\xe9", b"cafe")]
    assert bare.call(raw, calls=calls) == [errno.EINVAL, 0]


def destroy_in_use(context: str) -> dict[str, Any]:
    """Destroy a context while it has a chunk, and again without; use it through an old fd."""
    from cm_agent.core.context import Context
    from cm_agent.core.control import Control

    told: dict[str, Any] = {}
    with Control() as control, Context(context) as pool:
        with pool.alloc(4096):
            try:
                control.destroy(context)
            except OSError as error:
                told["busy"] = error.errno
            told["size"] = pool.query().size
        control.destroy(context)
        told["after"] = pool.query().size
        try:
            pool.alloc(4096).close()
        except OSError as error:
            told["alloc"] = error.errno
    return told


@pytest.mark.parametrize("private", [False, True])
def test_a_context_with_chunks_stays(bare: Any, banks: dict[str, str], private: bool) -> None:
    spec = {"name": "it", "bank": banks["private"], "size": 8 * MIB, "private": private}
    assert bare.call(create, specs=[spec]) == [""]
    got = bare.call(destroy_in_use, context="it")
    assert got == {"busy": errno.EBUSY, "size": 8 * MIB, "after": 0, "alloc": errno.ENODEV}


def test_a_private_one_takes_its_memory_once_and_gives_it_back(
    bare: Any, banks: dict[str, str]
) -> None:
    for _ in range(5):
        spec = {"name": "it", "bank": banks["shared"], "private": True}
        assert bare.call(create, specs=[spec]) == [""]
        assert bare.call(look, sizes={"it": [64 * MIB]})["it"][3] == ["CONTIGUOUS"]
        bare.call(destroy, names=["it"])


def test_only_root_controls(module: Any) -> None:
    got = module.run("setpriv --reuid guest --regid guest --groups cm cm-agent destroy shared")
    assert got.code == 1 and "Permission denied" in got.stderr


def raw(calls: list[list[Any]]) -> list[int]:
    """Do ioctls on the control node; return each one's errno."""
    import fcntl
    import os

    from cm_agent.core import uapi

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


ASKED = {"name": b"shared", "uid": 1000}
WRONG: dict[str, list[Any]] = {
    "unknown flag": ["CM_IOC_CREATE", {"name": b"a", "bank": b"b", "flags": 2}, []],
    "reserved": ["CM_IOC_CREATE", {"name": b"a", "bank": b"b", "reserved": 1}, []],
    "endless name": ["CM_IOC_CREATE", {"name": b"a" * 32, "bank": b"b"}, []],
    "endless bank": ["CM_IOC_CREATE", {"name": b"a", "bank": b"b" * 64}, []],
    "endless name to destroy": ["CM_IOC_DESTROY", {"name": b"a" * 32}, []],
    "error to write": ["CM_IOC_CREATE", {"name": b"a", "bank": b"b", "error": b"x"}, []],
    "quota with a flag": ["CM_IOC_QUOTA", {"name": b"shared", "flags": 1}, []],
    "quota with a reserved byte": ["CM_IOC_QUOTA", {"name": b"shared", "reserved": 1}, []],
    "quota to read with a limit": ["CM_IOC_GET_QUOTA", {"quota": ASKED | {"bytes": 1}}, []],
    "quota to read with chunks": ["CM_IOC_GET_QUOTA", {"quota": ASKED | {"chunks": 1}}, []],
    "quota to read with a flag": ["CM_IOC_GET_QUOTA", {"quota": ASKED | {"flags": 1}}, []],
    "use to read with bytes": ["CM_IOC_GET_QUOTA", {"quota": ASKED, "used": 1}, []],
    "use to read with chunks": ["CM_IOC_GET_QUOTA", {"quota": ASKED, "used_chunks": 1}, []],
    "use to read with a reserved byte": ["CM_IOC_GET_QUOTA", {"quota": ASKED, "reserved": 1}, []],
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_einval(module: Any, case: str) -> None:
    assert module.call(raw, calls=[WRONG[case]]) == [errno.EINVAL]


def test_a_longer_structure_must_end_in_zeros(bare: Any, banks: dict[str, str]) -> None:
    assert bare.call(create, specs=[{"name": "it", "bank": banks["private"]}]) == [""]
    none = (1 << 32) - 1
    quota = {"name": b"it", "bytes": (1 << 64) - 1, "uid": none, "chunks": none}
    calls = [["CM_IOC_QUOTA", quota, [0] * 8], ["CM_IOC_QUOTA", quota, [0] * 7 + [1]]]
    assert bare.call(raw, calls=calls) == [0, errno.E2BIG]


def test_a_call_of_a_context_is_unknown_to_the_control_node(module: Any) -> None:
    assert module.call(raw, calls=[["CM_IOC_QUERY", {}, []]]) == [errno.ENOTTY]
