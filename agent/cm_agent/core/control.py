# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts made and removed at run time, and quotas: /dev/cm/control, which belongs to root."""

from __future__ import annotations

import errno
import os
from typing import Any

from cm_agent.core import uapi
from cm_agent.core.context import CONTROL, contexts, node
from cm_agent.core.descriptor import Descriptor
from cm_agent.core.devicetree import bank_names
from cm_agent.core.errors import RequestError, explained, request_error
from cm_agent.core.reports import Quota

_FIX = {
    ("create", errno.EEXIST): "choose another name, or destroy that one",
    ("create", errno.ENOSPC): "destroy one",
    ("destroy", errno.EBUSY): "it has chunks (`cm-agent chunks` shows whose), or memory of one is "
    "on its way back: then try again",
}
_PARTS = "`cm-agent banks` shows which parts are free"
_OTHER_PART = f"take another part (--offset, --size), or destroy that context; {_PARTS}"


class Control(Descriptor):
    """Make and remove contexts, and set quotas; needs root (PermissionError).

    Synchronization: none required; the kernel serializes.
    """

    def __init__(self) -> None:
        path = node(CONTROL)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            hint = " (that needs root)" if error.errno == errno.EACCES else ""
            raise explained(error, f"{path} cannot be opened{hint}") from None
        super().__init__(fd, str(path))

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
        context has that name; OSError EBUSY: the memory is another's, EINVAL: it cannot be. The
        error has the module's sentence about what is wrong.
        """
        argument = uapi.prepare(
            "CM_IOC_CREATE",
            name=_context(name),
            bank=_encoded(bank, uapi.BANK_NAME_LEN, "the name of a bank"),
            offset=offset,
            size=size,
            min_alignment=min_alignment,
            flags=uapi.CONTEXT_PRIVATE if private else 0,
        )
        try:
            uapi.submit(self.fileno(), "CM_IOC_CREATE", argument)
        except OSError as error:
            raise self._failed("create", name, error, uapi.text(argument.error)) from None

    def destroy(self, name: str) -> None:
        """Remove a context; OSError EBUSY, and nothing changes, while it has chunks."""
        self._do("destroy", "CM_IOC_DESTROY", name, name=_context(name))

    def set_quota(
        self, name: str, size: int | None, *, uid: int | None = None, chunks: int | None = None
    ) -> None:
        """Limit the bytes, and the number of chunks, that a user may have of a context.

        None is no limit; a context never has more chunks than the module's parameter max_chunks.
        uid None is for each user without a quota of their own. What a user has already is kept.
        """
        self._do(
            "set a quota of",
            "CM_IOC_QUOTA",
            name,
            name=_context(name),
            bytes=uapi.QUOTA_NONE if size is None else size,
            uid=_uid(uid),
            chunks=uapi.QUOTA_NO_CHUNKS if chunks is None else chunks,
        )

    def quota(self, name: str, uid: int | None = None) -> Quota:
        """Return what applies to a user of a context, and what the user has of it.

        uid None: what applies to each user without a quota of their own, which nobody uses.
        """
        asked = {"name": _context(name), "uid": _uid(uid)}
        return Quota.read(self._do("read a quota of", "CM_IOC_GET_QUOTA", name, quota=asked))

    def _do(self, doing: str, request: str, context: str, /, **fields: object) -> Any:
        try:
            return uapi.call(self.fileno(), request, **fields)
        except OSError as error:
            raise self._failed(doing, context, error) from None

    def _failed(self, doing: str, name: str, error: OSError, sentence: str = "") -> RequestError:
        """Return the error with what failed, the module's sentence about it, and what to do."""
        why = sentence or os.strerror(error.errno or 0)
        fix = self._fix(doing, error.errno or 0, sentence)
        what = f"did not {doing} context {name!r}: {why}{fix and f'; {fix}'}"
        return request_error(error.errno, what)

    def _fix(self, doing: str, number: int, sentence: str) -> str:
        if (doing, number) == ("create", errno.ENOENT):
            there = ", ".join(bank_names()) or "none: the device tree has no reserved memory"
            return f"there are {there}"
        if number == errno.ENOENT:
            there = ", ".join(contexts()) or "none: run `cm-agent doctor`"
            return f"there is no such context; there are {there}"
        if (doing, number) == ("create", errno.EBUSY):
            return _OTHER_PART if "another context" in sentence else ""
        if (doing, number) == ("create", errno.EINVAL):
            return _PARTS if " bytes from " in sentence else ""
        return _FIX.get((doing, number), "")


def _context(name: str) -> bytes:
    return _encoded(name, uapi.NAME_LEN, "the name of a context")


def _uid(uid: int | None) -> int:
    return uapi.QUOTA_ANYBODY if uid is None else uid


def _encoded(text: str, space: int, what: str) -> bytes:
    encoded = text.encode()
    if not encoded or b"\0" in encoded or len(encoded) >= space:
        raise ValueError(f"{text!r} cannot be {what}: 1 to {space - 1} bytes")
    return encoded
