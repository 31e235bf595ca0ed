# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Buffers by policy: where they lie, when the next context is asked, what a refusal tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MIB = 1 << 20
BANK = 64 * MIB
CODEC = Path(__file__).parents[2] / "agent/examples/s5p-mfc.toml"
CONFIG = "/tmp/policy.toml"
RELOAD = "rmmod cm && modprobe cm && udevadm settle --timeout=30"


def allocate(
    map: str, wishes: list[list[Any]], taken: dict[str, int], deadline: float | None = None
) -> list[dict[str, Any]]:
    """Allocate [device, type, bytes] one after the other and keep it; `taken` is full before.

    Tell of each where it lies, or why not.
    """
    from contextlib import ExitStack

    from cm_agent.core.context import Context, contexts
    from cm_agent.core.errors import AllocationError
    from cm_agent.policy.allocator import Allocator, RefusedError
    from cm_agent.policy.rules import NoRuleError, Policy

    told: list[dict[str, Any]] = []
    with ExitStack() as kept:
        pools = {name: kept.enter_context(Context(name)) for name in contexts()}
        for name, size in taken.items():
            kept.enter_context(pools[name].alloc(size))
        allocator = Allocator(Policy.parse(map))
        for device, type, size in wishes:
            try:
                chunk = kept.enter_context(allocator.alloc(device, type, size, deadline=deadline))
            except (NoRuleError, AllocationError) as error:
                told.append({"errno": error.errno, "text": error.strerror})
            except RefusedError as error:
                numbers = {
                    it.context: [it.error.reason.name, it.error.free, it.error.largest_hole]
                    for it in error.refusals
                }
                told.append({"errno": error.errno, "text": error.strerror, "refused": numbers})
            else:
                context = pools[next(iter(contexts()))].attest(chunk).context
                with pools[context].pinned(chunk) as pin:
                    told.append({"context": context, "address": pin.address})
    return told


@pytest.mark.every_board
def test_the_next_context_is_asked_when_the_first_is_full(module: Any) -> None:
    wishes = [["cam", "common", 16 * MIB]] * 3
    got = module.call(
        allocate, map="cam=private,shared", wishes=wishes, taken={"private": 40 * MIB}
    )
    assert [it["context"] for it in got] == ["private", "shared", "shared"]


@pytest.mark.every_board
def test_a_rule_with_one_context_is_refused_with_its_numbers(module: Any) -> None:
    (got,) = module.call(
        allocate,
        map="cam=private;*=shared",
        wishes=[["cam", "common", 32 * MIB]],
        taken={"private": 40 * MIB},
    )
    assert (got["errno"], got["refused"]) == (12, {"private": ["FULL", 24 * MIB, 24 * MIB]})


def test_when_all_refuse_each_ones_reason_and_numbers_are_told(module: Any) -> None:
    (got,) = module.call(
        allocate,
        map="cam=private,shared",
        wishes=[["cam", "common", 32 * MIB]],
        taken={"private": 40 * MIB, "shared": 48 * MIB},
    )
    assert got["errno"] == 12
    assert got["refused"] == {
        "private": ["FULL", 24 * MIB, 24 * MIB],
        "shared": ["FULL", 16 * MIB, 16 * MIB],
    }
    head, *lines = got["text"].splitlines()
    assert head == "no context of rule 'cam=private,shared' served device 'cam', type 'common':"
    assert [line.split(";")[1] for line in lines] == [
        " 24 MiB free, largest hole 24 MiB",
        " 16 MiB free, largest hole 16 MiB",
    ]


def test_a_wrong_request_is_not_taken_to_the_next_context(module: Any) -> None:
    """An alignment that is no power of two would be as wrong there."""
    (got,) = module.call(misaligned, map="cam=private,shared")
    assert got == "INVALID of private"


def misaligned(map: str) -> list[str]:
    """Ask for a chunk that is aligned to 12 KiB."""
    from cm_agent.core.errors import AllocationError
    from cm_agent.policy.allocator import Allocator
    from cm_agent.policy.rules import Policy

    try:
        Allocator(Policy.parse(map)).alloc("cam", "common", 4096, 12 << 10).close()
    except AllocationError as error:
        return [f"{error.reason.name} of {error.context}"]
    return []


