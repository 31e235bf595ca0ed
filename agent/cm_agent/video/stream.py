# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A device that delivers images or packets in chunks of a context: what all of them share."""

from __future__ import annotations

import errno
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from cm_agent.config import settings
from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.core.errors import ClosedError
from cm_agent.policy.allocator import Allocator
from cm_agent.policy.rules import COMMON
from cm_agent.video.capture_buffers import CaptureBuffers
from cm_agent.video.controls import Controls
from cm_agent.video.device import VideoDevice
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format
from cm_agent.video.frame import Counters, Frame, Planes

_GIVEN_BACK_SECONDS = 0.002
_T = TypeVar("_T")


class Stream(ABC):
    """Base of Camera, Encoder, Decoder and Converter; a context manager.

    device: a VideoDevice, which stays the caller's and must outlive this; or a node's path or
    name, or a driver's name. context: a Context, which stays the caller's, too; or the name of
    one; or None for those of the policy. What is opened by name is closed by close(), with the
    chunks. An error leaves nothing behind.

    Synchronization: external synchronization is required, but frames go back from any thread.
    """

    device: VideoDevice
    counters: Counters
    """What it has done so far."""
    capture_buffers: CaptureBuffers | None

    def __init__(
        self,
        device: VideoDevice | Path | str,
        context: Context | str | None,
        find: Callable[[str], Path],
    ) -> None:
        self.counters = Counters()
        self.capture_buffers = None
        self._opened = ExitStack()
        self._closed = False
        with self._closed_on_error():
            if isinstance(device, Path | str):
                device = self._opened.enter_context(VideoDevice(find(str(device))))
            self.device = device
            self._ioctls_before = device.ioctls
            if isinstance(context, str):
                context = self._opened.enter_context(Context(context))
            self._context = context

    @property
    def format(self) -> Format:
        """The shape of what it delivers; VideoError while a decoder does not know it yet."""
        if self.capture_buffers is None:
            what = "the format of its images is not known yet"
            raise VideoError(errno.ENODATA, str(self.device.path), what, "put a header in first")
        return self.capture_buffers.format

    @property
    def buffers(self) -> tuple[Planes, ...]:
        """Its own chunks that the driver fills, buffer by buffer and plane by plane."""
        return self.capture_buffers.buffers if self.capture_buffers else ()

    @property
    def chunks(self) -> tuple[Buffer, ...]:
        """All chunks of `buffers` in one row."""
        return tuple(chunk for planes in self.buffers for chunk in planes)

    @property
    def controls(self) -> Controls:
        """The device's controls by name, as v4l2-ctl shows them."""
        return self.device.controls

    @property
    def ioctls(self) -> int:
        """Count the ioctls made on the device for this."""
        return self.device.ioctls - self._ioctls_before

    @property
    @abstractmethod
    def busy(self) -> bool:
        """The driver has chunks, so that waiting for it makes sense."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Nothing more will come out."""

    @abstractmethod
    def take(self) -> Frame | None:
        """Take what has come out, whose reader ends it; None when there is nothing yet."""

    @abstractmethod
    def start(self) -> None:
        """Begin; harmless when done again."""

    def get(self, timeout: float = 2.0) -> Frame | None:
        """Wait for what comes out, whose reader ends it; None when it has ended.

        VideoError, ETIMEDOUT, when nothing comes for `timeout` seconds.
        """
        self.start()
        deadline = time.monotonic() + timeout
        while (frame := self.take()) is None and not self.ended:
            if not self.wait(deadline - time.monotonic()):
                raise self.nothing_came(timeout)
        return frame

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until take() may have something; return whether so."""
        deadline = time.monotonic() + timeout
        if timeout <= 0 or not self.wait_until_busy(timeout):
            return False
        return self.device.wait(max(deadline - time.monotonic(), 0))

    async def wait_async(self, timeout: float) -> bool:
        """Wait as wait(), while asyncio's loop goes on."""
        import asyncio

        deadline = time.monotonic() + timeout
        while timeout > 0 and not self.wait_until_busy(0):
            await asyncio.sleep(min(timeout, _GIVEN_BACK_SECONDS))
            timeout = deadline - time.monotonic()
        return timeout > 0 and await self.device.wait_async(timeout)

    def wait_until_busy(self, timeout: float) -> bool:
        """Wait until the driver has chunks again, because readers gave frames back."""
        return self.busy or bool(
            self.capture_buffers and self.capture_buffers.wait_until_busy(timeout)
        )

    def nothing_came(self, timeout: float) -> VideoError:
        """Return the error that says why nothing came out in so many seconds."""
        what = f"nothing came out within {timeout:g} s"
        return VideoError(errno.ETIMEDOUT, str(self.device.path), what, self._why_nothing_came())

    @abstractmethod
    def _why_nothing_came(self) -> str:
        """Return what may be the reason."""

    def _all_are_read(self) -> str:
        """Return what to do when readers have all buffers."""
        count = len(self.buffers)
        return f"all {count} buffers are with their readers: give frames back, or copy them"

    def _allocate(
        self,
        attempt: Callable[[Context, float | None], _T],
        deadline: float | None,
        stack: ExitStack | None = None,
    ) -> _T:
        """Have `attempt` allocate in the context, or in those of the policy, one after another.

        stack: what closes the policy's context, None for close().
        """
        if self._context is not None:
            return attempt(self._context, deadline)
        allocator = Allocator(settings.load().policy)
        driver = self.device.capabilities.driver
        taken = allocator.take(driver, COMMON, attempt, deadline=deadline)
        return (stack or self._opened).enter_context(taken).what

    def _set(self, controls: Mapping[str, int | str]) -> None:
        for name, value in controls.items():
            self.device.controls[name] = value

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop, make the driver let go, close its chunks and what it opened; again does nothing."""
        self._closed = True
        self._opened.close()

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError(f"the {type(self).__name__.lower()} {self.device.path} is closed")

    def __bool__(self) -> bool:
        """Return whether it is open."""
        return not self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
