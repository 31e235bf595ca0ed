# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A board with little memory left, so that what is allocated next lies in the shared bank."""

from collections.abc import Iterator
from contextlib import contextmanager

from boards.remote import RemoteBoard

PLACE = "/run/bench"
LEFT = 60 << 20
"""Bytes left outside of the banks. The kernel hands out pages of a bank as long as more of them are
free than others, and migration needs somewhere to go: as much as the bank has, then, or a little
less."""


@contextmanager
def ramfs(board: RemoteBoard) -> Iterator[None]:
    """Mount a file system at PLACE, to whose pages the kernel gives no memory of a bank."""
    board.check(f"mkdir -p {PLACE} && mount -t ramfs bench {PLACE}")
    try:
        yield
    finally:
        board.check(f"umount {PLACE}")


@contextmanager
def scarce(board: RemoteBoard) -> Iterator[None]:
    """Fill the board's memory but for LEFT, with pages that the kernel puts into no bank."""
    with ramfs(board):
        board.call(fill, path=f"{PLACE}/ballast", left=LEFT)
        yield


def fill(path: str, left: int) -> None:
    """Write a file until no more is left outside of the banks."""

    def outside() -> int:
        with open("/proc/meminfo") as lines:
            kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return (kib["MemFree"] - kib["CmaFree"]) << 10

    with open(path, "ab") as file:
        while outside() > left:
            file.write(bytes(1 << 20))
            file.flush()
