# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Finding a device by path, node or driver, in a sysfs of our own and without device nodes."""

from pathlib import Path

import pytest
from cm_agent.v4l2.error import DeviceLookupError
from cm_agent.v4l2.lookup import find


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    (tmp_path / "class/video4linux/v4l-subdev0").mkdir(parents=True)
    for number, driver, card in [(0, "vivid", "one"), (10, "codec", "out"), (9, "codec", "in")]:
        entry = tmp_path / f"class/video4linux/video{number}"
        (entry / "device").mkdir(parents=True)
        (entry / "name").write_text(f"{card}\n")
        (tmp_path / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        (entry / "device/driver").symlink_to(tmp_path / "drivers" / driver)
    return tmp_path


def test_a_path_is_taken_as_it_is(sysfs: Path) -> None:
    assert find("./camera", sysfs=sysfs) == Path("camera")


def test_a_node_and_a_driver_stand_for_a_path(sysfs: Path) -> None:
    assert find("video10", sysfs=sysfs, dev=Path("/nodes")) == Path("/nodes/video10")
    assert find("vivid", sysfs=sysfs, dev=Path("/nodes")) == Path("/nodes/video0")


def test_a_driver_of_two_nodes_lists_them_in_order(sysfs: Path) -> None:
    with pytest.raises(DeviceLookupError, match=r"say which: /n/video9 \(in\); /n/video10 \(out\)"):
        find("codec", sysfs=sysfs, dev=Path("/n"))


def test_an_unknown_name_lists_what_there_is(sysfs: Path) -> None:
    with pytest.raises(DeviceLookupError, match=r"there are /n/video0 \(vivid\), /n/video9"):
        find("webcam", sysfs=sysfs, dev=Path("/n"))


def test_no_device_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(DeviceLookupError, match="there is no video device"):
        find("vivid", sysfs=tmp_path)
