# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent stream` through codecs: what makes no sense, and what the report says."""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cm_agent.cli import main
from cm_agent.cli.stream import line as _line
from cm_agent.cli.stream import pipeline as _pipeline
from cm_agent.cli.stream import verb as stream
from cm_agent.core.errors import UsageError
from cm_agent.video.discovery import find_encoder
from cm_agent.video.format import Filled, Payload
from cm_agent.video.frame import Counters, Frame
from unit.core.memfd_buffer import MemfdBuffer
from unit.video.video_data import RAW


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    stream.register(parser.add_subparsers())
    return parser.parse_args(["stream", "vivid", "camera", *arguments])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--decode", "x"], "--decode makes sense with --encode only"),
        (["--write", "x"], "--write makes sense with --encode only"),
        (["--to", "RGB3"], "--to makes sense with --convert only"),
        (["--compact"], "--compact makes sense with --convert or --encode only"),
        (["--compare", "0"], "--compare makes sense with --convert or --encode only"),
        (["--save-source", "x.png"], "--save-source makes sense with --convert or --encode only"),
        (["--encode", "x", "--save", "x.png"], "--save: what comes out is no image"),
        (["--encode", "x", "--compare", "3"], "--compare: what comes out is no image"),
    ],
)
def test_options_that_lack_another_are_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        _pipeline.check(parse(*words))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--encode", "x", "--write", "y", "--compact"],
        ["--encode", "x", "--decode", "x", "--save", "y.png", "--compare", "1"],
        ["--convert", "x", "--to", "RGB3", "--save-source", "y.png", "--compare", "0"],
    ],
)
def test_options_that_fit_together_are_taken(words: list[str]) -> None:
    _pipeline.check(parse(*words))


def test_an_unknown_encoder_is_a_mistake_in_its_argument(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted = pytest.raises(UsageError, match="--encode: no-such: no encoder of that name")
    with wanted, _line.naming("--encode"):
        find_encoder("no-such")
    assert main(["stream", "vivid", "camera", "--decode", "x"]) == 2
    assert "cm-agent stream: --decode makes sense" in capsys.readouterr().err


def report(**changes: Any) -> dict[str, Any]:
    """A report of a camera and an encoder, with two chunks for each."""
    chunk = {"size": 4096, "verdict": "CONTIGUOUS", "reads": 2, "same_place": True}
    return {
        "ok": True,
        "devices": [
            {"device": "/dev/video0", "driver": "a", "card": "Camera"},
            {"device": "/dev/video1", "driver": "b", "card": "Coder"},
        ],
        "context": "left",
        "formats": ["8x8 GREY", "8x8 FWHT"],
        "chunks": [{**chunk, "link": 0}] * 2 + [{**chunk, "link": 1, "reads": 0}] * 2,
        "frames": 10,
        "fps": 12.34,
        "dropped": 1,
        "errors": 0,
        "ioctls": 99,
        "psnr": {"compared": 3, "identical": 0, "mean": 37.54, "worst": 37.4, "why_not": ""},
        "bytes_copied_by_cpu": 0,
        "saved": [],
        "written": None,
        "moves": None,
        "moved_frames": None,
        **changes,
    }


def test_a_report_for_people() -> None:
    assert _pipeline.describe(report()).splitlines() == [
        "/dev/video0 (Camera) -> /dev/video1 (Coder), context left",
        "  8x8 GREY: 2 chunks of 4 KiB, CONTIGUOUS; filled by /dev/video0, read by /dev/video1"
        " at the same address",
        "  8x8 FWHT: 2 chunks of 4 KiB, CONTIGUOUS; filled by /dev/video1",
        "10 frames, 12.3 fps, 1 dropped, 0 with errors, 99 ioctls",
        "PSNR 37.5 dB, at worst 37.4 dB, of 3 images compared with their sources",
        "0 bytes copied by the CPU",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"moves": 7, "moved_frames": 5}, "7 moves of chunks, 5 with a new image in them"),
        ({"written": {"file": "x", "bytes": 2048}}, "stream of 2 KiB in x"),
        ({"ok": False}, "FAILED: see the lines above"),
        (
            {"bytes_copied_by_cpu": 1234, "saved": ["a.png"]},
            "1,234 bytes copied by the CPU to save a.png",
        ),
        (
            {"psnr": {"compared": 3, "mean": None, "why_not": ""}},
            "3 images compared with their sources, all identical",
        ),
        ({"psnr": {"compared": 0, "why_not": "no"}}, "not compared: no"),
        ({"psnr": {"compared": 0, "why_not": ""}}, "not compared"),
    ],
)
def test_what_else_there_is_to_say(changes: dict[str, Any], line: str) -> None:
    assert line in _pipeline.describe(report(**changes)).splitlines()


def test_another_address_is_shouted() -> None:
    moved = [{**it, "same_place": it["link"] != 0} for it in report()["chunks"]]
    assert "read by /dev/video1 AT ANOTHER ADDRESS" in _pipeline.describe(report(chunks=moved))


def frame(data: bytes) -> Frame:
    buffer = MemfdBuffer.holding(data)
    return Frame((buffer,), Filled(0, (Payload(len(data), 0),), 0, 0, False), RAW, Counters())


def test_every_nth_result_is_compared_the_first_one_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_pipeline, "psnr", lambda source, result: 40.0)
    tally = _pipeline.Tally(3)
    for _ in range(7):
        tally.add(cast(Any, SimpleNamespace(source=None, frame=None)))
    assert (tally.frames, tally.ratios) == (7, [40.0] * 3)


def test_what_cannot_be_compared_is_a_mistake_only_when_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(source: object, result: object) -> float:
        raise ValueError("apples and pears")

    monkeypatch.setattr(_pipeline, "psnr", refuse)
    result = cast(Any, SimpleNamespace(source=None, frame=None))
    tally = _pipeline.Tally(None)
    tally.add(result)
    assert (tally.ratios, tally.why_not) == ([], "apples and pears")
    with pytest.raises(UsageError, match="--compare: apples and pears"):
        _pipeline.Tally(1).add(result)


def test_equal_images_are_counted_apart_from_the_others() -> None:
    tally = _pipeline.Tally(1, ratios=[math.inf, 40.0])
    got = _pipeline.ratios(tally)
    assert (got["compared"], got["identical"], got["worst"]) == (2, 1, 40.0)
    assert got["mean"] == pytest.approx(40 + 10 * math.log10(2))
    assert _pipeline.ratios(_pipeline.Tally(1, ratios=[math.inf]))["mean"] is None


def test_a_stream_is_written_from_where_it_lies(tmp_path: Path) -> None:
    with io.FileIO(tmp_path / "stream", "w") as file:
        writer = _line.StreamFile(file, 1)
        for link, data in ((1, b"first"), (0, b"image"), (1, b"second")):
            piece = frame(data)
            writer.filled(link, piece)
            piece.buffer.close()
    assert (tmp_path / "stream").read_bytes() == b"firstsecond"
    assert writer.bytes == 11
