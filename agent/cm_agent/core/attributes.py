# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What sysfs shows of the module and its contexts, and no call reports: kmod/sysfs-class-cm."""

from __future__ import annotations

from pathlib import Path

SYSFS = Path("/sys")


def bank_of(context: str) -> str | None:
    """Return the name of the bank that a context lies in; None when it is not shown."""
    return _read(f"class/cm/{context}/bank")


def offset_of(context: str) -> int | None:
    """Return how many bytes into its bank a context begins; None: only root may know."""
    text = _read(f"class/cm/{context}/offset")
    return None if text is None else int(text)


def size_of(context: str) -> int | None:
    """Return the bytes of a context, for which it need not be opened; None when it is gone."""
    text = _read(f"class/cm/{context}/size")
    return None if text is None else int(text)


def module_is_loaded() -> bool:
    """Return whether the module is there."""
    return (SYSFS / "module/cm").is_dir()


def module_version() -> str | None:
    """Return the version of the module; None when it is not shown."""
    return _read("module/cm/version")


def module_parameters() -> dict[str, str]:
    """Return the module's parameters that the caller may read, by name."""
    folder = SYSFS / "module/cm/parameters"
    names = sorted(it.name for it in folder.iterdir()) if folder.is_dir() else []
    read = {name: _read(f"module/cm/parameters/{name}") for name in names}
    return {name: value for name, value in read.items() if value is not None}


def _read(path: str) -> str | None:
    try:
        return (SYSFS / path).read_text().strip()
    except OSError:
        return None
