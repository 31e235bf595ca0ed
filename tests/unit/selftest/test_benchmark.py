# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent bench`: what is timed, what is left behind, what is printed."""

from __future__ import annotations

import errno
import json
import os
from typing import Any, cast

import pytest
from cm_agent.cli import bench, main
from cm_agent.core import uapi
from cm_agent.core.context import Context
from cm_agent.selftest import benchmark
from cm_agent.selftest.benchmark import Measured, Times, measure, summarize


class Chunk:
    """A buffer of whole pages that nobody looks at."""

    def __init__(self, size: int) -> None:
        self.size = -(-size // 4096) * 4096

    def __enter__(self) -> Chunk:
        return self

    def __exit__(self, *exception: object) -> None:
        """Free nothing."""

    def close(self) -> None:
        """Free nothing."""


class Node:
    """A context without a kernel, whose requests get pipes; it fails after `good` of them."""

    def __init__(self, good: int = 1000) -> None:
        self.good = good
        self.given: list[int] = []
        self.allocs = 0

    def fileno(self) -> int:
        """Return a number that nobody uses."""
        return -1

    def alloc(self, size: int) -> Chunk:
        """Allocate, or tell the reason."""
        self.allocs += 1
        if len(self.given) >= self.good:
            raise OSError(errno.ENOMEM, "FULL")
        return Chunk(size)

    def submit(self, fd: int, name: str, request: Any) -> None:
        """Give a descriptor."""
        if len(self.given) >= self.good:
            raise OSError(errno.ENOMEM, "no reason")
        request.fd = os.open(os.devnull, os.O_RDONLY)
        self.given.append(request.fd)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node()
    monkeypatch.setattr(uapi, "submit", node.submit)
    monkeypatch.setattr(uapi, "call_nothing", lambda fd: None)
    return node


def test_percentiles_are_of_the_ordered_samples() -> None:
    assert summarize([3, 1, 2]) == Times(p50=2, p99=3)
    assert summarize([*range(200)]) == Times(p50=100, p99=198)


def test_every_chunk_is_freed(node: Node) -> None:
    before = len(os.listdir("/proc/self/fd"))
    measure(cast(Context, node), 4096, 20)
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(node.given) == 21


def test_first_samples_do_not_count(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([900, 900, 900, 10, 20, 30])

    def take(do: Any, *arguments: Any) -> int:
        do(*arguments)
        return next(times)

    monkeypatch.setattr(benchmark, "_time", take)
    found = measure(cast(Context, node), 4096, 1)
    assert found == Measured(4096, 1, Times(10, 10), Times(20, 20), Times(30, 30))
    assert found.ratio == 0.5


def test_the_size_is_that_of_whole_pages(node: Node) -> None:
    assert measure(cast(Context, node), 5000, 1).size == 8192


def test_failure_has_the_reason_of_the_context(node: Node) -> None:
    node.good = 3
    with pytest.raises(OSError, match="FULL"):
        measure(cast(Context, node), 4096, 20)


class State:
    """What a context that is half full says of itself."""

    name, private, version, free = "camera", True, "0.1.0", 1 << 20


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    class Camera:
        def __init__(self, name: str) -> None:
            pass

        def __enter__(self) -> Camera:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def query(self) -> State:
            return State()

    def invented(context: Context, size: int, count: int) -> Measured:
        if size > 8 << 20:
            raise OSError(errno.ENOMEM, "FULL")
        return Measured(size, count, Times(2000, 9000), Times(1000, 1100), Times(500, 600))

    monkeypatch.setattr(bench, "Context", Camera)
    monkeypatch.setattr(bench, "measure", invented)


@pytest.mark.usefixtures("camera")
def test_sizes_are_those_that_fit_what_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "camera", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["result"]
    assert [it["size"] for it in told["measured"]] == [
        4 << 10,
        16 << 10,
        64 << 10,
        256 << 10,
        1 << 20,
    ]
    assert (told["context"], told["private"]) == ("camera", True)
    assert told["measured"][0]["alloc"] == {"p50": 2000, "p99": 9000}


@pytest.mark.usefixtures("camera")
def test_times_are_printed_in_microseconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "camera", "8MiB"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["SIZE", "ALLOC"]
    assert row.split() == ["8", "MiB", "2.0", "9.0", "1.0", "1.1", "2.00", "0.5", "0.6"]


@pytest.mark.usefixtures("camera")
def test_what_was_measured_before_a_failure_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "camera", "4KiB", "9MiB", "8KiB", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [it["size"] for it in told["result"]["measured"]] == [4 << 10]
    assert [(it["errno"], it["message"]) for it in told["errors"]] == [("ENOMEM", "FULL")]


@pytest.mark.usefixtures("camera")
def test_failure_is_told_without_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "camera", "9MiB"]) == 1
    assert capsys.readouterr().err == "cm-agent bench: FULL\n"
