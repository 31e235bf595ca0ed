# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Controls by name, and only values that they take; of a driver that is a function."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from cm_agent.video.control import Control, ControlType, control_name
from cm_agent.video.controls import Controls
from cm_agent.video.error import VideoError
from unit.video.test_uapi import DriverIoctls

INTEGER, MENU, CLASS, INTEGER_MENU = 1, 3, 6, 9
READ_ONLY, NEXT = 0x0004, 0x80000000
DRIVER: dict[int, tuple[str, int, tuple[int, int, int], int]] = {
    0x980001: ("User Controls", CLASS, (0, 0, 0), 0),
    0x980900: ("Brightness", INTEGER, (0, 255, 5), 0),
    0x980901: ("Test Pattern", MENU, (0, 2, 0), 0),
    0x980902: ("Frames, Lost", INTEGER, (0, 9, 1), READ_ONLY),
    0x980903: ("Link Frequency", INTEGER_MENU, (0, 0, 0), 0),
}


class Driver:
    """What controls a device has, and what was set."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}

    def __call__(self, name: str, answer: Any) -> None:
        """Answer an ioctl."""
        getattr(self, name.removeprefix("VIDIOC_").lower())(answer)

    def queryctrl(self, answer: Any) -> None:
        """Describe a control, or the next one."""
        after = answer.id & ~NEXT
        later = [it for it in DRIVER if it > after] if answer.id & NEXT else [after]
        if not later or later[0] not in DRIVER:
            raise OSError(errno.EINVAL, "no such control")
        answer.id = later[0]
        text, answer.type, limits, answer.flags = DRIVER[later[0]]
        answer.name = text.encode().ljust(32, b"\0")
        answer.minimum, answer.maximum, answer.step = limits

    def querymenu(self, item: Any) -> None:
        """Name an item; the second is not there."""
        if item.index == 1:
            raise OSError(errno.EINVAL, "no such item")
        text = (
            (400_000_000).to_bytes(8, "little") if item.id == 0x980903 else b"Bars %d" % item.index
        )
        item.name = text.ljust(32, b"\0")

    def g_ctrl(self, control: Any) -> None:
        """Get a value."""
        control.value = self.values.get(control.id, 0)

    def s_ctrl(self, control: Any) -> None:
        """Set a value."""
        if DRIVER[control.id][3] & READ_ONLY:
            raise OSError(errno.EACCES, "read only")
        self.values[control.id] = control.value


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def controls(driver: Driver) -> Controls:
    return Controls(DriverIoctls(driver), Path("/dev/video9"))


def test_names_are_those_of_v4l2_ctl(controls: Controls) -> None:
    assert list(controls) == ["brightness", "test_pattern", "frames_lost", "link_frequency"]
    assert control_name("Video H264 I-Frame Period") == "video_h264_i_frame_period"


def test_a_control_is_set_and_read_by_name_or_number(controls: Controls, driver: Driver) -> None:
    controls["brightness"] = 100
    assert controls[0x980900] == driver.values[0x980900] == 100


def test_an_item_of_a_menu_is_set_by_its_text(controls: Controls, driver: Driver) -> None:
    controls["test_pattern"] = "Bars 2"
    assert driver.values[0x980901] == 2
    assert controls.describe("test_pattern").menu == {0: "Bars 0", 2: "Bars 2"}


def test_an_item_may_be_a_large_number(controls: Controls) -> None:
    assert controls.describe("link_frequency").menu == {0: 400_000_000}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("brightness", 260, r"260 is no value of brightness \(0 to 255 in steps of 5\)"),
        ("brightness", 7, "in steps of 5"),
        ("brightness", -5, "0 to 255"),
        ("test_pattern", 1, "test_pattern \\(0: Bars 0, 2: Bars 2\\)"),
        ("test_pattern", "Bars 9", "'Bars 9' is no value"),
    ],
)
def test_a_value_that_it_does_not_take_is_refused_with_those_that_it_does(
    controls: Controls, driver: Driver, name: str, value: int | str, words: str
) -> None:
    with pytest.raises(VideoError, match=words) as caught:
        controls[name] = value
    assert caught.value.errno == errno.ERANGE and not driver.values


def test_an_unknown_control_is_refused_with_those_that_there_are(controls: Controls) -> None:
    with pytest.raises(
        VideoError, match=r"no control 'contrast': .*: its controls are brightness,"
    ):
        controls["contrast"] = 1
    assert "contrast" not in controls and 0x980900 in controls


def test_what_can_only_be_read_is_no_error_of_the_value(controls: Controls) -> None:
    assert controls["frames_lost"] == 0
    with pytest.raises(VideoError, match="it can only be read"):
        controls["frames_lost"] = 1


def test_any_bits_of_a_mask_are_a_value_and_no_others() -> None:
    mask = Control(1, "mask", ControlType.BITMASK, 0, 0b101, 0, 0)
    assert [mask.number(value) for value in (0, 1, 4, 5)] == [0, 1, 4, 5]
    with pytest.raises(ValueError, match=r"2 is no value of mask \(bitmask, 0x5\)"):
        mask.number(2)
