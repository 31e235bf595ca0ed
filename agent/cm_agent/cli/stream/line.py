# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The devices that `cm-agent stream` connects, each for what the one before it delivers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

from cm_agent.core.context import Context
from cm_agent.core.errors import UsageError
from cm_agent.selftest.compaction_stress import CompactionStress
from cm_agent.selftest.zero_copy import ZeroCopyCheck
from cm_agent.video.camera import Camera
from cm_agent.video.converter import Converter
from cm_agent.video.decoder import Decoder
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import find_camera, find_converter, find_decoder, find_encoder
from cm_agent.video.encoder import Encoder
from cm_agent.video.error import DeviceLookupError
from cm_agent.video.format import Format
from cm_agent.video.frame import Counters, Frame
from cm_agent.video.image import require_convertible
from cm_agent.video.m2m import M2M
from cm_agent.video.pipeline import Watcher


@contextmanager
def naming(argument: str) -> Iterator[None]:
    """Turn what an argument's value leads to in the block into a UsageError that names it."""
    try:
        yield
    except (DeviceLookupError, ValueError, ImportError) as error:
        raise UsageError(f"{argument}: {error}") from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Have an error of the block say which file could not be written."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


class StreamFile(Watcher):
    """Write a coded stream to a file, from the chunks that it is in.

    The file is an unbuffered one: a buffer would be a copy.
    """

    def __init__(self, file: FileIO, link: int) -> None:
        self._file, self._link = file, link
        self.bytes = 0

    def filled(self, link: int, frame: Frame) -> None:
        """Write a piece of the stream."""
        if link == self._link:
            payload = frame.filled.payloads[0]
            begin, end = payload.offset, payload.offset + payload.bytes_used
            with frame.buffer.cpu_access("r") as view:
                while begin < end:
                    with writing(Path(str(self._file.name))):
                        begin += self._file.write(view[begin:end])
            self.bytes += payload.bytes_used


@dataclass(slots=True)
class Line:
    """The devices in order, and what watches them."""

    camera: Camera
    stages: list[M2M]
    check: ZeroCopyCheck
    stress: CompactionStress | None = None
    file: StreamFile | None = None

    @property
    def devices(self) -> list[VideoDevice]:
        """All devices, the camera first."""
        return [self.camera.device, *(stage.device for stage in self.stages)]

    @property
    def formats(self) -> list[Format]:
        """What each device delivers, as far as it is known."""
        filled = [stage.capture_buffers for stage in self.stages if stage.capture_buffers]
        return [self.camera.format, *(it.format for it in filled)]

    @property
    def counters(self) -> list[Counters]:
        """What each device has done."""
        return [self.camera.counters, *(stage.counters for stage in self.stages)]

    @property
    def watchers(self) -> list[Watcher]:
        """What watches, in turn: places are checked after chunks were moved."""
        return [it for it in (self.stress, self.check, self.file) if it is not None]


def set_up(args: argparse.Namespace, stack: ExitStack, context: Context) -> Line:
    """Open the devices one after another; the stack closes them, the last one first."""
    assembly = _Assembly(args, stack, context)
    camera = assembly.camera()
    line = Line(
        camera, [], ZeroCopyCheck(context), CompactionStress(context) if args.compact else None
    )
    image = camera.format
    if args.convert:
        converter = assembly.converter(image)
        line.stages.append(converter)
        image = converter.output
    _require_pictures(args, camera.format, image)
    if args.encode:
        encoder = assembly.encoder(image)
        line.stages.append(encoder)
        if args.write:
            file = stack.enter_context(FileIO(args.write, "w"))
            line.file = StreamFile(file, len(line.stages))
        if args.decode:
            line.stages.append(assembly.decoder(encoder.output, image))
    return line


class _Assembly:
    """What all devices of a line have in common, and each of them by itself."""

    def __init__(self, args: argparse.Namespace, stack: ExitStack, context: Context) -> None:
        self._args, self._stack, self._context = args, stack, context
        # Moving takes one image at a time, and a chunk more than the driver can have.
        self._count: int = 1 if args.compact else args.buffers
        self._extra = 1 if args.compact else 0

    def _open(self, option: str, find: Callable[[str], Path], name: str) -> VideoDevice:
        with naming(option):
            path = find(name)
        return self._stack.enter_context(VideoDevice(path))

    def camera(self) -> Camera:
        camera = Camera(
            self._open("DEVICE", find_camera, self._args.device),
            self._context,
            size=self._args.size,
            format=self._args.format,
            fps=self._args.fps,
            buffers=self._count,
            extra=self._extra,
        )
        return self._stack.enter_context(camera)

    def converter(self, image: Format) -> Converter:
        converter = Converter(
            self._open("--convert", find_converter, self._args.convert),
            self._context,
            format=image,
            to=self._args.to,
            inputs=self._count,
            buffers=self._count,
            extra=self._extra,
        )
        return self._stack.enter_context(converter)

    def encoder(self, image: Format) -> Encoder:
        encoder = Encoder(
            self._open("--encode", find_encoder, self._args.encode),
            self._context,
            format=image,
            inputs=self._count,
            buffers=self._count,
            extra=self._extra,
        )
        return self._stack.enter_context(encoder)

    def decoder(self, coded: Format, image: Format) -> Decoder:
        finds = partial(find_decoder, coded=coded.pixelformat)
        decoder = Decoder(
            self._open("--decode", finds, self._args.decode),
            self._context,
            format=coded,
            to=image.pixelformat,
            inputs=self._count,
            buffers=self._count,
            extra=self._extra,
        )
        return self._stack.enter_context(decoder)


def _require_pictures(args: argparse.Namespace, source: Format, image: Format) -> None:
    if args.save:
        with naming("--save"):
            require_convertible(image)
    if args.save_source:
        with naming("--save-source"):
            require_convertible(source)
