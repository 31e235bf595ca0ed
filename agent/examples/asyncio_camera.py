#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A camera in a browser: asyncio's loop takes frames, and answers HTTP meanwhile.

    sudo apt install python3-numpy python3-pil
    asyncio_camera.py vivid shared --port 8000      # http://127.0.0.1:8000/ is the next frame

A frame that nobody asks for goes back to the camera without a copy. Ctrl-C ends it.
"""

import argparse
import asyncio
import io
from contextlib import closing, suppress

from cm_agent import video
from PIL import Image

waiting: list[asyncio.Future[bytes]] = []


def encode(frame: video.Frame) -> bytes:
    """Make a JPEG of a frame, in a thread: the camera gets the frame back afterwards."""
    file = io.BytesIO()
    with frame.array() as image:
        Image.fromarray(image).save(file, "JPEG")
    return file.getvalue()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request, whatever its path, with the next frame."""
    with suppress(ConnectionError, EOFError, asyncio.CancelledError), closing(writer):
        await reader.readuntil(b"\r\n\r\n")
        waiting.append(asyncio.get_running_loop().create_future())
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + await waiting[-1])
        await writer.drain()


async def main() -> None:
    """Take frames until the end, and encode those that somebody waits for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camera", help="path, node or name of a driver")
    parser.add_argument("context", help="where the buffers come from")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    server = await asyncio.start_server(answer, "127.0.0.1", args.port)
    with closing(server), video.Camera(args.camera, args.context, format="RGB3") as camera:
        async for frame in camera.frames():
            if waiting:
                picture = await asyncio.to_thread(encode, frame)
                while waiting:
                    waiting.pop().set_result(picture)


with suppress(KeyboardInterrupt):
    asyncio.run(main())
