# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames of a stream, one after the other, in a loop that waits or in one of asyncio's."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Self

from cm_agent.core.errors import Error
from cm_agent.video.feed import Feed
from cm_agent.video.format import check_count
from cm_agent.video.frame import Frame
from cm_agent.video.stream import Stream


class Frames:
    """An iterator, for `for` and for `async for`, over frames as they come.

    Each frame is the reader's until the next step, or until the loop is left; what is kept for
    longer is a dup() of it. feed: what a codec or converter is given meanwhile. VideoError,
    ETIMEDOUT, when nothing comes and nothing can be put in for `timeout` seconds.

    Synchronization: external synchronization is required.
    """

    def __init__(
        self, stream: Stream, timeout: float, *, limit: int | None = None, feed: Feed | None = None
    ) -> None:
        self._stream = stream
        self._timeout = timeout
        self._left = limit if limit is None else check_count("limit", limit, least=0)
        self._done = False
        self._thread = threading.get_ident()
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
        """Give back what the reader has and what is inside the device; nothing comes then."""
        self._done = True
        self._give_back()
        if self._feed:
            self._feed.close()

    def __del__(self) -> None:
        self._give_back()
        if threading.get_ident() == self._thread:  # another one may be using the device
            with suppress(Error):
                self.close()

    def _give_back(self) -> None:
        frame, self._frame = self._frame, None
        if frame is not None:
            frame.end()

    def _begin(self) -> bool:
        """Give back the last frame; return whether there is to be another."""
        self._give_back()
        if self._done or self._left == 0:
            return False
        self._stream.start()
        if self._feed:
            self._feed.begin()
        return True

    def _over(self) -> bool:
        """Return whether nothing more comes; raise what the images to put in ended with."""
        self._done = self._stream.ended
        if self._done and self._feed:
            self._feed.finish()
        return self._done

    def _lend(self, frame: Frame) -> Frame:
        if self._left is not None:
            self._left -= 1
        self._frame = frame
        return frame
