# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What goes wrong on a video device, in the driver's words and ours."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cm_agent.core.errors import Error


class VideoError(Error, OSError):
    """Say which device failed at what; errno is the driver's."""

    def __init__(self, number: int, device: str, what: str, hint: str = "") -> None:
        words = f"{device}: {what}: {os.strerror(number)}"
        super().__init__(number, f"{words}: {hint}" if hint else words)

    def __str__(self) -> str:
        return str(self.strerror)


class DeviceLookupError(VideoError):
    """Say that a name stands for no device, or for more than one."""


@contextmanager
def asking(path: Path, what: str, hints: dict[int, str] | None = None) -> Iterator[None]:
    """Turn an OSError in the block into a VideoError that says what the device was asked.

    hints: what to do about an errno.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        hint = (hints or {}).get(number, "")
        if number == errno.ENOTTY and not hint:
            hint = "is it a V4L2 device?"
        raise VideoError(number, str(path), what, hint) from error


def buffer_refused(number: int, wanted: Sequence[int], given: Sequence[int]) -> str:
    """Say what may be wrong with buffers that the driver did not take.

    wanted: the bytes that the driver asks for, plane by plane; given: the
    bytes of the chunks that it was offered.
    """
    if len(wanted) != len(given):
        return f"the driver wants {len(wanted)} planes, {len(given)} chunks were given"
    small = [
        ("" if len(wanted) == 1 else f"plane {plane}: ")
        + f"the driver wants {want:,} bytes, the chunk has {have:,}"
        for plane, (want, have) in enumerate(zip(wanted, given, strict=True))
        if have < want
    ]
    if small:
        return "; ".join(small)
    if number == errno.EFAULT:
        return "the driver cannot map the chunk for its device; is it contiguous and reachable?"
    return ""


def format_differs(asked: str, offered: str, choices: Sequence[str]) -> str:
    """Say that the driver would rather have another format, and which it has."""
    listed = f"; its pixel formats are {', '.join(choices)}" if choices else ""
    return f"asked for {asked}, the nearest it offers is {offered}{listed}"
