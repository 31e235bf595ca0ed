# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames of a stream, one after the other, in a loop that waits or in one of asyncio's."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Self

from cm_agent.video.error import VideoError
from cm_agent.video.feed import Feed
from cm_agent.video.frame import Frame
from cm_agent.video.stream import Stream


class Frames:
    """An iterator, for `for` and for `async for`, over frames as they come.

    Each frame is the reader's until the next step, or until the loop is left, unless somebody
    retains it. feed: what a codec or converter is given meanwhile. VideoError, ETIMEDOUT, when
    nothing comes and nothing can be put in for `timeout` seconds.

    Synchronization: external synchronization is required.
    """

    def __init__(
        self, stream: Stream, timeout: float, *, limit: int | None = None, feed: Feed | None = None
    ) -> None:
        self._stream = stream
        self._timeout = timeout
        self._left = limit
        self._feed = feed
        self._frame: Frame | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        if not self._begin():
            raise StopIteration
        deadline = time.monotonic() + self._timeout
        while (frame := self._stream.take()) is None:
            if self._over():
                raise StopIteration
            if self._feed and self._feed.wanted:
                self._feed.put_next()
                deadline = time.monotonic() + self._timeout
            elif not self._stream.wait(deadline - time.monotonic()):
                raise self._stream.nothing_came(self._timeout)
        return self._lend(frame)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        if not self._begin():
            raise StopAsyncIteration
        deadline = time.monotonic() + self._timeout
        while (frame := self._stream.take()) is None:
            if self._over():
                raise StopAsyncIteration
            if self._feed and self._feed.wanted:
                await self._feed.put_next_async()
                deadline = time.monotonic() + self._timeout
            elif not await self._stream.wait_async(deadline - time.monotonic()):
                raise self._stream.nothing_came(self._timeout)
        return self._lend(frame)

    def close(self) -> None:
        """Give back what the reader has and what is inside the device; again does nothing."""
        self._give_back()
        if self._feed:
            self._feed.close()

    def __del__(self) -> None:
        with suppress(VideoError):
            self.close()

    def _give_back(self) -> None:
        frame, self._frame = self._frame, None
        if frame is not None:
            frame.end()

    def _begin(self) -> bool:
        """Give back the last frame; return whether there is to be another."""
        self._give_back()
        if self._left == 0:
            return False
        self._stream.start()
        if self._feed:
            self._feed.begin()
        return True

    def _over(self) -> bool:
        """Return whether nothing more comes; raise what the images to put in ended with."""
        if self._stream.ended and self._feed:
            self._feed.finish()
        return self._stream.ended

    def _lend(self, frame: Frame) -> Frame:
        if self._left is not None:
            self._left -= 1
        self._frame = frame
        return frame
