# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent size` of formats, and of devices and contexts that are data."""

from __future__ import annotations

import errno
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from cm_agent.cli import main
from cm_agent.cli.size import budget, verb
from cm_agent.cli.size.grammar import parse
from cm_agent.core.reports import ContextState
from cm_agent.core.size import parse_size
from cm_agent.policy.rules import Policy
from cm_agent.video.demand import Demand, Request
from cm_agent.video.error import DeviceLookupError, VideoError
from cm_agent.video.format import Format, PlaneFormat
from unit.cli.schema import check

MIB = 1 << 20


def demand(driver: str | None, size: int, buffers: int = 1) -> Demand:
    """Return what a camera takes: so many chunks of this size."""
    made = Format(640, 480, "GREY", (PlaneFormat(size, 640),))
    return Demand("camera", Path("/dev/video0"), driver, None, made, 0, buffers)


def state(size: int, min_alignment: int = 4096, private: bool = False) -> ContextState:
    return ContextState("left", "", 0, size, size, size, 0, 0, min_alignment, 0, 4096, private)


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main([*line.split(), "--json"])
    return code, check(capsys.readouterr().out)


# -- what is written


@pytest.mark.parametrize(
    ("role", "text", "device", "request_"),
    [
        ("camera", "640x480:NV12", None, Request((640, 480), "NV12")),
        ("camera", "640x480:NV12:3", None, Request((640, 480), "NV12", buffers=3)),
        ("camera", "vivid", "vivid", Request()),
        ("camera", "vivid:640x480", "vivid", Request((640, 480))),
        ("camera", "vivid:640x480:3", "vivid", Request((640, 480), buffers=3)),
        ("camera", "/dev/by-path/usb-0:1:1.0:8x6", "/dev/by-path/usb-0:1:1.0", Request((8, 6))),
        ("encoder", "8x6:NV12:H264", None, Request((8, 6), "NV12", "H264")),
        ("encoder", "c:8x6:NV12:FWHT:0+2", "c", Request((8, 6), "NV12", "FWHT", None, 0, 0, 2)),
        ("encoder", "codec:8x6:NV12", "codec", Request((8, 6), "NV12")),
        ("decoder", "codec:8x6:H264:NV12", "codec", Request((8, 6), "H264", "NV12")),
        ("converter", "8x6:GREY:4x3:RGB3", None, Request((8, 6), "GREY", "RGB3", (4, 3))),
        ("converter", "8x6:NV12:RGB3", None, Request((8, 6), "NV12", "RGB3")),
    ],
)  # fmt: skip
def test_a_spec_is_taken_apart(role: str, text: str, device: str | None, request_: Request) -> None:
    got = parse(role, text, 0)
    assert (got.device, got.request) == (device, request_)


