# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A bank beyond 4 GiB, and vivid, whose DMA mask has 32 bits: refused with the reason, never wrong.

One boot with 5 GiB of RAM and a bank on either side of 4 GiB.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.lg_feature("highbank"), pytest.mark.lg_feature("vivid")]

OVERLAY = "tests/boards/highbank.dtso"
MEMORY_MIB = 5 * 1024
EVIDENCE = pytest.StashKey[dict[str, Any]]()
CONFIG = "/tmp/policy.toml"
POLICY = '[policy]\nmap = "vivid=high,low"\n'
SIZES = {"smaller than a bounce buffer": "320x180", "larger": "640x480"}
"""In RGB3: 172,800 and 921,600 bytes; swiotlb gives at most 256 KiB (IO_TLB_SEGSIZE) in one."""


@pytest.fixture
def evidence(request: pytest.FixtureRequest, other_board: Callable[..., Any]) -> dict[str, Any]:
    """What the board with a bank beyond 4 GiB said and did; it is booted once."""
    stash = request.config.stash
    if EVIDENCE not in stash:
        with other_board([OVERLAY], state="module", memory_mib=MEMORY_MIB) as high:
            stash[EVIDENCE] = look_at(high)
    return stash[EVIDENCE]


def look_at(high: Any) -> dict[str, Any]:
    """Ask the board all that the tests want to know."""
    high.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1")
    high.check(f"cat >{CONFIG} <<'END'\n{POLICY}END")
    verify = [("low", 32), ("high", 32), ("high", 33), ("high", 64)]
    take = [(context, size) for context in ("low", "high") for size in SIZES.values()]
    return {
        "verified": dict(zip(verify, high.call(verify_each, asked=verify), strict=True)),
        "streamed": dict(zip(take, high.call(stream_each, asked=take), strict=True)),
        "by policy": high.run(f"cm-agent stream vivid --config {CONFIG} --frames 2"),
        "log": high.check("dmesg").splitlines(),
        "left": json.loads(high.check("cm-agent list --json"))["result"],
    }


def verify_each(asked: list[tuple[str, int]]) -> list[list[Any]]:
    """Verify a chunk of a context for so many address bits; tell the exit code and the head."""
    import contextlib
    import io

    from cm_agent.cli import main

    told = []
    for context, bits in asked:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(["verify", context, "1MiB", "--dma-bits", str(bits)])
        told.append([code, out.getvalue().splitlines()[0]])
    return told


def stream_each(asked: list[tuple[str, str]]) -> list[list[Any]]:
    """Stream into a context in a size; tell the exit code, the report, and what went wrong."""
    import contextlib
    import io
    import json

    from cm_agent.cli import main

    told = []
    for context, size in asked:
        width, height = size.split("x")
        words = ["--size", f"{width}x{height}", "--format", "RGB3", "--frames", "10"]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(["stream", "vivid", context, *words, "--json"])
        document = json.loads(out.getvalue())
        said = "".join(error["message"] for error in document["errors"])
        told.append([code, document["result"], said])
    return told


@pytest.mark.parametrize(
    ("context", "bits", "verdict"),
    [
        ("high", 32, "BOUNCED"),
        ("high", 33, "CONTIGUOUS"),
        ("high", 64, "CONTIGUOUS"),
        ("low", 32, "CONTIGUOUS"),
    ],
)
def test_the_verdict_depends_on_the_mask(
    evidence: dict[str, Any], context: str, bits: int, verdict: str
) -> None:
    code, head = evidence["verified"][context, bits]
    assert head.endswith(f"1 MiB: {verdict}")
    assert code == (0 if verdict == "CONTIGUOUS" else 1)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_stream_into_the_bank_beyond_is_refused_with_device_context_and_advice(
    evidence: dict[str, Any], size: str
) -> None:
    code, report, said = evidence["streamed"]["high", size]
    assert (code, report) == (1, None), said
    assert re.search(
        r"/dev/video\d+: queue capture buffer 0: .*chunk \d+ of context 'high' lies beyond 32"
        r" address bits.*; give it a context in a lower bank",
        said,
    ), said


def test_the_kernel_log_tells_how_far_the_device_reaches_and_where_the_bank_lies(
    evidence: dict[str, Any],
) -> None:
    refused = [line for line in evidence["log"] if "import of chunk" in line]
    assert len(refused) == len(SIZES) + 1, "one for each stream that was refused"
    for line in refused:
        assert re.search(
            r'vivid vivid\.0: import of chunk \d+ refused: context "high" lies at'
            r" 0x0*160000000 to 0x0*163ffffff, this device's DMA mask reaches 0xffffffff;",
            line,
        ), line


def test_no_bounce_buffer_was_asked_for(evidence: dict[str, Any]) -> None:
    """The DMA API would say that they are full, when a chunk is larger than one can be."""
    assert not [line for line in evidence["log"] if "swiotlb buffer is full" in line]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_bank_below_serves_the_same_device(evidence: dict[str, Any], size: str) -> None:
    code, report, said = evidence["streamed"]["low", size]
    assert code == 0 and report["contiguous"] and report["zero_copy"], (report, said)


def test_a_policy_does_not_move_on_in_silence_from_what_a_device_does_not_reach(
    evidence: dict[str, Any],
) -> None:
    """The next context is for one that has no room; a rule with one out of reach is a mistake."""
    got = evidence["by policy"]
    assert got.code == 1 and not got.stdout, got
    assert "/dev/video" in got.stderr and "context 'high'" in got.stderr, got.stderr


def test_all_is_free_again(evidence: dict[str, Any]) -> None:
    assert [it["free"] == it["size"] for it in evidence["left"]] == [True, True]
