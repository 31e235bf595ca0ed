# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How long the batches of a migration took, as the kernel's trace buffer tells."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from boards.remote import RemoteBoard
from boards.tracing import trace_buffer


@contextmanager
def migrations(board: RemoteBoard) -> Iterator[list[int]]:
    """Yield a list that has, after the block, the nanoseconds that each batch in it took."""
    took: list[int] = []
    with trace_buffer(board) as buffer:
        board.check(f"echo 'cm:cm_migrate' >{buffer}/set_event")
        yield took
        said = board.check(f"cat {buffer}/trace")
        took += [int(ns) for ns in re.findall(r": cm_migrate: .* ns=(\d+)", said)]
