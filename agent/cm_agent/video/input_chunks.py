# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Chunks that images and packets from ordinary memory are copied into, for a device to read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from cm_agent.core.context import Context
from cm_agent.video.format import Filled, Format, Payload
from cm_agent.video.frame import Counters, Frame, Planes
from cm_agent.video.pieces import Piece


class InputChunks:
    """Make frames of what is in ordinary memory.

    Owns `count` sets of chunks of a context, one chunk a plane, until close(). The bytes that are
    copied are counted. AllocationError, and then nothing stays behind.

    Synchronization: external synchronization is required.
    """

    awaits_frames = False

    def __init__(
        self,
        format: Format,
        context: Context,
        count: int,
        counters: Counters,
        *,
        name: str,
        deadline: float | None = None,
    ) -> None:
        self._format = format
        self._counters = counters
        with ExitStack() as stack:
            self._idle: list[Planes] = [
                tuple(
                    stack.enter_context(
                        context.alloc(
                            plane.size, deadline=deadline, name=f"{name} {index}.{number}"
                        )
                    )
                    for number, plane in enumerate(format.planes)
                )
                for index in range(count)
            ]
            self._chunks = stack.pop_all()

    def hold(self, pieces: Sequence[Piece], used: Sequence[int], timestamp_ns: int) -> Frame:
        """Copy pieces into a set of chunks and lend it as a frame, which is the caller's.

        used: bytes of data, plane by plane. IndexError when all sets are lent.
        """
        planes = self._idle.pop(0)
        try:
            with ExitStack() as stack:
                views = [stack.enter_context(chunk.cpu_access("w")) for chunk in planes]
                for piece in pieces:
                    piece.copy_to(views[piece.part.plane])
        except BaseException:
            self._idle.append(planes)
            raise
        self._counters.bytes_copied += sum(len(piece.data) for piece in pieces)
        payloads = tuple(Payload(size, 0) for size in used)
        filled = Filled(0, payloads, 0, timestamp_ns, error=False)
        return Frame(planes, filled, self._format, self._counters, self)

    def take_back(self, planes: Planes) -> None:
        """Take a set whose frame was given back."""
        self._idle.append(planes)

    def close(self) -> None:
        """Close the chunks; harmless when done again."""
        self._chunks.close()