@pytest.mark.parametrize(
    ("role", "text", "why"),
    [
        ("camera", "640x480", "without a DEVICE, FORMAT must be there"),
        ("encoder", "640x480:NV12", "without a DEVICE, TO must be there"),
        ("camera", "640x480:NV12:0", "0 buffers: 1 to 32 are possible"),
        ("encoder", "640x480:NV12:H264:33+4", "33 inputs: 0 to 32 are possible"),
        ("encoder", "640x480:NV12:H264:4", "'4' has no meaning there"),
        ("camera", "640x480:NV12:H264", "'H264' has no meaning there"),
        ("camera", "0x480:NV12", "'0x480' has no pixels"),
        ("camera", "640x480:NV123", "'NV123' is no pixel format"),
    ],
)
def test_a_spec_that_is_wrong_is_an_error_with_its_form(
    role: str, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", f"--{role}", text]) == 2
    said = capsys.readouterr().err
    assert why in said and "it is written [DEVICE:]WIDTHxHEIGHT:FORMAT" in said


# -- what is added up


def test_devices_are_grouped_by_the_rule_for_their_driver() -> None:
    policy = Policy.parse("codec=right;vivid=left,right")
    demands = [demand("vivid", 4096), demand("other", 4096), demand("vivid", 1), demand(None, 1)]
    got = budget.shares(demands, policy, "spare")
    assert [(it.number, it.contexts, it.bytes) for it in got] == [
        (2, ("left", "right"), 8192),
        (None, ("spare",), 8192),
    ]


def test_a_context_serves_all_rules_that_name_it_first_and_the_one_that_falls_back_to_it() -> None:
    policy = Policy.parse("a=left;b=left;c=right,left")
    every = budget.shares([demand(it, 4096) for it in "abc"], policy, "spare")
    first, _, third = every
    assert budget.chunks_of("left", every, first) == [4096] * 2
    assert budget.chunks_of("left", every, third) == [4096] * 3


@pytest.mark.parametrize(
    ("chunks", "size", "alignment", "enough"),
    [
        ([4096] * 4, 16384, 4096, True),
        ([4096] * 4, 12288, 4096, False),
        ([4096] * 2, 65536 + 4096, 65536, True),
        ([4096] * 2, 65536, 65536, False),
    ],
)
def test_a_context_is_enough_when_all_chunks_lie_in_it_in_a_row(
    chunks: list[int], size: int, alignment: int, enough: bool
) -> None:
    assert budget.fits(chunks, state(size, alignment)) == enough


def test_a_bank_fills_blocks_and_stays_private() -> None:
    every = budget.shares([demand("a", 4 * MIB + 1)], Policy.parse("a=left"), "spare")
    for size, block in (("8MiB", 4 * MIB), ("32MiB", 32 * MIB)):
        (bank,) = budget.banks(every, {"left": state(MIB, private=True)}, block)
        assert (bank.needed, bank.size) == (4 * MIB + 4096, parse_size(size)) and bank.private


# -- what is printed


def test_formats_are_added_up_for_a_context_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, document = run(
        "size --camera 640x480:NV12:3 --encoder 640x480:NV12:H264:0+2 --coded-size 5000", capsys
    )
    result = document["result"]
    assert (code, result["bytes"]) == (0, 3 * 460_800 + 2 * 8192 + 3 * 2048)
    (rule,) = result["rules"]
    (context,) = rule["contexts"]
    assert (rule["rule"], context["name"], context["enough"]) == (None, "shared", None)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what finding and asking devices leads to, to be changed."""
    answers: dict[str, Any] = {"ask": demand("vivid", 4096, 3), "all": []}

    def answer(*_: object) -> Demand:
        if isinstance(answers["ask"], Exception):
            raise answers["ask"]
        return answers["ask"]  # type: ignore[no-any-return]

    monkeypatch.setattr(verb, "VideoDevice", nullcontext)
    monkeypatch.setattr(verb, "_find", lambda role, name, request: Path("/dev/video0"))
    monkeypatch.setattr(verb, "ask", answer)
    monkeypatch.setattr(verb, "ask_all", lambda: answers["all"])
    return answers


@pytest.mark.usefixtures("devices")
def test_a_device_is_counted_for_its_rule_beside_what_its_contexts_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[policy]\nmap = 'vivid=left,right'\n")
    states = {"left": state(8192), "right": state(12288)}
    monkeypatch.setattr(verb, "_state", states.get)
    line = f"size --camera vivid --config {config}"
    code, document = run(line, capsys)
    (rule,) = document["result"]["rules"]
    assert (code, rule["number"], rule["rule"]) == (0, 1, "vivid=left,right")
    assert [it["enough"] for it in rule["contexts"]] == [False, True]
    main(line.split())
    said = capsys.readouterr().out
    assert "  left: shared, 8 KiB, 8 KiB free: NOT ENOUGH for 12,288 bytes\n" in said
    assert "  right: shared, 12 KiB, 12 KiB free: enough\n" in said


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeviceLookupError(errno.ENODEV, "vivid", "no camera"), 2),
        (VideoError(errno.EINVAL, "/dev/video0", "try the capture format"), 2),
        (VideoError(errno.ENOENT, "/dev/video0", "open"), 2),
        (VideoError(errno.EACCES, "/dev/video0", "open"), 1),
        (VideoError(errno.EBUSY, "/dev/video0", "announce 4 imported capture buffers"), 1),
    ],
)
def test_an_unknown_device_or_format_is_the_caller_s_error(
    devices: dict[str, Any], error: VideoError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    devices["ask"] = error
    got, document = run("size --camera vivid:640x480", capsys)
    assert (got, len(document["errors"])) == (code, 1)


def test_of_all_devices_those_that_import_nothing_are_left_out(
    devices: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    unfit = VideoError(errno.EINVAL, "/dev/video1", "announce 4 imported capture buffers")
    devices["all"] = [demand("vivid", 4096), unfit]
    code, document = run("size", capsys)
    assert (code, document["result"]["bytes"]) == (0, 4096)
    assert document["result"]["left_out"] == [str(unfit)]


def test_a_device_that_does_not_answer_is_a_failure_beside_the_others(
    devices: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    busy = VideoError(errno.EBUSY, "/dev/video1", "announce 4 imported capture buffers")
    devices["all"] = [demand("vivid", 4096), busy]
    code, document = run("size", capsys)
    (error,) = document["errors"]
    assert (code, document["result"]["bytes"], error["errno"]) == (1, 4096, "EBUSY")
    assert "name the format without a DEVICE" in error["message"]


@pytest.mark.usefixtures("devices")
def test_no_device_at_all_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run("size", capsys)
    assert (code, document["result"]["bytes"]) == (1, 0)
    assert "there is no video device that imports dma-bufs" in document["errors"][0]["message"]


def test_help_says_which_type_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert 'Samsung\'s MFC, is counted as "common"' in said


def test_a_coded_format_without_a_size_names_the_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["size", "--camera", "640x480:MJPG"]) == 2
    said = capsys.readouterr().err
    assert "the size of 640x480 MJPG cannot be computed" in said and "--coded-size" in said
