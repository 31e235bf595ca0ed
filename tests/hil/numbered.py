# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Run the GStreamer example on the board with images that show their number, and read them back.

    python3 numbered.py EXAMPLE CAMERA CONTEXT PIPELINE ...

The camera fills a chunk; before the example has the frame, the CPU sets all bytes to the frame's
number: a chunk that is filled again while it is read shows another number, or several. Each
multifilesink writes pictures; their timestamps say which frames they must be.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")

from cm_agent import Context, video  # noqa: E402
from gi.repository import Gst  # noqa: E402

FRAMES: list[video.Frame] = []
LENT: list[int] = []
"""How many the pipeline had when it was given each."""
ARRIVED: dict[Gst.Element, list[int]] = {}
"""Timestamps of the images that each sink got, in nanoseconds."""


class Numbered(video.Camera):
    """A camera whose images are nothing but their number."""

    def take(self) -> video.Frame | None:
        """Write the number over the image."""
        frame = super().take()
        if frame is not None:
            with frame.buffer.cpu_access("w") as view:
                view[:] = bytes([len(FRAMES)]) * len(view)
            FRAMES.append(frame)
            LENT.append(sum(map(bool, FRAMES)))
        return frame


def launch(text: str) -> Gst.Pipeline:
    """Make a pipeline that notes what its sinks get."""
    pipeline = parse(text)
    sinks = pipeline.iterate_sinks()
    while (found := sinks.next())[0] == Gst.IteratorResult.OK:
        watch(found[1])
    return pipeline


def watch(sink: Gst.Element) -> None:
    """Note the timestamps of what a sink gets."""
    times = ARRIVED.setdefault(sink, [])

    def seen(_: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        times.append(info.get_buffer().pts)
        return Gst.PadProbeReturn.OK

    sink.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, seen)


def pictures(sink: Gst.Element) -> list[tuple[int, list[int]]]:
    """Return the number that each saved picture should show, and those that it shows."""
    location, start = sink.get_property("location"), FRAMES[0].timestamp_ns
    due = {frame.timestamp_ns - start: number for number, frame in enumerate(FRAMES)}
    return [
        (due.get(at, -1), sorted(set(Path(location % index).read_bytes())))
        for index, at in enumerate(ARRIVED[sink])
    ]


def main() -> None:
    """Run the example; print what it saved, what is lent, and whether the context is as before."""
    del sys.argv[0]
    error = None
    with Context(sys.argv[2]) as pool:
        before = pool.query()
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except (Exception, SystemExit) as raised:
            error = str(raised)
        same = pool.query() == before
    sinks = [sink for sink in ARRIVED if sink.find_property("location")]
    seen = {
        "pictures": {} if error else {sink.name: pictures(sink) for sink in sinks},
        "frames": len(FRAMES),
        "most_lent": max(LENT, default=0),
        "lent": sum(map(bool, FRAMES)),
        "same": same,
        "error": error,
    }
    print(json.dumps(seen))


parse, Gst.parse_launch = Gst.parse_launch, launch
video.Camera = Numbered
main()
