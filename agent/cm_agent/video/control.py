# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a driver lets its users set, and the values that it takes."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class ControlType(Enum):
    """The types of controls whose value is one number; others are not supported."""

    INTEGER = "integer"
    BOOLEAN = "boolean"
    MENU = "menu"
    BUTTON = "button"
    BITMASK = "bitmask"
    INTEGER_MENU = "integer menu"


MENUS = (ControlType.MENU, ControlType.INTEGER_MENU)


@dataclass(frozen=True, slots=True)
class Control:
    """A control: its name as v4l2-ctl shows it, and the values that it takes.

    menu: the items by their number, texts or (INTEGER_MENU) the numbers that they stand for.
    """

    id: int
    name: str
    type: ControlType
    minimum: int
    maximum: int
    step: int
    default: int
    read_only: bool = False
    menu: Mapping[int, str | int] = field(default_factory=dict)

    def number(self, value: int | str) -> int:
        """Return the number to set for a value; ValueError says which ones there are.

        Of a menu that is an item's number or its text.
        """
        if isinstance(value, str):
            for number, item in self.menu.items():
                if item == value:
                    return number
        elif self._takes(operator.index(value)):
            return operator.index(value)
        raise ValueError(f"{value!r} is no value of {self}")

    def _takes(self, value: int) -> bool:
        if self.type is ControlType.BUTTON:
            return True
        if self.type is ControlType.BITMASK:
            return not value & ~self.maximum
        if self.type in MENUS:
            return value in self.menu
        inside = self.minimum <= value <= self.maximum
        return inside and not (value - self.minimum) % max(self.step, 1)

    def __str__(self) -> str:
        if self.type in MENUS:
            return f"{self.name} ({', '.join(f'{at}: {item}' for at, item in self.menu.items())})"
        if self.type in (ControlType.BUTTON, ControlType.BITMASK):
            return f"{self.name} ({self.type.value}, {self.maximum:#x})"
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.name} ({self.minimum} to {self.maximum}{steps})"


def control_name(text: str) -> str:
    """Return a driver's name of a control as v4l2-ctl shows it: video_gop_size."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
