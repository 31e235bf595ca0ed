# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts made and removed at run time, and quotas: /dev/cm/control, which belongs to root."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from cm_agent import uapi
from cm_agent.context import CONTROL, DEV, names
from cm_agent.descriptor import Descriptor
from cm_agent.devicetree import bank_names
from cm_agent.errors import explained
from cm_agent.kernellog import refusals

_LOG = "the reason is in the kernel log: dmesg | grep cm-context"
_WHY = {
    ("create", errno.EEXIST): "there is a context of that name",
    ("create", errno.ENOSPC): "there are as many contexts as there can be",
    ("destroy", errno.EBUSY): "it has chunks, as `cm-agent list` tells, or memory of one is on its "
    "way back: then try again",
}
_OTHER_PART = "take another part (--offset, --size), or end what has it; `cm-agent list` helps"


class Control(Descriptor):
    """Make and remove contexts, and set quotas; needs root (PermissionError).

    Synchronization: none required; the kernel serializes.
    """

    def __init__(self, *, dev: Path = DEV) -> None:
        try:
            fd = os.open(dev / CONTROL, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            hint = " (that needs root)" if error.errno == errno.EACCES else ""
            raise explained(error, f"{dev / CONTROL} cannot be opened{hint}") from None
        super().__init__(fd, f"{dev / CONTROL}")
        self._dev = dev

    def create(
        self,
        name: str,
        bank: str,
        *,
        offset: int = 0,
        size: int = 0,
        min_alignment: int = 0,
        private: bool = False,
    ) -> None:
        """Make a context over a part of a bank, named as its node below /reserved-memory.

        Bytes; size 0 is all from offset on. FileNotFoundError: no such bank; FileExistsError: a
        context has that name; OSError EBUSY: the memory is another's, EINVAL: it cannot be.
        """
        self._do(
            "create",
            "CM_IOC_CREATE",
            name,
            bank=_encoded(bank, uapi.BANK_NAME_LEN, "the name of a bank"),
            offset=offset,
            size=size,
            min_alignment=min_alignment,
            flags=uapi.CONTEXT_PRIVATE if private else 0,
        )

    def destroy(self, name: str) -> None:
        """Remove a context; OSError EBUSY, and nothing changes, while it has chunks."""
        self._do("destroy", "CM_IOC_DESTROY", name)

    def set_quota(self, name: str, size: int | None, *, uid: int | None = None) -> None:
        """Say how many bytes of a context a user may have, None for no limit.

        uid None is for each user without a quota of his own. What he has already he keeps.
        """
        self._do(
            "set a quota of",
            "CM_IOC_QUOTA",
            name,
            bytes=uapi.QUOTA_NONE if size is None else size,
            uid=uapi.QUOTA_ANYBODY if uid is None else uid,
        )

    def _do(self, doing: str, request: str, name: str, **fields: object) -> None:
        encoded = _encoded(name, uapi.NAME_LEN, "the name of a context")
        with refusals() as reasons:
            try:
                uapi.call(self.fileno(), request, name=encoded, **fields)
            except OSError as error:
                why = self._why(doing, error.errno or 0, reasons())
                said = explained(error, f"did not {doing} context {name!r}")
                raise OSError(said.errno, f"{said.strerror}{f'; {why}' if why else ''}") from None

    def _why(self, doing: str, number: int, reasons: list[str]) -> str:
        """Return what an errno means here, or what the module said of it."""
        if (doing, number) == ("create", errno.ENOENT):
            there = ", ".join(bank_names()) or "none: the device tree has no reserved memory"
            return f"there is no such bank; there are {there}"
        if number == errno.ENOENT:
            there = ", ".join(names(self._dev)) or "none: `cm-agent doctor` tells why"
            return f"there is no such context; there are {there}"
        if doing == "create" and number in (errno.EINVAL, errno.EBUSY):
            reason = reasons[-1] if reasons else _LOG
            return f"{reason}; {_OTHER_PART}" if "another context" in reason else reason
        return _WHY.get((doing, number), "")


def _encoded(text: str, room: int, what: str) -> bytes:
    encoded = text.encode()
    if not encoded or b"\0" in encoded or len(encoded) >= room:
        raise ValueError(f"{text!r} cannot be {what}: 1 to {room - 1} bytes")
    return encoded
