# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A video device that is data: queues that note what they get and give it back on demand."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cm_agent.core.errors import AllocationError
from cm_agent.core.uapi import Reason
from cm_agent.video.error import VideoError
from cm_agent.video.event import Event, EventKind
from cm_agent.video.format import (
    Capabilities,
    Filled,
    Format,
    FormatDescription,
    Payload,
    PlaneFormat,
)

PATH = Path("/dev/video9")
RAW = Format(640, 480, "YU12", (PlaneFormat(460_800, 640),))
CODED = Format(640, 480, "FWHT", (PlaneFormat(1_228_844, 0),))


class DataChunk:
    """A chunk without bytes."""

    def __init__(self, id: int, size: int) -> None:
        self.id, self.size, self.fd, self.closed = id, size, 100 + id, False

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def __enter__(self) -> DataChunk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DataContext:
    """A context that has room for so many chunks."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.chunks: list[DataChunk] = []

    def alloc(self, size: int, *, deadline: float | None = None, name: str = "") -> DataChunk:
        """Make a chunk."""
        if len(self.open) == self.room:
            raise AllocationError(
                errno.ENOMEM,
                context="data",
                size=size,
                alignment=0,
                reason=Reason.FULL,
                free=0,
                largest_hole=0,
            )
        self.chunks.append(DataChunk(len(self.chunks), size))
        return self.chunks[-1]

    @property
    def open(self) -> list[DataChunk]:
        """The chunks that were not closed."""
        return [chunk for chunk in self.chunks if not chunk.closed]


class DataQueue:
    """A queue that holds what it is given until a test hands it back."""

    def __init__(self, name: str, format: Format, log: list[str]) -> None:
        self.name, self.path, self.format, self.log = name, PATH, format, log
        self.fourccs = [format.pixelformat]
        self.granted_count: int | None = None
        self.refuses: set[int] = set()
        self.queued: list[tuple[int, Sequence[Any], Sequence[Payload], int]] = []
        self.done: list[Filled] = []
        self.ended = False

    def formats(self) -> list[FormatDescription]:
        """List what can be asked for."""
        return [FormatDescription(it, it, "FW" in it, False) for it in self.fourccs]

    def negotiate(self, *asked: Any, **named: Any) -> Format:
        """Note what was asked for, and keep what is set."""
        self.log.append(f"{self.name} format")
        return self.format

    def offer(self, *asked: Any, **named: Any) -> Format:
        """Note what was asked for, and offer what is set."""
        self.log.append(f"{self.name} offer")
        return self.format

    def granted(self, count: int) -> int:
        """Say what request_buffers() would grant."""
        return self.granted_count or count

    def set_rate(self, fps: float) -> float:
        """Take any rate."""
        self.log.append(f"{self.name} rate {fps:g}")
        return fps

    def visible(self) -> tuple[int, int]:
        """All of it."""
        return self.format.width, self.format.height

    def request_buffers(self, count: int) -> int:
        """Grant what was asked for, or what the test says."""
        self.log.append(f"{self.name} buffers {count}")
        return self.granted_count or count

    def release_buffers(self) -> None:
        """Let go of all."""
        self.log.append(f"{self.name} released")

    def queue(
        self,
        index: int,
        buffers: Sequence[Any],
        payloads: Sequence[Payload] = (),
        time: int = 0,
        *,
        context: Any = None,
    ) -> None:
        """Take chunks, unless their size is one that the test has refused."""
        if any(buffer.size in self.refuses for buffer in buffers):
            raise VideoError(errno.EINVAL, str(self.path), "queue")
        self.queued.append((index, buffers, payloads, time))

    def dequeue(self) -> Filled | None:
        """Give back what the test has handed back."""
        if self.done:
            filled = self.done.pop(0)
            self.ended = filled.last
            return filled
        if self.ended:
            raise VideoError(errno.EPIPE, str(self.path), "take back")
        return None

    def stream_on(self) -> None:
        """Start."""
        self.ended = False
        self.log.append(f"{self.name} on")

    def stream_off(self) -> None:
        """Stop and forget all."""
        self.queued.clear()
        self.done.clear()
        self.log.append(f"{self.name} off")

    def hand_back(self, used: int = 1000, time: int = 0, **flags: bool) -> None:
        """Be done with the oldest buffer."""
        index, buffers, _, given = self.queued.pop(0)
        payloads = tuple(Payload(used, 0) for _ in buffers)
        error, last = flags.get("error", False), flags.get("last", False)
        self.done.append(Filled(index, payloads, 0, time or given, error, last))


class DataDevice:
    """A codec or converter that is data."""

    def __init__(self, made: Format, fed: Format) -> None:
        self.path, self.ioctls = PATH, 0
        self.log: list[str] = []
        self.capture = DataQueue("capture", made, self.log)
        self.output = DataQueue("output", fed, self.log)
        self.capabilities = Capabilities("data", "data", "", True, False, True, True)
        self.controls: dict[str | int, int | str] = {}
        self.changed = False
        self.reports_changes = True
        self.busy = False

    def wait(self, timeout: float) -> bool:
        """Have something to say at once."""
        return True

    def watch(self, kind: EventKind) -> bool:
        """Return whether it reports them."""
        return self.reports_changes

    def events(self) -> list[Event]:
        """Say once that the source changed."""
        changed, self.changed = self.changed, False
        return [Event(EventKind.SOURCE_CHANGE, resolution=True)] if changed else []

    def least_capture_buffers(self) -> int:
        """Want three at least."""
        return 3

    def command_encoder(self, command: int) -> None:
        """Note it."""
        self.log.append(f"encoder {command}")

    def command_decoder(self, command: int) -> None:
        """Note it, or be busy draining."""
        if self.busy:
            raise VideoError(errno.EBUSY, str(self.path), "command the decoder")
        self.log.append(f"decoder {command}")

    def convert(self, used: int = 1000, **flags: bool) -> None:
        """Make one buffer of one, and pass on the timestamp."""
        time = self.output.queued[0][3]
        self.output.hand_back()
        self.capture.hand_back(used, time, **flags)
