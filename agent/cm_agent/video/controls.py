# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A device's controls by name."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from cm_agent.video.control import Control, ControlType
from cm_agent.video.error import VideoError, asking
from cm_agent.video.uapi import DeviceIoctls


class Controls:
    """Get and set a device's controls: `controls["brightness"] = 100`.

    Names are those that v4l2-ctl shows; an int is a control's id, of linux/v4l2-controls.h or the
    driver's own. Iterating yields the names. VideoError: EINVAL without such a control, ERANGE for
    a value that it does not take (the kernel would take the nearest), EBUSY while it is in use.

    Synchronization: external synchronization is required.
    """

    def __init__(self, ioctls: DeviceIoctls, path: Path) -> None:
        self._ioctls = ioctls
        self._path = path
        self._known: dict[str, int] | None = None

    def describe(self, name: str | int) -> Control:
        """Return what values a control takes now, which may depend on the format."""
        number = self._id(name)
        with asking(self._path, f"ask for control {name}"):
            return self._ioctls.query_control(number)

    def __getitem__(self, name: str | int) -> int:
        number = self._id(name)
        with asking(self._path, f"get control {name}"):
            value = self._ioctls.get_control(number)
        return value & 0xFFFFFFFF if self._is_mask(number) else value

    def __setitem__(self, name: str | int, value: int | str) -> None:
        control = self.describe(name)
        what = f"set control {control.name} to {value!r}"
        try:
            number = control.number(value)
        except ValueError as error:
            raise VideoError(errno.ERANGE, str(self._path), what, str(error)) from None
        hints = {errno.EACCES: "it can only be read"} if control.read_only else {}
        with asking(self._path, what, hints):
            self._ioctls.set_control(control.id, number)

    def __contains__(self, name: object) -> bool:
        return name in self._names() or name in self._names().values()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _is_mask(self, number: int) -> bool:
        return self.describe(number).type is ControlType.BITMASK

    def _names(self) -> dict[str, int]:
        if self._known is None:
            with asking(self._path, "list the controls"):
                self._known = dict(self._ioctls.enumerate_controls())
        return self._known

    def _id(self, name: str | int) -> int:
        names = self._names()
        if name in names.values():
            return int(name)
        if name not in names:
            shown = f"{name:#x}" if isinstance(name, int) else repr(name)
            hint = f"its controls are {', '.join(names)}" if names else "it has none"
            raise VideoError(errno.EINVAL, str(self._path), f"no control {shown}", hint)
        return names[str(name)]
