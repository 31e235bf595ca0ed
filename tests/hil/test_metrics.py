# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a Prometheus sees of the board: that it is well-formed, and that it is true."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from boards import prerequisites
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.lg_feature("systemd")

UNIT = "cm-agent.service"
CONFIG = "/etc/cm-agent/config.toml"
CONTEXTS = ("private", "shared")
MIB = 1 << 20
PATIENCE = 60
MOST_SERIES = 600
"""For two contexts; most of them are buckets: 2 contexts, 6 size classes, 18 buckets."""

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def configure(board: Any, text: str) -> None:
    """Give the service a configuration and start it anew."""
    board.check(f"mkdir -p /etc/cm-agent && cat > {CONFIG} <<'END'\n{text}\nEND")
    board.check(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")


@pytest.fixture(scope="module", autouse=True)
def own_configuration(board: Any) -> Iterator[None]:
    """No scheduled verification, unless a test asks for it: it allocates, too."""
    configure(board, "[verification]\ninterval = 0")
    yield
    board.check(f"rm {CONFIG} && systemctl restart {UNIT}")


def fetch(url: str) -> tuple[int, str]:
    """Return status and body of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(url: str) -> Series:
    """Return the value of every series."""
    status, text = fetch(url)
    assert status == 200, text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


def changes(before: Series, after: Series, prefix: str = "cm_") -> dict[str, float]:
    """Return by how much counters grew and gauges moved, as `name{a=b}`."""
    moved = {}
    for (name, labels), number in after.items():
        by = number - before.get((name, labels), 0)
        if by and name.startswith(prefix):
            words = ",".join(f"{key}={text}" for key, text in sorted(labels))
            moved[f"{name}{{{words}}}"] = by
    return moved


def test_promtool_finds_nothing_to_say(metrics_url: str) -> None:
    _, text = fetch(metrics_url)
    promtool = str(prerequisites.promtool())
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, text=True, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_context_is_up_and_as_large_as_its_bank(metrics_url: str, context: str) -> None:
    series = scrape(metrics_url)
    assert value(series, "cm_up", context=context) == 1
    assert value(series, "cm_size_bytes", context=context) == 64 * MIB
    private = "true" if context == "private" else "false"
    assert value(series, "cm_context_info", context=context, private=private) == 1


def ask(context: str, sizes: list[int], alignment: int) -> int:
    """Allocate and free chunks; return how many were refused."""
    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    refused = 0
    with Context(context) as pool:
        for size in sizes:
            try:
                pool.alloc(size, alignment).close()
            except AllocationError:
                refused += 1
    return refused


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_counters_count_what_was_done_and_nothing_else(
    agent: Any, metrics_url: str, context: str
) -> None:
    before = scrape(metrics_url)
    assert agent.call(ask, context=context, sizes=[4096] * 5 + [MIB] * 3, alignment=0) == 0
    assert agent.call(ask, context=context, sizes=[65 * MIB] * 2, alignment=0) == 2
    assert agent.call(ask, context=context, sizes=[4096] * 3, alignment=1 << 31) == 3
    assert agent.call(ask, context=context, sizes=[4096], alignment=12345) == 1
    after = scrape(metrics_url)
    moved = changes(before, after, "cm_allocation") | changes(before, after, "cm_frees")
    plain = {name: by for name, by in moved.items() if "duration" not in name}
    label = f"context={context}"
    assert plain == {
        f"cm_allocations_total{{{label}}}": 14,
        f"cm_allocation_failures_total{{{label},reason=FULL}}": 2,
        f"cm_allocation_failures_total{{{label},reason=FRAGMENTED}}": 3,
        f"cm_allocation_failures_total{{{label},reason=INVALID}}": 1,
        f"cm_frees_total{{{label}}}": 8,
    }
    durations = "cm_allocation_duration_seconds_count"
    assert moved[f"{durations}{{{label},size_class=64KiB}}"] == 5
    assert moved[f"{durations}{{{label},size_class=1MiB}}"] == 3


def hold(context: str) -> int:
    """Start a process that holds a pinned chunk of 3 MiB and one of 1 MiB; return its pid."""
    import subprocess
    import sys

    source = (
        "import sys, signal; from cm_agent.core.context import Context\n"
        "pool = Context(sys.argv[1]); kept = [pool.alloc(3 << 20), pool.alloc(1 << 20)]\n"
        "pool.pin(kept[0]); print('held', flush=True); signal.pause()"
    )
    words = [sys.executable, "-c", source, context]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process.pid


def end(pid: int) -> None:
    """Kill a child process and take its leave."""
    import os
    import signal

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_gauges_show_what_is_held(agent: Any, metrics_url: str, context: str) -> None:
    before = scrape(metrics_url)
    pid = agent.call(hold, context=context)
    try:
        moved = changes(before, scrape(metrics_url))
    finally:
        agent.call(end, pid=pid)
    label = f"{{context={context}}}"
    unused = sum(moved.get(f"cm_{name}_bytes{label}", 0) for name in ("held", "lent"))
    assert unused == -4 * MIB, "whichever of the two: a granule may be taken already"
    others = ("alloc", "scrape", "held", "lent")
    gauges = {name: by for name, by in moved.items() if not any(it in name for it in others)}
    assert gauges == {
        f"cm_free_bytes{label}": -4 * MIB,
        f"cm_largest_hole_bytes{label}": -4 * MIB,
        f"cm_pinned_bytes{label}": 3 * MIB,
        f"cm_chunks{label}": 2,
    }


def test_no_address_and_no_buffer_is_in_a_scrape(metrics_url: str) -> None:
    _, text = fetch(metrics_url)
    labels = set(re.findall(r'[{,](\w+)="', text))
    assert labels <= {"context", "reason", "verdict", "size_class", "le", "private", "version"}
    assert not re.search(r"0x[0-9a-f]{6,}", text)


def test_the_number_of_series_is_bounded(
    agent: Any, metrics_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not grow with what is allocated."""
    before = scrape(metrics_url)
    agent.call(ask, context="shared", sizes=[4096 << shift for shift in range(13)], alignment=0)
    after = scrape(metrics_url)
    with capsys.disabled():
        print(f" {len(after)} series ", end="")
    assert after.keys() == before.keys()
    assert len(after) <= MOST_SERIES


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/", 200, "<!DOCTYPE html>"),
        ("/-/healthy", 200, "2 of 2 contexts answer"),
        ("/-/ready", 200, "ready"),
        ("/nothing", 404, "/metrics"),
    ],
)
def test_a_path_answers(metrics_url: str, path: str, status: int, word: str) -> None:
    got, text = fetch(metrics_url.removesuffix("/metrics") + path)
    assert (got, word in text) == (status, True), text


