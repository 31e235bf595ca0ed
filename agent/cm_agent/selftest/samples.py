# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whether frames really land in our chunks: what to look at before and while they stream."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cm_agent.contiguity.verification import Verification, verify
from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.video.camera import Camera
from cm_agent.video.frame import Frame

SAMPLES = 2
"""Frames that are looked at in each buffer; looking at all would slow the stream."""


@dataclass(slots=True)
class ChunkEvidence:
    """What was seen of one chunk."""

    chunk: Buffer
    index: int
    plane: int
    verification: Verification
    address: int | None
    """Physical address before the stream; None without CAP_SYS_RAWIO."""
    last_content: int
    samples: int = 0
    changes: int = 0
    """Samples with other bytes than the one before, through our own mapping."""
    imports: list[int] = field(default_factory=list)
    """Drivers that had the chunk imported, at each sample."""
    moved: bool = False

    @property
    def landed(self) -> bool:
        """A driver holds the chunk, it stayed in its place, and its content became another."""
        return bool(self.imports) and min(self.imports) > 0 and self.changes > 0 and not self.moved

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "buffer": self.index,
            "plane": self.plane,
            "chunk": self.chunk.id,
            "size": self.chunk.size,
            "verdict": str(self.verification.verdict),
            "agree": self.verification.agree,
            "samples": self.samples,
            "changes": self.changes,
            "imports": min(self.imports, default=0),
            "address_kept": None if self.address is None else not self.moved,
            "landed": self.landed,
        }


class Samples:
    """Verify the chunks of a camera, then watch the first frames arrive in them.

    Make it before the camera starts: verifying overwrites the chunks, which
    is also what lets a first frame be told from what was there. Looking reads
    the chunks through this process' own mapping and copies nothing.

    Synchronization: external synchronization is required.
    """

    def __init__(
        self,
        context: Context,
        camera: Camera,
        *,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._context = context
        self.chunks: list[ChunkEvidence] = []
        for index, planes in enumerate(camera.buffers):
            progress(f"verifying buffer {index + 1} of {len(camera.buffers)}")
            for plane, chunk in enumerate(planes):
                verification = verify(chunk, context, preserve=False)
                self.chunks.append(
                    ChunkEvidence(
                        chunk, index, plane, verification, self._address(chunk), _content(chunk)
                    )
                )

    def look(self, frame: Frame) -> None:
        """Look at the chunks of a frame that is on loan, the first times that they come."""
        for entry in self.chunks:
            if entry.chunk not in frame.buffers or entry.samples >= SAMPLES:
                continue
            content = _content(entry.chunk)
            entry.samples += 1
            entry.changes += content != entry.last_content
            entry.last_content = content
            entry.imports.append(self._context.info(entry.chunk).imports)
            entry.moved |= self._address(entry.chunk) != entry.address

    @property
    def zero_copy(self) -> bool:
        """Frames landed in every chunk that was looked at, and one at least was."""
        looked_at = [entry for entry in self.chunks if entry.samples]
        return bool(looked_at) and all(entry.landed for entry in looked_at)

    def _address(self, chunk: Buffer) -> int | None:
        runs = self._context.attest(chunk).runs
        return runs[0].address if runs else None


def _content(chunk: Buffer) -> int:
    with chunk.cpu_access("r") as view:
        return zlib.crc32(view)
