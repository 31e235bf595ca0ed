# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Which of a driver's buffer numbers stands for which chunks."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class IndexPool(Generic[T]):
    """Give out a driver's buffer numbers to users that are queued, and take them back.

    videobuf2 keeps a dma-buf mapped at its number until another comes there
    (Linux 6.12, __prepare_dmabuf()), and mapping it again is what costs. So
    a user that comes back gets the number that it had, and others the one that has
    been out of use the longest.

    Synchronization: external synchronization is required.
    """

    def __init__(self, count: int) -> None:
        self._users: dict[int, T | None] = dict.fromkeys(range(count))
        self._free = list(range(count))

    @property
    def free(self) -> int:
        """Count the numbers that can be taken."""
        return len(self._free)

    @property
    def busy(self) -> int:
        """Count the numbers that are taken."""
        return len(self._users) - len(self._free)

    def take(self, user: T) -> int:
        """Return a number for `user`; IndexError when there is none."""
        had = [number for number in self._free if self._users[number] == user]
        number = had[0] if had else self._free[0]
        self._free.remove(number)
        self._users[number] = user
        return number

    def give(self, number: int) -> T:
        """Take a number back and return who had it; KeyError when nobody had."""
        user = self._users[number]
        if user is None or number in self._free:
            raise KeyError(number)
        self._free.append(number)
        return user

    def give_all(self) -> list[T]:
        """Take back all numbers, as stopping a queue does, and return who had them."""
        taken = [number for number in self._users if number not in self._free]
        return [self.give(number) for number in taken]
