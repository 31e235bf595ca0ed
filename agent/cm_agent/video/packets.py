# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Pieces of a coded stream, as an encoder makes them and as PyAV takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from cm_agent.video.frame import Frame
from cm_agent.video.frames import Frames


@dataclass(frozen=True, slots=True)
class Packet:
    """A coded image: its bytes, which are a copy, and when it is to be shown.

    pts counts microseconds (`time_base`) from the first image that was put in; timestamp_ns is the
    time of the image itself, by its camera's clock. keyframe: it can be decoded without those
    before it, as far as the driver reports that. error: the driver marked the data as in error.
    """

    time_base: ClassVar[Fraction] = Fraction(1, 1_000_000)

    data: bytes
    pts: int
    keyframe: bool
    timestamp_ns: int
    error: bool = False

    def __bytes__(self) -> bytes:
        return self.data


class Packets:
    """An iterator, for `for` and for `async for`, over packets as they come; see Frames.

    Synchronization: external synchronization is required.
    """

    def __init__(self, frames: Frames, began: Callable[[], int]) -> None:
        self._frames = frames
        self._began = began

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Packet:
        return self._packet(next(self._frames))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Packet:
        return self._packet(await anext(self._frames))

    def close(self) -> None:
        """End it, which forgets what is inside the device; again does nothing."""
        self._frames.close()

    def _packet(self, frame: Frame) -> Packet:
        with frame:
            return Packet(
                data=frame.copy(),
                pts=(frame.timestamp_ns - self._began()) // 1000,
                keyframe=frame.keyframe,
                timestamp_ns=frame.timestamp_ns,
                error=frame.error,
            )
