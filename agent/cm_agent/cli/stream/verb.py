# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent stream`: frames from a video device into a context, and the proof of no copy."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cm_agent.cli._allocation import add_context, allocated
from cm_agent.cli._arguments import add_common, positive_int
from cm_agent.cli._output import show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.cli.stream import pipeline as _pipeline
from cm_agent.cli.stream.line import naming, writing
from cm_agent.contiguity.verification import Verdict
from cm_agent.core.errors import UsageError
from cm_agent.core.size import format_size
from cm_agent.policy.allocator import Allocation
from cm_agent.selftest.samples import Samples
from cm_agent.video.camera import Camera
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import find_camera
from cm_agent.video.format import fourcc, fourcc_text
from cm_agent.video.frame import Frame
from cm_agent.video.image import require_convertible

MOST_BUFFERS = 32
"""VIDEO_MAX_FRAME: what drivers take."""

_DESCRIPTION = """\
Have a video device fill buffers of a context, and prove that no byte is copied: every buffer is
verified, and its content changes while it stays at the same address."""
_EPILOG = """\
DEVICE is a path, a node such as video0, or the name of a driver such as vivid. Without CONTEXT,
the policy's rule for a device of its driver's name, type "common", says where the buffers come
from: all from one context, the first that has room for all.
Exit codes: 0 all frames came, without a copy, into chunks that are CONTIGUOUS; 1 not so;
2 an error in the arguments."""


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "stream a video device into a context without a copy"
    parser = add_verb(sub, "stream", what, _DESCRIPTION, _EPILOG)
    parser.add_argument("device", metavar="DEVICE", help="path, node or name of a driver")
    add_context(parser)
    parser.add_argument(
        "--frames", type=positive_int, default=100, metavar="N", help="default: %(default)s"
    )
    unchanged = "default: as the device is set"
    parser.add_argument(
        "--size", type=_size, metavar="SIZE", help="in pixels, such as 640x480; " + unchanged
    )
    parser.add_argument("--format", type=_pixelformat, metavar="FOURCC", help=unchanged)
    parser.add_argument("--fps", type=_fps, metavar="RATE", help="frames per second, " + unchanged)
    parser.add_argument(
        "--buffers", type=_buffers, default=4, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--save", type=_png, metavar="FILE.png", help="keep the last frame")
    _add_pipeline(parser)
    add_common(parser)
    parser.set_defaults(run=run)


def _add_pipeline(parser: argparse.ArgumentParser) -> None:
    """Add what is done with the frames."""
    group = parser.add_argument_group(
        "what is done with the frames", "by devices that share the buffers; DEVICE as above"
    )
    group.add_argument("--convert", metavar="DEVICE", help="convert them")
    group.add_argument("--to", type=_pixelformat, metavar="FOURCC", help="... to this format")
    group.add_argument("--encode", metavar="DEVICE", help="encode them")
    group.add_argument("--write", type=Path, metavar="FILE", help="... and keep the stream")
    group.add_argument("--decode", metavar="DEVICE", help="decode the stream again")
    group.add_argument(
        "--compare",
        type=_count,
        metavar="N",
        help=f"compare every Nth image that comes out with the camera's, 0: none"
        f" (default: {_pipeline.COMPARED}, if they can be compared)",
    )
    group.add_argument(
        "--save-source", type=_png, metavar="FILE.png", help="keep the camera's last image, too"
    )
    group.add_argument(
        "--compact",
        action="store_true",
        help="have the buffers moved by compaction on their way, one frame at a time",
    )


def run(args: argparse.Namespace) -> int:
    """Stream as asked and print the report."""
    _pipeline.check(args)
    if args.convert or args.encode:
        if args.context is None:
            raise UsageError("CONTEXT: name one: the policy speaks of one device, not of several")
        report = _pipeline.run(args, Progress())
        return show(args, report, [_pipeline.describe(report)], ok=report["ok"])
    return _film(args)


def _film(args: argparse.Namespace) -> int:
    """Stream into buffers that nobody else reads, and print the report."""
    progress = Progress()
    with naming("DEVICE"):
        path = find_camera(args.device)
    with (
        VideoDevice(path) as device,
        allocated(
            args,
            device.capabilities.driver,
            lambda context, deadline: Camera(
                device,
                context,
                size=args.size,
                format=args.format,
                fps=args.fps,
                buffers=args.buffers,
                deadline=deadline,
            ),
        ) as allocation,
        allocation.what as camera,
    ):
        if args.save:
            with naming("--save"):
                require_convertible(camera.format)
        samples = Samples(allocation.context, camera, progress=progress)
        span = Span()
        for frame in camera.frames(args.frames):
            samples.look(frame)
            span.add(frame)
            progress(f"frame {span.frames} of {args.frames}")
            if args.save and span.frames == args.frames:
                with writing(args.save):
                    frame.save(args.save)
        report = _report(args, allocation, samples, span)
    return show(args, report, [_describe(report)], ok=report["ok"])


def _report(
    args: argparse.Namespace, allocation: Allocation[Camera], samples: Samples, span: Span
) -> dict[str, Any]:
    camera = allocation.what
    device, counters = camera.device, camera.counters
    verdicts = [entry.verification for entry in samples.chunks]
    contiguous = all(it.verdict is Verdict.CONTIGUOUS and it.agree for it in verdicts)
    return {
        "ok": contiguous and samples.zero_copy,
        "device": str(device.path),
        "driver": device.capabilities.driver,
        "card": device.capabilities.card,
        "context": allocation.context.name,
        "rule": str(allocation.rule) if allocation.rule else None,
        "refused": [{"context": it.context, "why": str(it)} for it in allocation.refusals],
        "width": camera.format.width,
        "height": camera.format.height,
        "pixelformat": camera.format.pixelformat,
        "planes": [{"size": p.size, "stride": p.stride} for p in camera.format.planes],
        "buffers": [entry.to_json() for entry in samples.chunks],
        "contiguous": contiguous,
        "zero_copy": samples.zero_copy,
        "frames": counters.frames,
        "seconds": span.seconds,
        "fps": span.fps,
        "fps_asked": args.fps,
        "fps_set": camera.rate,
        "dropped": counters.dropped,
        "errors": counters.errors,
        "bytes_copied_by_cpu": counters.bytes_copied,
        "ioctls": camera.ioctls,
        "saved": str(args.save) if args.save else None,
    }


def _describe(report: dict[str, Any]) -> str:
    size = " + ".join(format_size(plane["size"]) for plane in report["planes"])
    copied = f"{report['bytes_copied_by_cpu']:,} bytes copied by the CPU"
    rate = "" if report["fps"] is None else f", {report['fps']:.1f} fps"
    if report["fps_asked"] is not None:
        chosen = report["fps_set"]
        rate += f" (asked for {report['fps_asked']:g}, the driver set "
        rate += "a rate it does not report)" if chosen is None else f"{chosen:g})"
    rule = f" by rule {report['rule']}" if report["rule"] else ""
    lines = [
        f"{report['device']} ({report['card']}) into context {report['context']}{rule}:"
        f" {report['width']}x{report['height']} {report['pixelformat']}, {size} a frame",
        *(f"  refused: {refusal['why']}" for refusal in report["refused"]),
        *(_describe_chunk(chunk) for chunk in report["buffers"]),
        f"{report['frames']} frames{rate}, {report['dropped']} dropped,"
        f" {report['errors']} with errors, {report['ioctls']} ioctls",
        f"{copied} to save {report['saved']}" if report["saved"] else copied,
    ]
    if not report["ok"]:
        lines.append("FAILED: " + "; ".join(describe_missing(report)))
    return "\n".join(lines)


def describe_missing(report: dict[str, Any]) -> list[str]:
    """Return what the proof lacks, for the chunks of each reason."""
    chunks, driver = report["buffers"], report["driver"]
    looked_at = [chunk for chunk in chunks if chunk["samples"]]
    hint = ", unless loaded with allocators=1" if driver == "vivid" else ""
    reasons = {
        "{} not seen to be contiguous by all witnesses": [
            it for it in chunks if it["verdict"] != Verdict.CONTIGUOUS or not it["agree"]
        ],
        f"{{}} imported by no device: {driver} writes with the CPU{hint}": [
            it for it in looked_at if not it["imports"]
        ],
        "{} without new content": [it for it in looked_at if not it["changes"]],
        "{} moved since verification": [it for it in looked_at if it["address_kept"] is False],
    }
    missing = [why.format(_describe_ids(those)) for why, those in reasons.items() if those]
    return missing if looked_at else [*missing, "no frame was looked at"]


def _describe_ids(chunks: Sequence[dict[str, Any]]) -> str:
    ids = ", ".join(str(chunk["chunk"]) for chunk in chunks)
    return f"chunk {ids}" if len(chunks) == 1 else f"chunks {ids}"


def _describe_chunk(chunk: dict[str, Any]) -> str:
    shout = "" if chunk["agree"] else " THE WITNESSES DISAGREE"
    where = {True: ", same address", False: ", MOVED", None: ""}[chunk["address_kept"]]
    return (
        f"  buffer {chunk['buffer']}.{chunk['plane']}: chunk {chunk['chunk']},"
        f" {format_size(chunk['size'])}, {chunk['verdict']}{shout};"
        f" imports {chunk['imports']}, new content in {chunk['changes']} of"
        f" {chunk['samples']} samples{where}"
    )


@dataclass(slots=True)
class Span:
    """Time from the first frame to the last, by the driver's clock."""

    frames: int = 0
    timestamps: list[int] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        """Take in one more frame."""
        self.frames += 1
        self.timestamps = [*self.timestamps[:1], frame.timestamp_ns]

    @property
    def seconds(self) -> float:
        """Seconds between the first frame and the last."""
        return (self.timestamps[-1] - self.timestamps[0]) / 1e9 if self.timestamps else 0.0

    @property
    def fps(self) -> float | None:
        """Frames per second; None when one frame or a stopped clock leave it unknown."""
        return (self.frames - 1) / self.seconds if self.seconds > 0 else None


class Progress:
    """Tell on stderr how far it is, from two seconds on and once a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + 2.0

    def __call__(self, text: str) -> None:
        """Say where we are, if it is time to say something."""
        if self._clock() >= self._next:
            self._next = self._clock() + 1.0
            print(text, file=sys.stderr, flush=True)


def _buffers(text: str) -> int:
    number = positive_int(text)
    if number > MOST_BUFFERS:
        raise argparse.ArgumentTypeError(f"{text!r} is more than the {MOST_BUFFERS} there can be")
    return number


def _count(text: str) -> int:
    return 0 if text == "0" else positive_int(text)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    try:
        return positive_int(width), positive_int(height)
    except argparse.ArgumentTypeError:
        message = f"{text!r} is no size in pixels, such as 640x480"
        raise argparse.ArgumentTypeError(message) from None


def _pixelformat(text: str) -> str:
    try:
        return fourcc_text(fourcc(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _fps(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate from 0.001 to 1000")
    return rate


def _png(text: str) -> Path:
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png")
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no such folder")
    return Path(text)
