#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Images that NumPy makes, through an encoder into a file that PyAV writes.

    sudo apt install python3-numpy python3-av
    encode_numpy.py vicodec shared /tmp/gradient.mkv

The images are copied into chunks of the context; the encoder reads them there and writes its
packets into others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import av
import numpy as np
from cm_agent import video

CODECS = {"H264": "h264", "HEVC": "hevc", "VP80": "vp8", "JPEG": "mjpeg", "FWHT": "rawvideo"}
"""PyAV's names of V4L2's formats. No player knows FWHT, which vicodec makes: kept as it is."""
FPS, SIZE = 25, (640, 480)


def images(count: int) -> Iterator[np.ndarray]:
    """Make a picture that moves, in the layout that V4L2 calls GREY."""
    width, height = SIZE
    for number in range(count):
        yield np.add.outer(np.arange(height), np.arange(width) + 8 * number).astype(np.uint8)


def main() -> None:
    """Encode and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoder", help="path, node or name of a driver")
    parser.add_argument("context", help="where the buffers come from")
    parser.add_argument("file", help="what to write; the suffix says in which container")
    parser.add_argument("--frames", type=int, default=50, metavar="N")
    args = parser.parse_args()
    with (
        video.Encoder(args.encoder, args.context, size=SIZE, format="GREY", fps=FPS) as encoder,
        av.open(args.file, "w") as file,
    ):
        stream = file.add_stream(CODECS[encoder.output.pixelformat], rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "gray"
        for packet in encoder.encode(images(args.frames)):
            coded = av.Packet(packet.data)
            coded.stream, coded.time_base = stream, packet.time_base
            coded.pts = coded.dts = packet.pts
            file.mux(coded)


if __name__ == "__main__":
    main()
