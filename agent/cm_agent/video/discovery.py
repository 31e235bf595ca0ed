# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Find a video device by what people call it: a path, a node or a driver."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cm_agent.video.device import VideoDevice
from cm_agent.video.error import DeviceLookupError, VideoError

SYSFS = Path("/sys")
DEV = Path("/dev")


def find(
    name: str,
    *,
    role: str = "",
    suits: Callable[[VideoDevice], bool] = lambda device: True,
) -> Path:
    """Return the node that `name` stands for.

    A name with a slash is a path and is taken as it is, one such as `video0`
    is a node, any other is the name of a driver, as sysfs or the driver itself
    says it. Of a driver's nodes those count that suit, which `role` says in
    words. Raises DeviceLookupError, with the devices that suit, when a driver
    has no such node or more than one.
    """
    if "/" in name:
        return Path(name)
    nodes = _nodes()
    if name in nodes:
        return DEV / name
    # Opening a node may power a sensor up, so that others are left alone where sysfs will do.
    named = [node for node, entry in nodes.items() if name == _driver(entry)]
    named = named or [node for node in nodes if name == _driver_by_itself(DEV / node)]
    found = [node for node in named if _suits(DEV / node, suits)] if role else named
    if len(found) == 1:
        return DEV / found[0]
    if found:
        listed = "; ".join(f"{DEV / node} ({_card(nodes[node])})" for node in found)
        raise DeviceLookupError(errno.EINVAL, name, "more than one device", f"say which: {listed}")
    kind = role or "video device"
    listed = ", ".join(
        f"{DEV / node} ({_driver(entry) or _driver_by_itself(DEV / node) or 'driver unknown'})"
        for node, entry in nodes.items()
        if not role or _suits(DEV / node, suits)
    )
    hint = f"there are {listed}" if listed else f"there is no {kind}; is a driver loaded?"
    raise DeviceLookupError(errno.ENODEV, name, f"no {kind} of that name or driver", hint)


def find_camera(name: str) -> Path:
    """Return the node that delivers images by itself."""
    return find(name, role="camera", suits=_delivers)


def find_encoder(name: str) -> Path:
    """Return the node of that name, or of the driver's, that makes coded streams of images."""
    return find(name, role="encoder", suits=_encodes)


def find_decoder(name: str, coded: str) -> Path:
    """Return the node that makes images of a stream of this pixel format."""
    suits = partial(_decodes, coded=coded)
    return find(name, role=f"decoder of {coded}", suits=suits)


def find_converter(name: str) -> Path:
    """Return the node that makes images of images."""
    return find(name, role="converter", suits=_converts)


def _delivers(device: VideoDevice) -> bool:
    return device.capabilities.capture and not device.capabilities.memory_to_memory


def _encodes(device: VideoDevice) -> bool:
    return device.capabilities.memory_to_memory and any(
        entry.compressed for entry in device.capture.formats()
    )


def _decodes(device: VideoDevice, coded: str) -> bool:
    return device.capabilities.memory_to_memory and any(
        entry.compressed and entry.pixelformat == coded for entry in device.output.formats()
    )


def _converts(device: VideoDevice) -> bool:
    return device.capabilities.memory_to_memory and not any(
        entry.compressed for entry in (*device.capture.formats(), *device.output.formats())
    )


def _suits(node: Path, suits: Callable[[VideoDevice], bool]) -> bool:
    try:
        with VideoDevice(node) as device:
            return suits(device)
    except VideoError as error:
        # Opening it next has that error, which says more than that there is none.
        return error.errno not in (errno.ENODEV, errno.ENXIO, errno.ENOTTY, errno.EINVAL)


def _nodes() -> dict[str, Path]:
    """Map the names of video nodes to their folders in sysfs, in their numbers' order."""
    entries = (SYSFS / "class/video4linux").glob("video[0-9]*")
    return {entry.name: entry for entry in sorted(entries, key=lambda e: int(e.name[5:]))}


def _driver(entry: Path) -> str:
    """Return the name of a device's driver as sysfs has it, "" for none."""
    link = entry / "device/driver"
    return link.resolve().name if link.exists() else ""


def _driver_by_itself(node: Path) -> str:
    """Return the name that a driver reports for itself, "" when it cannot be asked."""
    try:
        with VideoDevice(node) as device:
            return device.capabilities.driver
    except VideoError:
        return ""


def _card(entry: Path) -> str:
    try:
        return (entry / "name").read_text().strip()
    except OSError:
        return "unnamed"
