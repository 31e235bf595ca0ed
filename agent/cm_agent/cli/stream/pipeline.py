# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent stream` through codecs and converters: what comes of it, and the report."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from cm_agent.cli.stream.line import Line, set_up, writing
from cm_agent.core.context import Context
from cm_agent.core.errors import UsageError
from cm_agent.core.size import format_size
from cm_agent.selftest.psnr import mean, psnr
from cm_agent.video.pipeline import Pipeline, Result

COMPARED = 10
"""Of so many images one is compared with its source, unless --compare says otherwise."""


def check(args: argparse.Namespace) -> None:
    """Raise UsageError for options that make no sense without others."""
    for option, needed in (
        ("decode", ("encode",)),
        ("write", ("encode",)),
        ("to", ("convert",)),
        ("save_source", ("convert", "encode")),
        ("compare", ("convert", "encode")),
        ("compact", ("convert", "encode")),
    ):
        value = getattr(args, option)
        given = value is not None and value is not False
        if given and not any(getattr(args, other) for other in needed):
            wanted = " or ".join(f"--{other}" for other in needed)
            raise UsageError(f"--{option.replace('_', '-')} makes sense with {wanted} only")
    if args.encode and not args.decode and (args.save or args.compare):
        option = "--save" if args.save else "--compare"
        raise UsageError(f"{option}: what comes out is no image without --decode")


@dataclass(slots=True)
class Tally:
    """What is counted of the results as they come; every: which are compared, None for COMPARED."""

    every: int | None
    frames: int = 0
    ratios: list[float] = field(default_factory=list)
    why_not: str = ""
    times: list[float] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Take in one more, and compare it with its source if it is its turn."""
        every = COMPARED if self.every is None else self.every
        if every and self.frames % every == 0 and not self.why_not:
            self._compare(result)
        self.frames += 1
        self.times = [*self.times[:1], time.monotonic()]

    def _compare(self, result: Result) -> None:
        try:
            self.ratios.append(psnr(result.source, result.frame))
        except (ValueError, ImportError) as error:
            if self.every is not None:
                raise UsageError(f"--compare: {error}") from None
            self.why_not = str(error)

    @property
    def fps(self) -> float | None:
        """Results per second; None when there was but one."""
        return (self.frames - 1) / (self.times[-1] - self.times[0]) if self.frames > 1 else None


def run(args: argparse.Namespace, progress: Callable[[str], None]) -> dict[str, Any]:
    """Stream as asked and return the report."""
    with ExitStack() as stack:
        context = stack.enter_context(Context(args.context))
        line = set_up(args, stack, context)
        tally = Tally(args.compare)
        pipeline = Pipeline(
            line.camera, line.stages, window=1 if args.compact else None, watchers=line.watchers
        )
        for result in pipeline.run(args.frames):
            tally.add(result)
            progress(f"frame {tally.frames} of {args.frames}")
            if tally.frames == args.frames:
                _save(args, result)
        return report(args, line, tally)


def _save(args: argparse.Namespace, result: Result) -> None:
    for frame, path in ((result.frame, args.save), (result.source, args.save_source)):
        if path:
            with writing(path):
                frame.save(path)


def report(args: argparse.Namespace, line: Line, tally: Tally) -> dict[str, Any]:
    """Return what was seen, in JSON's types."""
    errors = sum(it.errors for it in line.counters)
    moved = line.stress is None or line.stress.moves > 0
    return {
        "ok": line.check.zero_copy and moved and not errors and tally.frames == args.frames,
        "devices": [
            {
                "device": str(it.path),
                "driver": it.capabilities.driver,
                "card": it.capabilities.card,
            }
            for it in line.devices
        ],
        "context": args.context,
        "formats": [str(it) for it in line.formats],
        "chunks": [it.to_json() for it in line.check.chunks],
        "zero_copy": line.check.zero_copy,
        "frames": tally.frames,
        "fps": tally.fps,
        "fps_asked": args.fps,
        "fps_set": line.camera.rate,
        "dropped": line.camera.counters.dropped,
        "errors": errors,
        "bytes_copied_by_cpu": sum(it.bytes_copied for it in line.counters),
        "ioctls": line.camera.ioctls + sum(stage.ioctls for stage in line.stages),
        "psnr": ratios(tally),
        "written": {"file": str(args.write), "bytes": line.file.bytes} if line.file else None,
        "moves": line.stress and line.stress.moves,
        "moved_frames": line.stress and line.stress.moved_frames,
        "saved": [str(it) for it in (args.save_source, args.save) if it],
    }


def ratios(tally: Tally) -> dict[str, Any]:
    """Return decibels, None where all that was compared is equal."""
    different = [ratio for ratio in tally.ratios if ratio < math.inf]
    return {
        "compared": len(tally.ratios),
        "identical": len(tally.ratios) - len(different),
        "mean": mean(tally.ratios) if different else None,
        "worst": min(different, default=None),
        "why_not": tally.why_not,
    }


def describe(report: dict[str, Any]) -> str:
    """Return the report for people."""
    rate = "" if report["fps"] is None else f", {report['fps']:.1f} fps"
    copied = f"{report['bytes_copied_by_cpu']:,} bytes copied by the CPU"
    lines = [
        " -> ".join(f"{it['device']} ({it['card']})" for it in report["devices"])
        + f", context {report['context']}",
        *(_describe_link(number, report) for number in range(len(report["formats"]))),
        f"{report['frames']} frames{rate}, {report['dropped']} dropped,"
        f" {report['errors']} with errors, {report['ioctls']} ioctls",
        _describe_ratios(report["psnr"]),
        f"{copied} to save {', '.join(report['saved'])}" if report["saved"] else copied,
    ]
    if written := report["written"]:
        lines.append(f"stream of {format_size(written['bytes'])} in {written['file']}")
    if report["moves"] is not None:
        lines.append(
            f"{report['moves']} moves of chunks, {report['moved_frames']} with a new image in them"
        )
    if not report["ok"]:
        lines.append("FAILED: see the lines above")
    return "\n".join(lines)


def _describe_link(number: int, report: dict[str, Any]) -> str:
    chunks = [it for it in report["chunks"] if it["link"] == number]
    devices = [it["device"] for it in report["devices"]]
    reader = f", read by {devices[number + 1]}" if number + 1 < len(devices) else ""
    places = {it["same_place"] for it in chunks if it["reads"]}
    where = "" if not places or None in places else " at the same address"
    if False in places:
        where = " AT ANOTHER ADDRESS"
    sizes = {it["size"] for it in chunks}
    verdicts = sorted({it["verdict"] for it in chunks})
    return (
        f"  {report['formats'][number]}: {len(chunks)} chunks of"
        f" {' and '.join(format_size(size) for size in sorted(sizes))}, {', '.join(verdicts)};"
        f" filled by {devices[number]}{reader}{where}"
    )


def _describe_ratios(ratios: dict[str, Any]) -> str:
    if ratios["why_not"]:
        return f"not compared: {ratios['why_not']}"
    if not ratios["compared"]:
        return "not compared"
    if ratios["mean"] is None:
        return f"{ratios['compared']} images compared with their sources, all identical"
    return (
        f"PSNR {ratios['mean']:.1f} dB, at worst {ratios['worst']:.1f} dB,"
        f" of {ratios['compared']} images compared with their sources"
    )
