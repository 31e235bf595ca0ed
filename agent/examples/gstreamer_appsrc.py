#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A camera's images into GStreamer, in chunks of a context and without a copy.

    gstreamer_appsrc.py vivid shared \\
        'v4l2convert output-io-mode=dmabuf-import ! video/x-raw,format=BGR ! fakesink'

The camera fills the chunks, appsrc hands their dma-bufs on, and an element of V4L2 in the mode
dmabuf-import has its driver read them where they are; other elements read them by the CPU.

Each frame is a GstMemory of its own, from an allocator of its own, which is finalized when the last
reference to that memory is dropped. Then the chunk goes back to the camera: elements may split,
delay and drop images.

v4l2convert keeps the image before the one that it reads (seen with vim2m), so that two buffers
suffice; other elements may keep more. While the pipeline has all --buffers, the camera drops
images; when it has had them for five seconds, that is an error.

Needs python3-gi, gir1.2-gst-plugins-base-1.0 and gstreamer1.0-plugins-good (Debian's names).
"""

import argparse
import signal

import gi

gi.require_versions({"Gst": "1.0", "GstAllocators": "1.0", "GstVideo": "1.0"})

from cm_agent import video  # noqa: E402
from gi.repository import Gst, GstAllocators, GstVideo  # noqa: E402

FORMATS = {"RGB3": "RGB", "BGR3": "BGR", "GREY": "GRAY8", "YUYV": "YUY2", "NV12": "NV12"}
"""V4L2's pixel formats by GStreamer's names."""
FPS, SECONDS = 25, 5
"""What to ask the camera for; how long the pipeline may keep all chunks."""
ENDED = Gst.MessageType.EOS | Gst.MessageType.ERROR


def lend(frame: video.Frame, info: GstVideo.VideoInfo, pts: int) -> Gst.Buffer:
    """Make a buffer of a frame, which ends when the buffer's memory is freed."""
    chunk, payload, row = frame.buffer, frame.filled.payloads[0], frame.format.strides[0]
    allocator, fd = GstAllocators.DmaBufAllocator.new(), chunk.dup().detach()
    memory = GstAllocators.DmaBufAllocator.alloc(allocator, fd, chunk.size)  # closes the fd
    allocator.weak_ref(frame.end)  # in any thread: memory keeps the allocator it is from
    buffer = Gst.Buffer.new()
    buffer.pts = pts
    buffer.append_memory(memory)
    buffer.resize(payload.offset, payload.bytes_used)
    shape = info.finfo.format, info.width, info.height, info.finfo.n_planes
    GstVideo.buffer_add_video_meta_full(buffer, 0, *shape, [0, row * info.height, 0, 0], [row] * 4)
    return buffer


def play(pipeline: Gst.Bin, camera: video.Camera, info: GstVideo.VideoInfo, limit: int) -> None:
    """Push images until there were enough, or Ctrl-C, and until the pipeline has ended."""
    source, bus, message, start = pipeline.get_by_name("camera"), pipeline.get_bus(), None, 0
    signal.signal(signal.SIGINT, lambda *_: source.emit("end-of-stream"))
    pipeline.set_state(Gst.State.PLAYING)
    camera.start()
    while camera.wait(SECONDS) and not (message := bus.pop_filtered(ENDED)):
        if frame := camera.take():
            start = start or frame.timestamp_ns
            source.emit("push-buffer", lend(frame, info, frame.timestamp_ns - start))
        if camera.counters.frames == limit:
            source.emit("end-of-stream")
    if not (message := message or bus.pop_filtered(ENDED)):
        raise camera.nothing_came(SECONDS)
    if message.type == Gst.MessageType.ERROR:
        raise SystemExit("{.message}: {}".format(*message.parse_error()))


def main() -> None:
    """Stream as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("camera", "context", "pipeline"):
        parser.add_argument(name)
    parser.add_argument("--frames", type=int, metavar="N", help="default: until Ctrl-C")
    parser.add_argument("--buffers", type=int, default=8, metavar="N")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), metavar="PIXELS")
    parser.add_argument("--format", choices=FORMATS, default="RGB3")
    args = parser.parse_args()
    Gst.init(None)
    options = {name: getattr(args, name) for name in ("buffers", "size", "format")}
    with video.Camera(args.camera, args.context, fps=FPS, **options) as camera:
        info = GstVideo.VideoInfo()
        info.set_format(GstVideo.VideoFormat.from_string(FORMATS[args.format]), *camera.format.size)
        info.fps_n, info.fps_d = Gst.util_double_to_fraction(camera.rate or FPS)
        source = f'appsrc name=camera format=time caps="{info.to_caps().to_string()}"'
        pipeline = Gst.parse_launch(f"{source} ! {args.pipeline}")
        try:
            play(pipeline, camera, info, args.frames)
        finally:
            pipeline.set_state(Gst.State.NULL)
    print(camera.counters)


if __name__ == "__main__":
    main()
