# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A dma-buf of another process, through pidfd_getfd."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from cm_agent.core.buffer import DMA_BUF_LINK, Buffer
from cm_agent.core.errors import UsageError, explained, request_error

# include/uapi/asm-generic/unistd.h; the same number on arm, arm64 and x86-64.
_PIDFD_GETFD = 438


def take(pid: int, fd: int) -> Buffer:
    """Duplicate a process's dma-buf descriptor into a Buffer, which owns the duplicate.

    Needs the right to ptrace the process (PermissionError). UsageError when it is no dma-buf.
    """
    link = Path("/proc") / str(pid) / "fd" / str(fd)
    try:
        target = os.readlink(link)
    except OSError as error:
        raise explained(error, f"descriptor {fd} of process {pid} ({link})") from None
    if not target.startswith(DMA_BUF_LINK):
        raise UsageError(f"--fd {fd}: in process {pid} it is {target!r} and not a dma-buf")
    taken = _duplicate(pid, fd)
    try:
        return Buffer.from_fd(taken)
    except OSError:
        os.close(taken)
        raise


def _duplicate(pid: int, fd: int) -> int:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise explained(error, f"process {pid}") from None
    try:
        taken = int(ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, pidfd, fd, 0))
    finally:
        os.close(pidfd)
    if taken < 0:
        number = ctypes.get_errno()
        raise request_error(
            number,
            f"descriptor {fd} of process {pid} cannot be taken over: {os.strerror(number)}; "
            "it takes the same user or CAP_SYS_PTRACE",
        )
    return taken
