# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A camera by its name: the device, and the context for its images, opened and closed with it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from cm_agent.config import settings
from cm_agent.core.context import Context
from cm_agent.policy.allocator import Allocator
from cm_agent.policy.rules import COMMON
from cm_agent.video.capture import Capture
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import find_camera


class Camera(Capture):
    """A camera whose images are in chunks of a context; a context manager.

    device: a node's path or name, or a driver's name. context: a Context, which stays the caller's;
    or the name of one; or None for those of the policy. size: width and height in pixels; format:
    four characters, as V4L2 names it; None keeps what is set. fps: frames per second to ask for;
    `rate` is what the driver chose, None when that is not known. buffers: how many the driver has
    at a time. deadline: seconds that each allocation may take. VideoError and AllocationError (by
    policy, NoRuleError and RefusedError), and then nothing stays behind.

    Synchronization: external synchronization is required, but frames go back from any thread.
    """

    def __init__(
        self,
        device: str | Path,
        context: Context | str | None = None,
        *,
        size: tuple[int, int] | None = None,
        format: str | None = None,
        fps: float | None = None,
        buffers: int = 4,
        deadline: float | None = None,
    ) -> None:
        width, height = size or (None, None)
        with ExitStack() as stack:
            opened = stack.enter_context(VideoDevice(find_camera(str(device))))

            def begin(pool: Context, seconds: float | None) -> None:
                Capture.__init__(
                    self,
                    opened,
                    pool,
                    buffers,
                    width=width,
                    height=height,
                    pixelformat=format,
                    fps=fps,
                    deadline=seconds,
                )

            if isinstance(context, Context):
                begin(context, deadline)
            elif context is not None:
                begin(stack.enter_context(Context(context)), deadline)
            else:
                allocator = Allocator(settings.load().policy)
                driver = opened.capabilities.driver
                stack.enter_context(allocator.take(driver, COMMON, begin, deadline=deadline))
            self._opened = stack.pop_all()

    def close(self) -> None:
        """Stop, and close the chunks, the device, and what else was opened with it."""
        try:
            super().close()
        finally:
            self._opened.close()
