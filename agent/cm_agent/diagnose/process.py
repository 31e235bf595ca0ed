# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whether the process that asked for a chunk is still there."""

from __future__ import annotations

from pathlib import Path

from cm_agent.core.buffer import DMA_BUF_LINK
from cm_agent.core.text import printable

PROC = Path("/proc")
_INITIAL_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO of the kernel: chunks have the numbers of this one."""


def is_gone(pid: int, comm: str) -> bool | None:
    """Return whether a process of the initial pid namespace has ended; None when unknown.

    Its number may be another's by now: one of another name that has no dma-buf.
    """
    try:
        if (PROC / "self/ns/pid").stat().st_ino != _INITIAL_NAMESPACE:
            return None
        name = (PROC / str(pid) / "comm").read_bytes().removesuffix(b"\n")
        return printable(name.decode(errors="backslashreplace")) != comm and not _has_buffer(pid)
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return None


def _has_buffer(pid: int) -> bool:
    process = PROC / str(pid)
    links = (fd.readlink() for fd in (process / "fd").iterdir())
    return any(str(link).startswith(DMA_BUF_LINK) for link in links) or f" {DMA_BUF_LINK}" in (
        process / "maps"
    ).read_text(errors="replace")