def test_the_schedule_verifies_every_context(agent: Any, metrics_url: str) -> None:
    """CONTIGUOUS counts, the timestamp moves on, nothing fails and nobody disagrees."""
    try:
        configure(agent, '[verification]\ninterval = 1\nsize = "256 KiB"')
        for context in CONTEXTS:
            first = _await_checks(metrics_url, context, 1)
            second = _await_checks(metrics_url, context, first["checks"] + 1)
            assert second["last"] > first["last"]
        series = scrape(metrics_url)
    finally:
        configure(agent, "[verification]\ninterval = 0")
    others = {
        key: number
        for key, number in series.items()
        if number
        and key[0].startswith(("cm_contiguity_checks", "cm_verification_f", "cm_witness"))
        and ("verdict", "CONTIGUOUS") not in key[1]
        and not key[0].endswith("_created")
    }
    assert not others


def _await_checks(url: str, context: str, count: float) -> dict[str, float]:
    until = time.monotonic() + PATIENCE
    while True:
        series = scrape(url)
        checks = value(series, "cm_contiguity_checks_total", context=context, verdict="CONTIGUOUS")
        if checks >= count:
            last = value(series, "cm_last_verification_timestamp_seconds", context=context)
            return {"checks": checks, "last": last}
        assert time.monotonic() < until, f"{checks} checks of {context} within {PATIENCE} s"
        time.sleep(0.2)
