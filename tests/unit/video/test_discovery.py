# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Finding a device by path, node or driver, in a sysfs of our own and without device nodes."""

import errno
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cm_agent.video import discovery as lookup
from cm_agent.video.discovery import find, find_camera, find_converter, find_decoder, find_encoder
from cm_agent.video.error import DeviceLookupError, VideoError
from unit.video.video_data import CODED, RAW, DataDevice


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "SYSFS", tmp_path)
    monkeypatch.setattr(lookup, "DEV", Path("/n"))


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
    assert find("./camera") == Path("camera")


def test_a_node_and_a_driver_stand_for_a_path(sysfs: Path) -> None:
    assert find("video10") == Path("/n/video10")
    assert find("vivid") == Path("/n/video0")


def test_other_drivers_nodes_are_left_closed(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def camera(path: Path) -> Any:
        opened.append(path.name)
        device = DataDevice(RAW, RAW)
        device.capabilities = replace(device.capabilities, memory_to_memory=False)
        return nullcontext(device)

    monkeypatch.setattr(lookup, "VideoDevice", camera)
    find_camera("vivid")
    assert opened == ["video0"]


def test_a_name_that_only_the_driver_itself_reports_is_found(sysfs: Path, devices: Any) -> None:
    camera = DataDevice(RAW, RAW)
    able = replace(camera.capabilities, memory_to_memory=False, driver="webcam")
    camera.capabilities = able
    devices(camera, DataDevice(CODED, RAW))
    assert find_camera("webcam") == Path("/n/video9")


def test_a_driver_of_two_nodes_lists_them_in_order(sysfs: Path) -> None:
    with pytest.raises(DeviceLookupError, match=r"say which: /n/video9 \(in\); /n/video10 \(out\)"):
        find("codec")


def test_an_unknown_name_lists_what_there_is(sysfs: Path) -> None:
    with pytest.raises(DeviceLookupError, match=r"there are /n/video0 \(vivid\), /n/video9"):
        find("webcam")


def test_no_device_at_all_is_said() -> None:
    with pytest.raises(DeviceLookupError, match="there is no video device"):
        find("vivid")


@pytest.fixture
def devices(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say what video9 and video10, of the driver `codec`, make of what."""

    def there_are(video9: DataDevice, video10: DataDevice) -> None:
        nodes = {"video0": DataDevice(RAW, RAW), "video9": video9, "video10": video10}
        still = replace(nodes["video0"].capabilities, memory_to_memory=False)
        nodes["video0"].capabilities = still
        monkeypatch.setattr(lookup, "VideoDevice", lambda path: nullcontext(nodes[path.name]))

    return there_are


def test_of_a_drivers_nodes_the_camera_is_found(sysfs: Path, devices: Any) -> None:
    screen, camera = DataDevice(RAW, RAW), DataDevice(RAW, RAW)
    able = replace(camera.capabilities, memory_to_memory=False)
    camera.capabilities, screen.capabilities = able, replace(able, capture=False)
    devices(screen, camera)
    assert find_camera("codec") == Path("/n/video10")


@pytest.mark.parametrize(
    ("number", "found"), [(errno.EACCES, True), (errno.EBUSY, True), (errno.ENODEV, False)]
)
def test_a_camera_that_may_not_be_opened_is_found_all_the_same(
    sysfs: Path, monkeypatch: pytest.MonkeyPatch, number: int, found: bool
) -> None:
    def refused(path: Path) -> None:
        raise VideoError(number, str(path), "open")

    monkeypatch.setattr(lookup, "VideoDevice", refused)
    with nullcontext() if found else pytest.raises(DeviceLookupError, match="no camera"):
        assert find_camera("vivid") == Path("/n/video0")


def test_what_makes_images_of_images_is_no_camera(sysfs: Path, devices: Any) -> None:
    devices(DataDevice(RAW, RAW), DataDevice(CODED, RAW))
    with pytest.raises(DeviceLookupError, match="codec: no camera of that name or driver"):
        find_camera("codec")


FINDERS: dict[str, Callable[..., Path]] = {
    "encoder": find_encoder,
    "decoder of FWHT": lambda name, **where: find_decoder(name, "FWHT", **where),
    "converter": find_converter,
}


@pytest.mark.parametrize(
    ("role", "made", "fed"),
    [("encoder", CODED, RAW), ("decoder of FWHT", RAW, CODED), ("converter", RAW, RAW)],
)
def test_of_a_drivers_nodes_the_one_that_suits_is_found(
    sysfs: Path, devices: Any, role: str, made: Any, fed: Any
) -> None:
    others = [DataDevice(CODED, RAW), DataDevice(RAW, CODED), DataDevice(RAW, RAW)]
    for other in others:
        devices(other, DataDevice(made, fed))
        if (other.capture.format, other.output.format) != (made, fed):
            assert FINDERS[role]("codec") == Path("/n/video10")


def test_a_decoder_of_another_stream_does_not_suit(sysfs: Path, devices: Any) -> None:
    stateless = DataDevice(RAW, CODED)
    stateless.output.fourccs = ["SFWH"]
    devices(stateless, DataDevice(CODED, RAW))
    with pytest.raises(DeviceLookupError, match="codec: no decoder of FWHT of that name or dri"):
        find_decoder("codec", "FWHT")


@pytest.mark.parametrize("role", FINDERS)
def test_a_camera_has_none_of_these_roles(sysfs: Path, devices: Any, role: str) -> None:
    devices(DataDevice(CODED, RAW), DataDevice(CODED, RAW))
    with pytest.raises(DeviceLookupError, match=f"no {role} of that name"):
        FINDERS[role]("vivid")


def test_only_devices_that_suit_are_offered(sysfs: Path, devices: Any) -> None:
    """Of a camera, an encoder and a decoder, the encoder."""
    devices(DataDevice(CODED, RAW), DataDevice(RAW, CODED))
    with pytest.raises(DeviceLookupError, match=r"there are /n/video9 \(codec[^,]*\)$"):
        find_encoder("nosuch")


def test_without_a_device_that_suits_none_is_offered(sysfs: Path, devices: Any) -> None:
    devices(DataDevice(CODED, RAW), DataDevice(RAW, CODED))
    with pytest.raises(DeviceLookupError, match="there is no converter; is a driver loaded"):
        find_converter("nosuch")
