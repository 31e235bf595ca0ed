# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Chunks on a board that a test on this machine acts on, step by step, and devices that use them.

QEMU's fw_cfg takes physical addresses: it reads and writes memory by itself,
as an engine does that Linux has no driver for. Its items are numbered; names of files are in a
directory (QEMU's docs/specs/fw_cfg.rst). One of its files, `etc/ramfb`, is written: it tells the
display ramfb where in memory the picture is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from boards.remote import RemoteBoard
from PIL import Image

RAMFB = "etc/ramfb"
SHOWN = struct.Struct(">QIIIII")
"""struct RAMFBCfg of QEMU's hw/display/ramfb.c: address, fourcc, flags, width, height, stride."""
XRGB = int.from_bytes(b"XR24", "little")
PIXEL = 4

Ask = Callable[..., Any]


def serve(channel: Any, context: str) -> None:
    """Do with chunks of a context, and with devices, what a test says, by names of its own.

    | words | what is done, and answered |
    |---|---|
    | alloc NAME SIZE | a chunk; its bytes |
    | close NAME | it is closed |
    | pin NAME, unpin NAME | its physical address; nothing |
    | compact | moves |
    | largest | bytes of the largest hole |
    | write NAME OFFSET BYTES, read NAME OFFSET SIZE | by the CPU |
    | find FILE | the number of its item, and its bytes |
    | fetch ITEM ADDRESS SIZE | the device writes a file to memory, from its start |
    | store ITEM ADDRESS SIZE | the device reads memory, to a file |
    | film NAME WIDTH HEIGHT | vivid fills it by a frame, 4 bytes a pixel |
    | code NAME WIDTH HEIGHT | a chunk: a frame that vicodec encoded and decoded; bytes copied |
    | scatter NAME WIDTH HEIGHT | of vivid's buffers, the one in most runs; addresses, bytes |
    | show CARD NAME WIDTH HEIGHT PROGRAM | a DRM driver imports and shows it, by display.c |
    | end | drivers and chunks are let go of |
    """
    import ctypes
    import mmap
    import os
    import struct
    import subprocess
    from contextlib import ExitStack, closing
    from pathlib import Path

    from cm_agent.core.buffer import Buffer
    from cm_agent.core.context import Context
    from cm_agent.video.camera import Camera
    from cm_agent.video.decoder import Decoder
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find, find_camera, find_decoder, find_encoder
    from cm_agent.video.encoder import Encoder
    from cm_agent.video.pipeline import Pipeline

    dma_high, dma_low, read, select, write = 16, 20, 2, 8, 16
    directory, count, entry = 0x19, struct.Struct(">I"), struct.Struct(">IHxx56s")
    kept, pool = ExitStack(), Context(context)
    chunks: dict[str, Buffer] = {}
    pinned: dict[str, range] = {}
    registers: list[Any] = []

    def open_device() -> None:
        (node,) = Path("/proc/device-tree").glob("fw-cfg@*")
        place, fd = int(node.name.partition("@")[2], 16), os.open("/dev/mem", os.O_RDWR | os.O_SYNC)
        try:
            mapping = mmap.mmap(fd, mmap.PAGESIZE, offset=place)
        finally:
            os.close(fd)
        registers[:] = [ctypes.c_uint32.from_buffer(mapping, at) for at in (dma_high, dma_low)]
        for name in ("order", "names"):
            do_alloc(name, mmap.PAGESIZE)

    def transfer(item: int, direction: int, address: int, size: int) -> None:
        places = [range(it.start, it.stop + 1) for it in pinned.values()]
        if not any(address in it and address + size in it for it in places):
            raise RuntimeError(f"{size} bytes at {address:#x} are not of a chunk that is pinned")
        order = struct.pack(">IIQ", item << 16 | select | direction, size, address)
        do_write("order", 0, order)
        place = struct.pack(">Q", do_pin("order"))
        for register, half in zip(registers, struct.unpack("=II", place), strict=True):
            register.value = half
        do_unpin("order")
        (left,) = count.unpack(do_read("order", 0, count.size))
        if left:
            raise RuntimeError(f"fw_cfg: item {item:#x}: {left:#x} is left in the control word")

    def do_alloc(name: str, size: int) -> int:
        chunks[name] = kept.enter_context(closing(pool.alloc(size, deadline=60)))
        return chunks[name].size

    def do_close(name: str) -> None:
        chunks.pop(name).close()

    def do_pin(name: str) -> int:
        pin = pool.pin(chunks[name])
        pinned[name] = range(pin.address, pin.address + pin.size)
        return pin.address

    def do_unpin(name: str) -> None:
        pool.unpin(chunks[name])
        del pinned[name]

    def do_compact() -> int:
        return pool.compact().moves

    def do_largest() -> int:
        return pool.query().largest_hole

    def do_write(name: str, offset: int, data: bytes) -> None:
        with chunks[name].cpu_access("w") as view:
            view[offset : offset + len(data)] = data

    def do_read(name: str, offset: int, size: int) -> bytes:
        with chunks[name].cpu_access("r") as view:
            return view[offset : offset + size].tobytes()

    def do_find(file: str) -> list[int]:
        if not registers:
            open_device()
        start = do_pin("names")
        transfer(directory, read, start, count.size)
        (files,) = count.unpack(do_read("names", 0, count.size))
        if count.size + files * entry.size > chunks["names"].size:
            raise RuntimeError(f"fw_cfg: {files} files, for which there is no room")
        transfer(directory, read, start, count.size + files * entry.size)
        do_unpin("names")
        found = entry.iter_unpack(do_read("names", count.size, files * entry.size))
        return next(
            [item, size] for size, item, name in found if name.rstrip(b"\0").decode() == file
        )

    def do_fetch(item: int, address: int, size: int) -> None:
        transfer(item, read, address, size)

    def do_store(item: int, address: int, size: int) -> None:
        transfer(item, write, address, size)

    def do_film(name: str, width: int, height: int) -> None:
        with VideoDevice(find("vivid")) as camera:
            camera.capture.negotiate(width, height, "XR24")
            # More than one, where the driver does not begin with less.
            for index in range(camera.capture.request_buffers(1)):
                camera.capture.queue(index, [chunks[name]])
            camera.capture.stream_on()
            if not camera.wait(30) or camera.capture.dequeue() is None:
                raise RuntimeError("vivid filled nothing")
            camera.capture.stream_off()
            camera.capture.release_buffers()

    def do_code(name: str, width: int, height: int) -> int:
        paths = find_camera("vivid"), find_encoder("vicodec"), find_decoder("vicodec", "FWHT")
        camera, coder, decoder = (kept.enter_context(VideoDevice(path)) for path in paths)
        source = kept.enter_context(Camera(camera, pool, size=(width, height), format="XR24"))
        coding = kept.enter_context(Encoder(coder, pool, format=source.format, to="FWHT"))
        decoding = kept.enter_context(Decoder(decoder, pool, format=coding.output, to="XR24"))
        frame = None
        for result in Pipeline(source, [coding, decoding]).run(5):
            if frame is not None:
                frame.end()
            frame = result.frame.dup()
        chunks[name] = frame.buffer
        return sum(it.counters.bytes_copied for it in (source, coding, decoding))

    def do_scatter(name: str, width: int, height: int) -> list[list[int]]:
        camera = kept.enter_context(VideoDevice(find("vivid")))
        camera.capture.negotiate(width, height, "XR24")
        buffers = [it for (it,) in kept.enter_context(camera.capture.exported(16))]
        found = [(len(pool.attest(it).runs), it) for it in buffers]
        _, chunks[name] = max(found, key=lambda it: it[0])
        return [[run.address, run.length] for run in pool.attest(chunks[name]).runs]

    def do_show(card: str, name: str, width: int, height: int, program: str) -> str:
        words = [program, card, str(width), str(height), str(chunks[name].fd)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        child = subprocess.Popen(words, pass_fds=[chunks[name].fd], text=True, **pipes)
        kept.callback(child.communicate)
        return child.stdout.readline().strip()

    def do_end() -> None:
        kept.close()

    with pool, kept:
        verbs = {name.removeprefix("do_"): it for name, it in locals().items() if name[:3] == "do_"}
        while words := channel.receive():
            channel.send(verbs[words[0]](*words[1:]))


def show(ask: Ask, name: str, address: int, width: int, height: int) -> None:
    """Have the display show what lies at an address, configured from a chunk of this name."""
    item, _ = ask("find", RAMFB)
    configuration = SHOWN.pack(address, XRGB, 0, width, height, width * PIXEL)
    ask("write", name, 0, configuration)
    ask("store", item, ask("pin", name), len(configuration))
    ask("unpin", name)


def screen(board: RemoteBoard, into: Path) -> Image.Image:
    """Return what the board's display shows now."""
    board.strategy.power.emulator.screen(into)
    with Image.open(into) as shown:
        return shown.convert("RGB")


def picture(data: bytes, width: int, height: int) -> Image.Image:
    """Return the picture that pixels of a chunk are."""
    return Image.frombytes("RGB", (width, height), data, "raw", "BGRX")
