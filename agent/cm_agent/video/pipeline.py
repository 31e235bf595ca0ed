# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A camera and what is done with its images, one device after another, on shared chunks."""

from __future__ import annotations

import errno
import select
import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cm_agent.video.device import READY, VideoDevice
from cm_agent.video.error import VideoError
from cm_agent.video.frame import Frame
from cm_agent.video.m2m import M2M


class Source(Protocol):
    """Where images come from: a Camera, or a test that has no device to wait for."""

    @property
    def device(self) -> VideoDevice | None:
        """What to wait for; None when there is nothing to wait for."""

    def start(self) -> None:
        """Begin; harmless when done again."""

    def take(self) -> Frame | None:
        """Take an image; None when there is none yet."""


class Watcher:
    """Look on as frames go from device to device; `link` counts the hand-overs from 0."""

    def filled(self, link: int, frame: Frame) -> None:
        """See a frame that the device before the link has filled."""

    def queued(self, link: int, frame: Frame) -> None:
        """See a frame that the device behind the link has been given."""


@dataclass(frozen=True, slots=True)
class Result:
    """An image of the source and what became of it; both are on loan to the reader."""

    source: Frame
    frame: Frame


class Pipeline:
    """Hand every frame of a source from device to device, and none of its bytes.

    What one device fills the next one reads from the same chunks, by the same
    descriptors; they go back when everybody has read them. A source's image is
    kept until its result has been looked at. window: how many may be under way
    at a time, None for as many as there are chunks.

    Source and devices stay the caller's. Errors are VideoError; a frame that a
    driver marked as in error ends there, and is counted there.

    Synchronization: external synchronization is required.
    """

    def __init__(
        self,
        source: Source,
        stages: Sequence[M2M],
        *,
        window: int | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        if not stages:
            raise ValueError("a pipeline has at least one device behind its source")
        self._source = source
        self._stages = tuple(stages)
        self._window = window
        self._watchers = tuple(watchers)
        self._waiting: tuple[deque[Frame], ...] = tuple(deque() for _ in stages)
        self._origins: dict[int, Frame] = {}
        self._drained = 0
        self._left = 0

    def run(self, limit: int, *, timeout: float = 5.0) -> Generator[Result, None, None]:
        """Yield `limit` images with their results, then all devices are drained.

        A result is the reader's until the next step. Raises VideoError,
        ETIMEDOUT, when nothing happens for `timeout` seconds.
        """
        self._left = limit
        self._source.start()
        deadline = time.monotonic() + timeout
        try:
            while True:
                moved = False
                for result in self._step():
                    moved = True
                    if result is None:
                        continue
                    try:
                        yield result
                    finally:
                        result.frame.end()
                        result.source.end()
                now = time.monotonic()
                if moved:
                    deadline = now + timeout
                elif self._stages[-1].ended:
                    return
                elif now >= deadline or not self._wait(deadline - now):
                    raise self._stuck()
        finally:
            self._forget()

    def _step(self) -> Generator[Result | None, None, None]:
        """Move what can be moved, the last device first; yield a result or None for a move."""
        for number in reversed(range(len(self._stages))):
            while (frame := self._stages[number].take()) is not None:
                yield self._pass_on(number + 1, frame)
        while self._may_take() and (frame := self._source.take()) is not None:
            self._left -= 1
            self._origins[frame.timestamp_ns] = frame.dup()
            yield self._pass_on(0, frame)
        for number, stage in enumerate(self._stages):
            while self._waiting[number] and stage.output_buffers.free:
                self._hand_in(number)
                yield None
        if self._may_drain():
            self._stages[self._drained].drain()
            self._drained += 1
            yield None

    def _may_take(self) -> bool:
        return self._left > 0 and (self._window is None or len(self._origins) < self._window)

    def _may_drain(self) -> bool:
        """Tell whether the first device that is not drained yet will be given no more."""
        number = self._drained
        if number == len(self._stages) or self._waiting[number]:
            return False
        return self._stages[number - 1].ended if number else not self._left

    def _pass_on(self, link: int, frame: Frame) -> Result | None:
        """Take a frame on from the device before a link: to the next one, or as a result."""
        if frame.error:
            self._origin(frame).end()
            frame.end()
            return None
        for watcher in self._watchers:
            watcher.filled(link, frame)
        if link == len(self._stages):
            return Result(self._origin(frame), frame)
        self._waiting[link].append(frame)
        return None

    def _origin(self, frame: Frame) -> Frame:
        """Return the source's image that a frame was made of, which is not kept any longer."""
        if frame.timestamp_ns not in self._origins:
            hint = "a driver did not hand on the timestamp of what it was given"
            path = str(self._stages[-1].device.path)
            raise VideoError(errno.EPROTO, path, "find out which image came out", hint)
        return self._origins.pop(frame.timestamp_ns)

    def _hand_in(self, number: int) -> None:
        frame = self._waiting[number].popleft()
        try:
            self._stages[number].put(frame)
            for watcher in self._watchers:
                watcher.queued(number, frame)
        finally:
            frame.end()

    def _forget(self) -> None:
        """Give back what is under way when the reader has had enough."""
        for waiting in self._waiting:
            while waiting:
                waiting.popleft().end()
        while self._origins:
            self._origins.popitem()[1].end()

    def _wait(self, seconds: float) -> bool:
        """Wait until a device has something to say; False when it said nothing in time."""
        poll = select.poll()
        devices = [stage.device for stage in self._stages if stage.busy]
        if self._may_take() and self._source.device is not None:
            devices.append(self._source.device)
        for device in devices:
            poll.register(device, READY)
        return bool(devices and poll.poll(seconds * 1000))

    def _stuck(self) -> VideoError:
        """Say which device owes something."""
        owing = [stage.device for stage in self._stages if stage.output_buffers.busy]
        owing += [stage.device for stage in self._stages if not stage.ended]
        if self._left and self._source.device and not self._origins:
            owing.insert(0, self._source.device)
        hint = f"{len(self._origins)} images are under way, {self._left} were not captured yet"
        if self._drained and not self._origins:
            hint = "all images came out, but it was asked to drain and does not report that it has"
        return VideoError(errno.ETIMEDOUT, str(owing[0].path), "nothing came out", hint)
