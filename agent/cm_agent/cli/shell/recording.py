# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a session did, as a plain text file that it can do again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from io import BufferedWriter

from cm_agent.cli.shell.command import Command
from cm_agent.core.errors import CommandError, explained


class Recording:
    """Remember every command, and write them to a file once there is one.

    A command is on the disk before it is done, so that the one that takes the board down is
    there, too. One that failed becomes one that may fail. CommandError: the file takes no more.

    Synchronization: external synchronization is required.
    """

    def __init__(self, title: str) -> None:
        self._lines = [f"# {title}"]
        self._command: tuple[Command, str] | None = None
        self._file: BufferedWriter | None = None
        self._path = ""
        self._last = 0

    def begin(self, command: Command, note: str = "") -> None:
        """Write a command that is about to be done, with a comment after it."""
        self._command = command, note
        self._lines.append(_line(command, note))
        self._write(self._lines[-1:])

    def failed(self) -> None:
        """Mark the command that was begun last."""
        if self._command is None:
            return
        command, note = self._command
        self._lines[-1] = _line(replace(command, may_fail=True), note)
        if self._file:
            self._file.truncate(self._file.seek(self._last))
        self._write(self._lines[-1:])

    def open(self, path: str) -> None:
        """Write all lines so far, and from now on, to a file; FileExistsError when it is there."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError as error:
            raise FileExistsError(
                error.errno, f"{path}: there is a file already; name another, or remove it"
            ) from None
        except OSError as error:
            raise explained(error, f"{path} cannot be recorded to") from None
        self.close()
        self._file = os.fdopen(fd, "wb")
        self._path = path
        self._write(self._lines)

    def close(self) -> None:
        """Write no more; closing again does nothing."""
        if self._file:
            self._file.close()
            self._file = None

    def _write(self, lines: Sequence[str]) -> None:
        """Add lines to the file, and wait until the disk has them."""
        if self._file is None:
            return
        try:
            for line in lines:
                self._last = self._file.tell()
                self._file.write(f"{line}\n".encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            file, self._file = self._file, None
            file.raw.close()
            raise CommandError(
                f"{self._path} cannot be written, so the recording ends: {error.strerror}"
            ) from None


def _line(command: Command, note: str) -> str:
    return f"{command}  # {note}" if note else str(command)
