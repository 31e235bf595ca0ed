# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Images or packets from anywhere, put into a codec or converter as it can take them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from cm_agent.video.frame import Frame
from cm_agent.video.output_buffers import OutputBuffers

if TYPE_CHECKING:
    import asyncio

_END = object()


class Taker(Protocol):
    """What is fed: a codec or converter."""

    output_buffers: OutputBuffers

    def begin(self, feed: object) -> None:
        """Be fed by this one from now on, and forget what is inside."""

    def require_fed_by(self, feed: object) -> None:
        """Raise VideoError, EBUSY, when something else feeds it."""

    def put_fed(self, image: Any) -> None:
        """Put an image in."""

    def drain(self) -> None:
        """Hand out what is inside; nothing more will be put in."""

    def abandon(self, feed: object) -> None:
        """Forget what is inside, unless something else feeds it."""


class Feed:
    """Put what an iterable yields into a device, but for frames in error, then drain it.

    An error of the iterable, or of an image that does not fit, waits until all that was put in
    before has come out: finish() raises it.

    Synchronization: external synchronization is required.
    """

    def __init__(self, taker: Taker, images: Iterable[Any] | AsyncIterable[Any]) -> None:
        if not isinstance(images, Iterable | AsyncIterable) or isinstance(
            images, bytes | bytearray | memoryview | str
        ):
            what = f"an iterable is wanted, not {type(images).__name__}"
            raise TypeError(f"{what}; for a single one, a list of it")
        self._taker = taker
        self._images = images
        self._iterator: Iterator[Any] | AsyncIterator[Any] | None = None
        self._next: asyncio.Future[Any] | None = None
        self._drained = self._ended = False
        self._error: Exception | None = None

    @property
    def wanted(self) -> bool:
        """Return whether another image should be put in now.

        Not while a camera waits for those that are inside: asking for its next would block, and
        nobody would learn that the device has read them.
        """
        buffers = self._taker.output_buffers
        awaited = buffers.busy and any(frame.awaited for frame in buffers.frames)
        return not self._drained and buffers.free > 0 and not awaited

    def begin(self) -> None:
        """Take the device over with the first step; VideoError, EBUSY, if another did so since."""
        if self._iterator is None:
            self._taker.begin(self)
        else:
            self._taker.require_fed_by(self)

    def put_next(self) -> None:
        """Wait for the next image and put it in."""
        if self._iterator is None:
            if not isinstance(self._images, Iterable):
                raise TypeError("images that come asynchronously want `async for`")
            self._iterator = iter(self._images)
        assert isinstance(self._iterator, Iterator)
        try:
            image = next(self._iterator, _END)
        except Exception as error:
            self._drain(error)
            return
        if image is _END:
            self._drain()
        else:
            self._put(image)

    async def put_next_async(self) -> None:
        """Wait for the next image, while asyncio's loop goes on, and put it in."""
        import asyncio

        if not isinstance(self._images, AsyncIterable):
            await asyncio.sleep(0)
            self.put_next()
            return
        if self._iterator is None:
            self._iterator = aiter(self._images)
        assert isinstance(self._iterator, AsyncIterator)
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._iterator, _END))
        try:
            # A step that is cancelled leaves it to the next one: a generator would have ended.
            image = await asyncio.shield(self._next)
        except Exception as error:
            self._drain(error)
            return
        self._next = None
        if image is _END:
            self._drain()
        else:
            self._put(image)

    def finish(self) -> None:
        """Note that all came out; raise the error that the images ended with, if there was one."""
        self._ended = True
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Give back what is inside the device, if this still feeds it; again does nothing."""
        if not self._ended:
            self._ended = True
            if self._next is not None:
                with suppress(RuntimeError):  # of a loop that is closed
                    self._next.cancel()
            self._taker.abandon(self)

    def _put(self, image: Any) -> None:
        if isinstance(image, Frame) and image.error:
            return
        try:
            self._taker.put_fed(image)
        except Exception as error:
            self._drain(error)

    def _drain(self, error: Exception | None = None) -> None:
        self._error = error
        self._drained = True
        self._taker.drain()
