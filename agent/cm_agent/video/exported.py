# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A driver's own buffers, exported: foreign dma-bufs to verify or to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cm_agent.core.buffer import Buffer
from cm_agent.video.device import VideoDevice


@contextmanager
def exported(device: VideoDevice, count: int) -> Iterator[tuple[tuple[Buffer, ...], ...]]:
    """Have the driver allocate buffers for the format that is set, and lend their planes.

    The buffers are closed and the driver's memory is given back at the end of
    the block.
    """
    with ExitStack() as stack:
        granted = device.capture.request_exported(count)
        stack.callback(device.capture.release_buffers)
        yield tuple(
            tuple(stack.enter_context(plane) for plane in device.capture.export(index))
            for index in range(granted)
        )
