# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whether one driver really reads the very memory that another one filled."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

from cm_agent.contiguity.verification import Verdict, Verification, verify
from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.video.frame import Frame
from cm_agent.video.pipeline import Watcher

SAMPLES = 2
"""Frames that are looked at in each chunk; looking at all would slow the stream."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a chunk at one instant.

    address: physical, of the first byte; None without CAP_SYS_RAWIO. maps:
    mappings that drivers hold, of which the kernel counts one for all that map
    it for the CPU.
    """

    address: int | None
    maps: int


@dataclass(slots=True)
class ChunkCheck:
    """What was seen of one chunk as it went from the device before a link to the one behind."""

    link: int
    plane: int
    chunk: Buffer
    verification: Verification
    last_content: int
    changes: int = 0
    """Samples with other bytes than the one before, through our own mapping."""
    filled: list[Sight] = field(default_factory=list)
    """As the device before the link had filled it."""
    read: list[Sight] = field(default_factory=list)
    """As the device behind the link had been given it."""

    @property
    def proven(self) -> bool:
        """It is contiguous, was filled, and drivers on both sides had it at one address."""
        sights = (*self.filled, *self.read)
        return bool(
            sights
            and self.verification.verdict is Verdict.CONTIGUOUS
            and self.verification.agree
            and self.changes
            and all(sight.maps for sight in self.read)
            and self.same_place is not False
        )

    @property
    def same_place(self) -> bool | None:
        """Whether it was read where it was filled; None when addresses are not shown to us."""
        pairs = list(zip(self.filled, self.read, strict=False))
        if any(sight.address is None for pair in pairs for sight in pair):
            return None
        return all(one.address == other.address for one, other in pairs)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "link": self.link,
            "plane": self.plane,
            "chunk": self.chunk.id,
            "size": self.chunk.size,
            "verdict": str(self.verification.verdict),
            "agree": self.verification.agree,
            "samples": len(self.filled),
            "changes": self.changes,
            "reads": len(self.read),
            "maps": min((sight.maps for sight in (*self.filled, *self.read)), default=0),
            "same_place": self.same_place,
            "proven": self.proven,
        }


class ZeroCopyCheck(Watcher):
    """Look at every chunk of a pipeline, the first times that it is handed over.

    Looking reads the chunks through this process' own mapping and copies nothing.

    Synchronization: external synchronization is required.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._chunks: dict[int, ChunkCheck] = {}

    @property
    def chunks(self) -> list[ChunkCheck]:
        """All chunks that were seen, in the order of the links."""
        return sorted(self._chunks.values(), key=lambda it: it.link)

    @property
    def zero_copy(self) -> bool:
        """What one device filled the next one read, in every chunk; one at least was seen."""
        return bool(self._chunks) and all(entry.proven for entry in self._chunks.values())

    def filled(self, link: int, frame: Frame) -> None:
        """Look at a frame's chunks after they were filled, before anybody else has them."""
        for plane, chunk in enumerate(frame.buffers):
            entry = self._chunks.get(id(chunk))
            if entry is None:
                # Without the pattern, which would write over the image.
                seen = verify(chunk, self._context, write=False)
                zeros = zlib.crc32(bytes(frame.filled.payloads[plane].bytes_used))
                entry = ChunkCheck(link, plane, chunk, seen, last_content=zeros)
                self._chunks[id(chunk)] = entry
            if len(entry.filled) < SAMPLES:
                content = _content(frame, plane)
                entry.changes += content != entry.last_content
                entry.last_content = content
                entry.filled.append(self._sight(chunk))

    def queued(self, link: int, frame: Frame) -> None:
        """Look at them again while the next device has them, which fixes their place."""
        for chunk in frame.buffers:
            entry = self._chunks[id(chunk)]
            if len(entry.read) < len(entry.filled):
                entry.read.append(self._sight(chunk))

    def _sight(self, chunk: Buffer) -> Sight:
        runs = self._context.attest(chunk).runs
        return Sight(runs[0].address if runs else None, self._context.info(chunk).maps)


def _content(frame: Frame, plane: int) -> int:
    payload = frame.filled.payloads[plane]
    with frame.buffers[plane].cpu_access("r") as view:
        return zlib.crc32(view[payload.offset : payload.offset + payload.bytes_used])
