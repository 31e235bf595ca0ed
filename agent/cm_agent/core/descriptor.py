# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""An open file that somebody owns: the base of what has a close()."""

from __future__ import annotations

import os
import warnings
import weakref
from typing import Self

from cm_agent.core.errors import ClosedError
from cm_agent.core.uapi import ffi


def _abandoned(fd: int, what: str) -> None:
    os.close(fd)
    warnings.warn(f"{what} was never closed", ResourceWarning, stacklevel=2)


class Descriptor:
    """Own one file descriptor until close().

    An object that is collected unclosed closes its descriptor and warns (ResourceWarning).

    Synchronization: external synchronization is required.
    """

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what
        # The garbage collector tracks no cdata: in a cycle it would have this object finalized
        # before the end of an abandoned block of its own, which still needs the descriptor.
        self._untracked = ffi.cast("int", fd)
        self._abandon = weakref.finalize(self._untracked, _abandoned, fd, what)
        self._abandon.atexit = False

    def fileno(self) -> int:
        """Return the descriptor, which stays this object's; ClosedError after close()."""
        if not self:
            raise ClosedError(f"{self._what} is closed")
        return self._fd

    def close(self) -> None:
        """Close the descriptor; closing again does nothing."""
        if self._abandon.detach() is not None:
            os.close(self._fd)

    def __bool__(self) -> bool:
        """Return whether it is open."""
        return self._abandon.alive

    def __enter__(self) -> Self:
        self.fileno()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self._what} fd={self._fd}>" if self else f"<{self._what} CLOSED>"
