# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the module says in the kernel's log, while somebody waits to be told why."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KMSG = Path("/dev/kmsg")
"""One message a read: https://www.kernel.org/doc/Documentation/ABI/testing/dev-kmsg"""
RECORD = 8192
# The driver core adds that the probe failed, which is no reason.
REFUSAL = re.compile(r"cm-context [^:]+: (?:error -\w+: )?(?!probe with driver )(?P<reason>.+)")


@contextmanager
def refusals(kmsg: Path = KMSG) -> Iterator[Callable[[], list[str]]]:
    """Yield a function that returns why the module refused contexts since, oldest first.

    Nothing, when this process may not read the log (that takes CAP_SYSLOG).
    """
    try:
        fd = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield list
        return
    try:
        os.lseek(fd, 0, os.SEEK_END)
        yield lambda: [match["reason"] for text in _messages(fd) if (match := REFUSAL.match(text))]
    finally:
        os.close(fd)


def _messages(fd: int) -> Iterator[str]:
    with suppress(BlockingIOError):
        while True:
            # So many came meanwhile that the oldest are lost.
            with suppress(BrokenPipeError):
                record = os.read(fd, RECORD).decode(errors="replace")
                if not record:
                    return
                yield record.partition(";")[2].partition("\n")[0]
