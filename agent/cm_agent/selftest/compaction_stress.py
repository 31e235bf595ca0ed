# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Chunks that move while images lie in them, on their way from one driver to the next."""

from __future__ import annotations

import errno
from contextlib import suppress

from cm_agent.core.context import Context
from cm_agent.core.errors import AllocationError
from cm_agent.video.frame import Frame
from cm_agent.video.pipeline import Watcher


class CompactionStress(Watcher):
    """Have a context compacted at every hand-over of a pipeline, so that its chunks move.

    Room is asked for where the first chunk of the context lies, which then has
    to go behind the others, unless a driver has it mapped. So they all walk
    through the context, until there is no room behind the last. A pipeline with
    a window of 1 and a spare chunk for each queue leaves half of its chunks unmapped
    at every hand-over, the one that is handed over among them. Nothing moves in
    a context that does not begin at a multiple of its size. Needs CAP_SYS_RAWIO
    (PermissionError), without which places are hidden.

    Synchronization: external synchronization is required.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._alignment = 1 << (context.query().size.bit_length() - 1)
        self.moves = 0
        """Chunks that were moved."""
        self.moved_frames = 0
        """Those of them that had just been filled."""

    def filled(self, link: int, frame: Frame) -> None:
        """Move the first chunk of the context if nobody has it mapped."""
        first = self._context.layout()[0]
        if first.offset is None:
            what = "chunks cannot be moved by a caller who does not see where they are; become root"
            raise PermissionError(errno.EPERM, what)
        if first.immovable:
            return
        before = self._places(frame)
        with suppress(AllocationError):  # there is no room behind the last
            room = first.offset + first.size
            self.moves += self._context.compact(room, self._alignment).moves
        self.moved_frames += before != self._places(frame)

    def _places(self, frame: Frame) -> list[int | None]:
        return [self._context.attest(chunk).runs[0].address for chunk in frame.buffers]
