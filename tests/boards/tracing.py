# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A trace buffer of a board's kernel, apart from what others trace there.

What an instance of tracefs is: https://docs.kernel.org/trace/ftrace.html#instances
"""

from collections.abc import Iterator
from contextlib import contextmanager

from boards.remote import RemoteBoard

MOUNT = "/run/cm-tracing"
BUFFER = f"{MOUNT}/instances/cm"


@contextmanager
def trace_buffer(board: RemoteBoard) -> Iterator[str]:
    """Yield the directory of an empty trace buffer, in which nothing is traced yet."""
    board.check(f"mkdir {MOUNT} && mount -t tracefs tracefs {MOUNT}")
    try:
        board.check(f"mkdir {BUFFER}")
        try:
            yield BUFFER
        finally:
            board.check(f"rmdir {BUFFER}")
    finally:
        board.check(f"umount {MOUNT} && rmdir {MOUNT}")
