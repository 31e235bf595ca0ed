# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Refusals of a private context, whose places only its own chunks can take: FULL, FRAGMENTED."""

from __future__ import annotations

from typing import Any

import pytest

MIB = 1 << 20


pytestmark = [pytest.mark.every_board, pytest.mark.usefixtures("module")]


def refused(steps: list[list[Any]]) -> list[dict[str, Any]]:
    """Keep or free chunks of `private` in steps; tell what each refusal said.

    A step is ["keep", size], ["free every", n], ["pin"], so that nothing moves, or
    ["ask", size, alignment].
    """
    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    kept, said = [], []
    with Context("private") as context:
        for verb, *numbers in steps:
            if verb == "keep":
                kept.append(context.alloc(numbers[0]))
            elif verb == "free every":
                for buffer in kept[:: numbers[0]]:
                    buffer.close()
            elif verb == "pin":
                for buffer in filter(None, kept):
                    context.pin(buffer)
            else:
                try:
                    context.alloc(*numbers).close()
                    said.append({"reason": ""})
                except AllocationError as error:
                    said.append(
                        {
                            "reason": error.reason.name,
                            "errno": error.errno,
                            "numbers": [error.free, error.largest_hole],
                            "quota": error.quota,
                            "text": str(error),
                        }
                    )
        for buffer in kept:
            buffer.close()
    return said


def test_more_than_is_free_is_full(board: Any) -> None:
    (got,) = board.call(refused, steps=[["keep", 24 * MIB], ["ask", 40 * MIB + 1, 0]])
    assert (got["reason"], got["errno"]) == ("FULL", 12)
    assert got["numbers"] == [40 * MIB, 40 * MIB]
    assert "40 MiB free, largest hole 40 MiB" in got["text"]


def test_more_than_the_context_ever_has_is_full_and_freeing_is_not_advised(board: Any) -> None:
    (got,) = board.call(refused, steps=[["ask", 64 * MIB + 1, 0]])
    assert got["reason"] == "FULL"
    assert got["text"].endswith("; all of it is 64 MiB: ask for less, or make its bank larger")


def test_a_checkerboard_that_is_pinned_is_fragmented(board: Any) -> None:
    steps = [["keep", 4 * MIB]] * 16 + [["free every", 2], ["pin"]]
    asked = [["ask", 8 * MIB, 0], ["ask", 4 * MIB, 0], ["ask", 4 * MIB, 16 * MIB]]
    large, fitting, aligned = board.call(refused, steps=steps + asked)
    assert (large["reason"], large["errno"]) == ("FRAGMENTED", 12)
    assert large["numbers"] == [32 * MIB, 4 * MIB]
    assert "32 MiB free, largest hole 4 MiB" in large["text"]
    assert fitting["reason"] == ""
    assert aligned["reason"] == "", "every fourth hole of a bank so aligned is aligned, too"


def test_an_alignment_that_no_hole_has_is_fragmented(board: Any) -> None:
    """A bank of 64 MiB is too small to hold an address that is a multiple of 2 GiB."""
    (got,) = board.call(refused, steps=[["keep", 4 * MIB], ["ask", 4 * MIB, 1 << 31]])
    assert (got["reason"], got["numbers"]) == ("FRAGMENTED", [60 * MIB, 60 * MIB])


def test_an_alignment_that_cannot_be_is_invalid_and_no_matter_of_quotas(board: Any) -> None:
    (got,) = board.call(refused, steps=[["ask", 1 * MIB, 3 * 4096]])
    assert (got["reason"], got["errno"], got["quota"]) == ("INVALID", 22, None)


def try_again_with_the_same_structure() -> list[tuple[str, str]]:
    """Call with a structure while nothing is free, with it again after a free(), and with another.

    Return errno and reason of each call.
    """
    import errno

    from cm_agent.core import uapi
    from cm_agent.core.buffer import Buffer
    from cm_agent.core.context import Context

    def call(argument: Any) -> tuple[str, str]:
        error = ""
        try:
            uapi.submit(pool.fileno(), "CM_IOC_ALLOC", argument)
            Buffer(argument.fd, argument.size).close()
        except OSError as refusal:
            error = errno.errorcode[refusal.errno]
        return error, uapi.Reason(argument.reason).name

    used, fresh = (uapi.prepare("CM_IOC_ALLOC", size=4096) for _ in range(2))
    with Context("private") as pool:
        with pool.alloc(pool.query().free):
            first = call(used)
        return [first, call(used), call(fresh)]


def test_a_structure_that_was_used_is_invalid_whatever_the_call_failed_with(board: Any) -> None:
    """As the comment of struct cm_alloc says."""
    got = board.call(try_again_with_the_same_structure)
    assert got == [("ENOMEM", "FULL"), ("EINVAL", "INVALID"), ("", "NONE")]
