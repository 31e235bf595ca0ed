# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Where the contexts that there are lie, as /sys/class/cm shows it; nothing is opened in /dev."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A context and the part of a bank that it has; sizes in bytes.

    `offset` is from the start of the bank, None for users other than root.
    """

    name: str
    bank: str
    offset: int | None
    size: int
    private: bool
    min_alignment: int


def places(sysfs: Path = Path("/sys")) -> dict[str, Place]:
    """Return the contexts by name, sorted; none when the module is not loaded."""
    found = {}
    with suppress(FileNotFoundError):
        for folder in sorted((sysfs / "class/cm").iterdir()):
            with suppress(FileNotFoundError):  # destroyed meanwhile
                found[folder.name] = _place(folder)
    return found


def _place(folder: Path) -> Place:
    return Place(
        name=folder.name,
        bank=(folder / "bank").read_text().strip(),
        offset=_offset(folder / "offset"),
        size=int((folder / "size").read_text()),
        private=(folder / "kind").read_text().strip() == "private",
        min_alignment=int((folder / "min_alignment").read_text()),
    )


def _offset(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except PermissionError:
        return None
