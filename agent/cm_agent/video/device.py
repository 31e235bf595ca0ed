# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A video device: opened by path, with its queues, events, commands and controls."""

from __future__ import annotations

import errno
import os
import select
from contextlib import suppress
from pathlib import Path

from cm_agent.core.descriptor import Descriptor
from cm_agent.video.controls import Controls
from cm_agent.video.error import VideoError, asking
from cm_agent.video.event import Event, EventKind
from cm_agent.video.format import Capabilities
from cm_agent.video.queue import Queue
from cm_agent.video.uapi import MIN_CAPTURE_BUFFERS, DeviceIoctls
from cm_agent.video.uapi_queue import QueueIoctls

READY = select.POLLIN | select.POLLOUT | select.POLLPRI


class VideoDevice(Descriptor):
    """Hold a video device open; single- and multi-planar ones look alike.

    Owns its file descriptor. `capture` is the queue that it fills, `output` the
    one that it reads, which only codecs and converters have. Closing it stops
    both and makes the driver let go of every buffer, as the end of the process
    does. Errors are VideoError with the driver's errno.

    Synchronization: external synchronization is required.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise VideoError(error.errno or 0, str(path), "open") from error
        super().__init__(fd, f"video device {path}")
        self._ioctls = DeviceIoctls(self.fileno)
        try:
            with asking(self.path, "who it is"):
                self.capabilities: Capabilities = self._ioctls.query_capabilities()
        except VideoError:
            self.close()
            raise
        self.controls = Controls(self._ioctls, self.path)
        self.capture, self.output = (
            Queue(
                QueueIoctls(
                    self._ioctls,
                    output=name == "output",
                    multiplanar=self.capabilities.multiplanar,
                ),
                self.path,
                name,
            )
            for name in ("capture", "output")
        )

    @property
    def ioctls(self) -> int:
        """Count the ioctls made so far."""
        return self._ioctls.count

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a buffer or an event; return whether there is one."""
        poll = select.poll()
        poll.register(self, READY)
        return bool(poll.poll(timeout * 1000))

    async def wait_async(self, timeout: float) -> bool:
        """Wait as wait(), while asyncio's loop goes on, without a thread.

        Linux before 5.12 does not wake who registered with a queue that had a buffer, or did not
        stream ("media: videobuf2: always call poll_wait() on queues"): so each wait registers anew.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        with select.epoll() as poll:
            poll.register(self, READY)
            loop.add_reader(poll.fileno(), ready.cancel)
            try:
                done, _ = await asyncio.wait([ready], timeout=timeout)
            finally:
                loop.remove_reader(poll.fileno())
        return bool(done)

    def watch(self, kind: EventKind) -> bool:
        """Subscribe to events of a kind; False: the driver has none of it."""
        with asking(self.path, f"subscribe to {kind.name}"):
            try:
                self._ioctls.subscribe(kind)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOTTY):
                    return False
                raise
        return True

    def events(self) -> list[Event]:
        """Take all events that there are, the oldest first; watch() for them before."""
        with asking(self.path, "take the events"):
            return list(iter(self._ioctls.next_event, None))

    def command_encoder(self, command: int) -> None:
        """Start or stop the encoder; EBUSY while it drains."""
        with asking(self.path, "command the encoder", {errno.ENOTTY: "it is no stateful encoder"}):
            self._ioctls.command_encoder(command)

    def command_decoder(self, command: int) -> None:
        """Start or stop the decoder; EBUSY while it drains."""
        with asking(self.path, "command the decoder", {errno.ENOTTY: "it is no stateful decoder"}):
            self._ioctls.command_decoder(command)

    def least_capture_buffers(self) -> int:
        """Ask how many buffers the driver must be able to fill at a time; 0: it does not say."""
        with suppress(OSError):
            return self._ioctls.get_control(MIN_CAPTURE_BUFFERS)
        return 0
