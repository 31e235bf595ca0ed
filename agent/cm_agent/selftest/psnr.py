# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How like two images are: the peak signal-to-noise ratio, by Pillow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from cm_agent.video.format import Format
from cm_agent.video.frame import Frame
from cm_agent.video.image import require_convertible
from cm_agent.video.layout import parts

PEAK = 255


def require_comparable(ours: Format, theirs: Format) -> None:
    """Say early, with ImportError or ValueError, that images of two formats cannot be compared."""
    require_convertible(ours)
    if (str(ours), ours.planes) != (str(theirs), theirs.planes):
        raise ValueError(f"images in {ours} and in {theirs} cannot be compared")
    if len(ours.planes) != 1:
        raise ValueError(f"images in {ours} cannot be compared: they have several planes")
    if ours.rows or any(part.strides[0] != part.row for part in parts(ours)):
        raise ValueError(f"images in {ours} cannot be compared: their rows are padded")


def psnr(ours: Frame, theirs: Frame) -> float:
    """Return the ratio in decibels over all samples of two frames; inf when they are equal.

    Reads both where they are and copies neither. Raises as require_comparable().
    """
    require_comparable(ours.format, theirs.format)
    samples = parts(ours.format)[-1].end
    with ours.buffer.cpu_access("r") as one, theirs.buffer.cpu_access("r") as two:
        differences = _differences(one[:samples], two[:samples])
    errors = sum(count * step * step for step, count in enumerate(differences))
    return decibels(errors, samples)


def decibels(errors: int, samples: int) -> float:
    """Return the ratio for a sum of squared errors."""
    return 10 * math.log10(PEAK**2 * samples / errors) if errors else math.inf


def mean(ratios: Iterable[float]) -> float:
    """Return the ratio over equally large images of which each has one: by their mean error."""
    shares = [10 ** (-ratio / 10) for ratio in ratios]
    share = sum(shares) / len(shares)
    return -10 * math.log10(share) if share else math.inf


def _differences(one: Any, two: Any) -> list[int]:
    """Count how many bytes of two equally long memoryviews differ by 0, 1, 2 ... 255."""
    from PIL import Image, ImageChops

    size = len(one), 1
    first = Image.frombuffer("L", size, one, "raw", "L", 0, 1)
    second = Image.frombuffer("L", size, two, "raw", "L", 0, 1)
    return ImageChops.difference(first, second).histogram()
