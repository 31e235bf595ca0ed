# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the module says in the kernel's log, while somebody waits to be told why."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

KMSG = Path("/dev/kmsg")
"""One message a read: https://www.kernel.org/doc/Documentation/ABI/testing/dev-kmsg"""
RECORD = 8192
REFUSAL = re.compile(r"cm-context [^:]+: error -\w+: (?P<reason>.+)")


@contextmanager
def refusals(kmsg: Path = KMSG) -> Iterator[Callable[[], list[str]]]:
    """Yield a function that returns why the module refused contexts since, oldest first.

    Nothing, when this process may not read the log (that takes CAP_SYSLOG).
    """
    with ExitStack() as stack:
        fd = None
        with suppress(OSError):
            fd = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, fd)
            os.lseek(fd, 0, os.SEEK_END)
        yield partial(_reasons, fd)


def _reasons(fd: int | None) -> list[str]:
    messages = [] if fd is None else _messages(fd)
    return [match["reason"] for text in messages if (match := REFUSAL.match(text))]


def _messages(fd: int) -> Iterator[str]:
    with suppress(OSError):  # BlockingIOError: that was the last
        while True:
            # So many came meanwhile that the oldest are lost.
            with suppress(BrokenPipeError):
                record = os.read(fd, RECORD).decode(errors="replace")
                if not record:
                    return
                yield record.partition(";")[2].partition("\n")[0]
