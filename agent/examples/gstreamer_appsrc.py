#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A camera's images into GStreamer, in chunks of a context and without a copy.

    gstreamer_appsrc.py vivid shared \\
        'v4l2convert output-io-mode=dmabuf-import ! video/x-raw,format=BGR ! fakesink'

The camera fills the chunks, appsrc hands their dma-bufs on, and an element of V4L2 in the mode
dmabuf-import has its driver read them where they are. An image goes back to the camera when what
was made of it, or of a later one, has come to the sink: the driver has read it then. Waiting until
nobody refers to its GstBuffer would take longer: elements of V4L2 keep those they have used until
they need room.

Needs python3-gi, gir1.2-gst-plugins-base-1.0 and gstreamer1.0-plugins-good (Debian's names).
"""

from __future__ import annotations

import argparse
import json
import sys
from fractions import Fraction
from queue import Empty, SimpleQueue

import gi

for name in ("Gst", "GstAllocators", "GstVideo"):
    gi.require_version(name, "1.0")

from cm_agent.video import Camera, Format, Frame  # noqa: E402
from gi.repository import Gst, GstAllocators, GstVideo  # noqa: E402

FORMATS = {"RGB3": "RGB", "BGR3": "BGR", "YUYV": "YUY2", "YU12": "I420", "NV12": "NV12"}
"""V4L2's pixel formats by GStreamer's names."""
SECONDS = 5


class Lender:
    """Lend frames to GStreamer and give them back to the camera when it has read them."""

    def __init__(self, camera: Camera) -> None:
        self._format = camera.format
        allocator = GstAllocators.DmaBufAllocator.new()
        # One memory a chunk, for as long as it is: an element imports what it has not seen yet.
        self._memories = {
            chunk.id: GstAllocators.DmaBufAllocator.alloc_with_flags(
                allocator, chunk.fd, chunk.size, GstAllocators.FdMemoryFlags.DONT_CLOSE
            )
            for chunk in camera.chunks
        }
        self._lent: dict[int, Frame] = {}
        self._came: SimpleQueue[int] = SimpleQueue()

    def watch(self, sink: Gst.Element) -> None:
        """Note what comes to a sink; GStreamer calls this from threads of its own."""

        def seen(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
            self._came.put(info.get_buffer().pts)
            return Gst.PadProbeReturn.OK

        sink.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, seen)

    def lend(self, frame: Frame, number: int, fps: float) -> Gst.Buffer:
        """Make a buffer of a frame, which stays on loan until take_back() finds it read."""
        buffer = Gst.Buffer.new()
        buffer.append_memory(self._memories[frame.buffer.id])
        buffer.set_size(frame.bytes_used)
        buffer.pts = int(number * Gst.SECOND / fps)
        buffer.duration = int(Gst.SECOND / fps)
        GstVideo.buffer_add_video_meta(
            buffer,
            GstVideo.VideoFrameFlags.NONE,
            GstVideo.VideoFormat.from_string(FORMATS[self._format.pixelformat]),
            self._format.width,
            self._format.height,
        )
        self._lent[buffer.pts] = frame
        return buffer

    def take_back(self, seconds: float = 0) -> int:
        """Release the frames that were read, after waiting for one; return how many are lent."""
        try:
            while self._lent:
                self._release(self._came.get(timeout=seconds) if seconds else self._came.get(False))
                seconds = 0
        except Empty:
            pass
        return len(self._lent)

    def _release(self, time: int) -> None:
        for lent in [it for it in self._lent if it <= time]:
            self._lent.pop(lent).end()


def caps(format: Format, fps: float) -> str:
    """Describe images to GStreamer; its V4L2 elements want all of this to be said."""
    rate = Fraction(fps).limit_denominator(1001)
    colorimetry = "sRGB" if format.pixelformat in ("RGB3", "BGR3") else "bt601"
    return (
        f"video/x-raw,format={FORMATS[format.pixelformat]},width={format.width},"
        f"height={format.height},framerate={rate.numerator}/{rate.denominator},"
        f"colorimetry={colorimetry},"
        "interlace-mode=progressive,pixel-aspect-ratio=1/1"
    )


def next_frame(camera: Camera, lender: Lender, bus: Gst.Bus) -> Frame:
    """Wait for the camera, and for the pipeline when it has all that there is."""
    while (frame := camera.take()) is None:
        if error := bus.pop_filtered(Gst.MessageType.ERROR):
            raise RuntimeError(error.parse_error())
        everything = len(camera.buffers)
        if lender.take_back() == everything and lender.take_back(SECONDS) == everything:
            raise TimeoutError("the pipeline reads nothing")
        if not camera.device.wait(SECONDS):
            raise TimeoutError("the camera delivers nothing")
    return frame


def run(pipeline: Gst.Pipeline, camera: Camera, lender: Lender, args: argparse.Namespace) -> None:
    """Push frames until there were enough, and wait until the pipeline is through with them."""
    source, bus = pipeline.get_by_name("camera"), pipeline.get_bus()
    lender.watch(pipeline.iterate_sinks().next()[1])
    pipeline.set_state(Gst.State.PLAYING)
    for number in range(args.frames):
        frame = next_frame(camera, lender, bus)
        source.emit("push-buffer", lender.lend(frame, number, args.fps))
    source.emit("end-of-stream")
    wanted = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = bus.timed_pop_filtered(SECONDS * Gst.SECOND, wanted)
    if message is None or message.type == Gst.MessageType.ERROR:
        raise RuntimeError(message.parse_error() if message else "the pipeline did not end")


def main() -> int:
    """Stream as asked, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camera", help="path, node or name of a driver")
    parser.add_argument("context", help="where the buffers come from")
    parser.add_argument("pipeline", help="what GStreamer does with the images")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--fps", type=float, default=25)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), metavar="PIXELS")
    parser.add_argument("--pixelformat", choices=FORMATS, default="RGB3")
    args = parser.parse_args()
    Gst.init(None)
    size = tuple(args.size)
    with Camera(
        args.camera, args.context, size=size, format=args.pixelformat, fps=args.fps
    ) as camera:
        source = f"appsrc name=camera format=time caps={caps(camera.format, args.fps)}"
        pipeline = Gst.parse_launch(f"{source} ! {args.pipeline}")
        lender = Lender(camera)
        try:
            camera.start()
            run(pipeline, camera, lender, args)
        finally:
            pipeline.set_state(Gst.State.NULL)
            left = lender.take_back()
        print(
            json.dumps(
                {
                    "frames": camera.counters.frames,
                    "not_given_back": left,
                    "bytes_copied_by_cpu": camera.counters.bytes_copied,
                }
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