def within_quota(map: str, limit: int, size: int) -> str:
    """As a user with a quota in `private`, allocate by policy; return the context."""
    import grp
    import os

    from cm_agent.core.control import Control

    with Control() as control:
        control.set_quota("private", limit, uid=1000)
    reader, writer = os.pipe()
    if not os.fork():
        try:
            from cm_agent.core.context import Context
            from cm_agent.policy.allocator import Allocator
            from cm_agent.policy.rules import Policy

            os.setgroups([grp.getgrnam("cm").gr_gid])
            os.setgid(1000)
            os.setuid(1000)
            allocator = Allocator(Policy.parse(map))
            with allocator.alloc("cam", "common", size) as chunk, Context("shared") as pool:
                os.write(writer, pool.attest(chunk).context.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        told = answer.read()
    os.wait()
    with Control() as control:
        control.set_quota("private", None, uid=1000)
    return told


def test_who_has_used_up_his_quota_of_one_context_gets_from_the_next(module: Any) -> None:
    arguments = {"map": "cam=private,shared", "limit": MIB}
    assert module.call(within_quota, size=MIB, **arguments) == "private"
    assert module.call(within_quota, size=2 * MIB, **arguments) == "shared"


def test_a_context_that_is_not_there_is_passed_over(module: Any) -> None:
    wishes = [["cam", "common", MIB]]
    (got,) = module.call(allocate, map="cam=nowhere,private", wishes=wishes, taken={})
    assert got["context"] == "private"


# -- a codec with two banks


def destroy() -> None:
    """Destroy all contexts."""
    from cm_agent.core.context import contexts
    from cm_agent.core.control import Control

    with Control() as control:
        for name in contexts():
            control.destroy(name)


@pytest.fixture
def codec(module: Any, banks: dict[str, str]) -> Iterator[Any]:
    """The board with the contexts of the example for the MFC codec, in its own two banks."""
    left, right = sorted(banks.values(), key=start)
    text = CODEC.read_text().replace("left@60000000", left).replace("right@74000000", right)
    try:
        module.call(destroy)
        module.check(f"cat > {CONFIG} <<'END'\n{text}\nEND")
        module.check(f"cm-agent apply --config {CONFIG}")
        yield module
    finally:
        module.check(RELOAD)


def start(bank: str) -> int:
    """Return a bank's address, by its name."""
    return int(bank.partition("@")[2], 16)


@pytest.mark.every_board
@pytest.mark.lg_feature("emulated")
def test_each_type_of_the_codec_lies_in_its_own_bank(codec: Any, banks: dict[str, str]) -> None:
    from cm_agent.config import settings as config

    left, right = sorted(map(start, banks.values()))
    policy = config.load(CODEC).policy
    wishes = [["s5p-mfc", type, MIB] for type in "fabc"]
    *got, other = codec.call(allocate, map=str(policy), wishes=wishes, taken={})
    assert [it["context"] for it in got] == ["fw", "left", "right"]
    addresses = [it["address"] for it in got]
    assert addresses[0] == left
    assert left + 8 * MIB <= addresses[1] < left + BANK
    assert right <= addresses[2] < right + BANK
    assert "no rule of the policy matches device 's5p-mfc', type 'c': looked at" in other["text"]


@pytest.mark.every_board
@pytest.mark.lg_feature("emulated")
def test_a_full_bank_of_the_codec_does_not_spill_into_the_other(codec: Any) -> None:
    from cm_agent.config import settings as config

    (got,) = codec.call(
        allocate,
        map=str(config.load(CODEC).policy),
        wishes=[["s5p-mfc", "a", 8 * MIB]],
        taken={"left": 52 * MIB},
    )
    assert got["refused"] == {"left": ["FULL", 4 * MIB, 4 * MIB]}


def outlive(map: str, doomed: str) -> list[str]:
    """Allocate by a policy whose first context is destroyed when it is open already."""
    from cm_agent.core.context import Context
    from cm_agent.core.control import Control
    from cm_agent.policy.allocator import Allocator
    from cm_agent.policy.rules import Policy

    def attempt(context: Context, seconds: float | None) -> str:
        if context.name == doomed:
            with Control() as control:
                control.destroy(doomed)
        context.alloc(4096).close()
        return context.name

    with Allocator(Policy.parse(map)).take("cam", "common", attempt) as got:
        return [got.what, *(str(refusal) for refusal in got.refusals)]


@pytest.mark.lg_feature("emulated")
def test_a_context_that_is_destroyed_while_it_is_open_is_passed_over(codec: Any) -> None:
    what, refusal = codec.call(outlive, map="cam=right,left", doomed="right")
    assert what == "left"
    assert refusal == "context 'right': allocation of 4 KiB failed: it was destroyed"


# -- the commands


def configure(board: Any, map: str) -> None:
    board.check(f"printf \"[policy]\\nmap = '{map}'\\n\" > {CONFIG}")


def test_the_command_tells_rule_and_room(module: Any) -> None:
    configure(module, "vivid/a=nowhere;vivid=private,shared")
    lines = module.check(f"cm-agent policy vivid --config {CONFIG}").splitlines()
    assert lines == [
        "device 'vivid', type 'common': rule 2, vivid=private,shared",
        "  private: private, 64 MiB, 64 MiB free, largest hole 64 MiB",
        "  shared: shared, 64 MiB, 64 MiB free, largest hole 64 MiB",
    ]
    got = module.run(f"cm-agent policy vivid a --json --config {CONFIG}")
    (context,) = json.loads(got.stdout)["result"]["contexts"]
    assert (got.code, context["name"], context["state"]) == (1, "nowhere", None)


def test_the_doctor_names_a_rule_whose_context_is_not_there(agent: Any) -> None:
    configure(agent, "vivid=private,nowhere")
    got = agent.run(f"cm-agent doctor --json --config {CONFIG}")
    (finding,) = [it for it in json.loads(got.stdout)["result"] if it["ok"] is False]
    assert got.code == 1
    assert "rule 'vivid=private,nowhere' of the policy names context 'nowhere'" in finding["what"]
    assert "(private, shared)" in finding["fix"]


def stream(config: str, taken: dict[str, int]) -> dict[str, Any]:
    """Stream ten frames by policy while this much of the contexts is taken."""
    import contextlib
    import io
    import json

    from cm_agent.cli import main
    from cm_agent.core.context import Context

    out = io.StringIO()
    with contextlib.ExitStack() as kept:
        for name, size in taken.items():
            kept.enter_context(kept.enter_context(Context(name)).alloc(size))
        kept.enter_context(contextlib.redirect_stdout(out))
        arguments = ["--size", "640x480", "--format", "RGB3"]
        arguments += ["--frames", "10", "--config", config, "--json"]
        code = main(["stream", "vivid", *arguments])
    document = json.loads(out.getvalue())
    err = "".join(error["message"] for error in document["errors"])
    return {"code": code, "report": document["result"], "err": err}


@pytest.mark.lg_feature("vivid")
def test_a_stream_takes_its_context_by_policy(vivid: Any) -> None:
    configure(vivid, "vivid=private,shared")
    got = vivid.call(stream, config=CONFIG, taken={})
    report = got["report"]
    assert got["code"] == 0, got
    assert (report["context"], report["refused"]) == ("private", [])
    assert report["rule"] == "vivid=private,shared"


@pytest.mark.lg_feature("vivid")
def test_a_stream_spills_over_with_all_its_buffers(vivid: Any) -> None:
    """There is room for one frame of 900 KiB in the first context, and the stream needs four."""
    configure(vivid, "vivid=private,shared")
    got = vivid.call(stream, config=CONFIG, taken={"private": BANK - MIB})
    report = got["report"]
    assert got["code"] == 0, got
    assert (report["context"], len(report["buffers"])) == ("shared", 4)
    (refusal,) = report["refused"]
    assert refusal["context"] == "private" and ": FULL; " in refusal["why"]


@pytest.mark.lg_feature("vivid")
def test_a_stream_without_a_rule_is_refused(vivid: Any) -> None:
    configure(vivid, "s5p-mfc=shared")
    got = vivid.call(stream, config=CONFIG, taken={})
    assert (got["code"], got["report"]) == (1, None)
    assert "device 'vivid', type 'common': looked at 's5p-mfc=shared'" in got["err"]
