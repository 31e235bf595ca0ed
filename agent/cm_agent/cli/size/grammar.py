# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How `cm-agent size` is given a device and what it shall do, as one word.

    camera    [DEVICE:]WIDTHxHEIGHT:FORMAT[:BUFFERS]
    others    [DEVICE:]WIDTHxHEIGHT:FORMAT:TO[:INPUTS+BUFFERS]
    converter TO may be WIDTHxHEIGHT:TO

With DEVICE, all that is left out from the right, and DEVICE alone, is as the device has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cm_agent.video.demand import Request
from cm_agent.video.format import fourcc, fourcc_text

MOST_BUFFERS = 32
"""VIDEO_MAX_FRAME: what drivers take."""
FORMS = {
    "camera": "[DEVICE:]WIDTHxHEIGHT:FORMAT[:BUFFERS]",
    "encoder": "[DEVICE:]WIDTHxHEIGHT:FORMAT:TO[:INPUTS+BUFFERS]",
    "decoder": "[DEVICE:]WIDTHxHEIGHT:FORMAT:TO[:INPUTS+BUFFERS]",
    "converter": "[DEVICE:]WIDTHxHEIGHT:FORMAT:[WIDTHxHEIGHT:]TO[:INPUTS+BUFFERS]",
}
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
_COUNTS = {
    "camera": re.compile(r"(?P<buffers>\d{1,3})", re.ASCII),
    "": re.compile(r"(?P<inputs>\d{1,3})\+(?P<buffers>\d{1,3})", re.ASCII),
}


@dataclass(frozen=True, slots=True)
class Specification:
    """One device's word, taken apart; `device` is None when none is named."""

    role: str
    text: str
    device: str | None
    request: Request


def parse(role: str, text: str, coded_size: int) -> Specification:
    """Take a word apart; ValueError with what is wrong in it.

    The device is what comes before the first size, since paths of devices may have colons.
    """
    words = text.split(":")
    first = next((at for at, word in enumerate(words) if _SIZE.fullmatch(word)), len(words))
    device = ":".join(words[:first]) or None
    values: dict[str, Any] = {"coded_size": coded_size}
    try:
        _read(role, words[first:], values)
        _require_complete(role, device, values)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; it is written {FORMS[role]}") from None
    return Specification(role, text, device, Request(**values))


def _read(role: str, words: list[str], values: dict[str, Any]) -> None:
    left = list(words)
    if left and (counts := _COUNTS["camera" if role == "camera" else ""].fullmatch(left[-1])):
        values.update(_counts(counts))
        left.pop()
    if left:
        values["size"] = _size(left.pop(0))
    if left:
        values["format"] = fourcc_text(fourcc(left.pop(0)))
    if left and role == "converter" and _SIZE.fullmatch(left[0]):
        values["to_size"] = _size(left.pop(0))
    if left and role != "camera":
        values["to"] = fourcc_text(fourcc(left.pop(0)))
    if left:
        raise ValueError(f"{left[0]!r} has no meaning there")


def _require_complete(role: str, device: str | None, values: dict[str, Any]) -> None:
    if device is not None:
        return
    needed = ("size", "format") if role == "camera" else ("size", "format", "to")
    if missing := [key for key in needed if key not in values]:
        raise ValueError(f"without a DEVICE, {' and '.join(missing).upper()} must be there")


def _counts(match: re.Match[str]) -> dict[str, int]:
    found = {name: int(number) for name, number in match.groupdict().items()}
    for name, number in found.items():
        least = 0 if name == "inputs" else 1
        if not least <= number <= MOST_BUFFERS:
            raise ValueError(f"{number} {name}: {least} to {MOST_BUFFERS} are possible")
    return found


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no size in pixels, such as 640x480")
    width, height = map(int, match.groups())
    if not width or not height:
        raise ValueError(f"{text!r} has no pixels")
    return width, height
