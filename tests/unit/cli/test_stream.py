# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The arguments and the progress of `cm-agent stream`."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from cm_agent.cli import main
from cm_agent.cli.stream import verb as stream


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    stream.register(parser.add_subparsers())
    return parser.parse_args(["stream", *arguments])


def test_defaults_ask_for_what_is_set() -> None:
    args = parse("vivid", "camera")
    assert (args.device, args.context, args.frames, args.buffers) == ("vivid", "camera", 100, 4)
    assert (args.size, args.format, args.fps, args.save) == (None,) * 4


def test_without_a_context_the_policy_says_where() -> None:
    args = parse("vivid", "--config", "other.toml")
    assert (args.context, args.config) == (None, Path("other.toml"))


def test_a_short_pixel_format_is_padded_as_drivers_do() -> None:
    assert parse("vivid", "camera", "--format", "Y16").format == "Y16 "


@pytest.mark.parametrize(
    "wrong",
    [
        ("--frames", "0"),
        ("--frames", "many"),
        ("--buffers", "33"),
        ("--size", "640"),
        ("--fps", "0"),
        ("--fps", "fast"),
        ("--format", "RGB24"),
        ("--save", "frame.jpg"),
        ("--save", "/nowhere/frame.png"),
        ("--save-source", "/nowhere/frame.png"),
    ],
)
def test_a_mistake_names_the_argument(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        parse("vivid", "camera", *wrong)
    assert exit.value.code == 2
    assert f"argument {wrong[0]}: " in capsys.readouterr().err


def test_an_unknown_device_is_a_mistake_in_the_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["stream", "no-such-driver", "camera"]) == 2
    assert "DEVICE: no-such-driver: no camera of that name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nowhere/video0", "/nowhere/video0: open: No such file or directory"),
        ("/dev/null", "is it a V4L2 device?"),
    ],
)
def test_a_path_that_is_no_video_device_is_a_failure(
    path: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stream", path, "camera"]) == 1
    assert words in capsys.readouterr().err


PROVEN = {
    "chunk": 1,
    "verdict": "CONTIGUOUS",
    "agree": True,
    "samples": 2,
    "imports": 1,
    "changes": 2,
    "address_kept": True,
}


@pytest.mark.parametrize(
    ("driver", "unlike", "said"),
    [
        ("uvcvideo", {"verdict": "FRAGMENTED"}, "not seen to be contiguous by all witnesses"),
        ("uvcvideo", {"agree": False}, "not seen to be contiguous by all witnesses"),
        ("uvcvideo", {"imports": 0}, "imported by no device: uvcvideo writes with the CPU"),
        (
            "vivid",
            {"imports": 0},
            "imported by no device: vivid writes with the CPU, unless loaded with allocators=1",
        ),
        ("uvcvideo", {"changes": 0}, "without new content"),
        ("uvcvideo", {"address_kept": False}, "moved since verification"),
    ],
)
def test_what_the_proof_lacks_is_said_of_the_chunks_that_lack_it(
    driver: str, unlike: dict[str, Any], said: str
) -> None:
    chunks = [PROVEN, {**PROVEN, "chunk": 2, **unlike}, {**PROVEN, "chunk": 3, "samples": 0}]
    assert stream.describe_missing({"driver": driver, "buffers": chunks}) == [f"chunk 2 {said}"]


def test_a_stream_that_nobody_looked_at_proves_nothing() -> None:
    chunks = [{**PROVEN, "samples": 0}]
    missing = stream.describe_missing({"driver": "vivid", "buffers": chunks})
    assert missing == ["no frame was looked at"]


def test_progress_is_silent_for_two_seconds_then_speaks_once_a_second(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    progress = stream.Progress(clock=lambda: now)
    for now in (1.0, 1.9, 2.0, 2.5, 2.9, 3.1, 3.2):
        progress(f"at {now}")
    assert capsys.readouterr().err.splitlines() == ["at 2.0", "at 3.1"]
