# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a video device's failures say."""

import errno

from cm_agent.video.error import VideoError, buffer_refused, format_differs


def test_a_chunk_that_is_too_small_is_named_with_both_numbers() -> None:
    assert (
        buffer_refused(errno.EINVAL, [614400], [589824])
        == "the driver wants 614,400 bytes, the chunk has 589,824"
    )


def test_only_the_planes_that_are_too_small_are_named() -> None:
    text = buffer_refused(errno.EINVAL, [8192, 4096, 4096], [8192, 2048, 1024])
    assert text == (
        "plane 1: the driver wants 4,096 bytes, the chunk has 2,048;"
        " plane 2: the driver wants 4,096 bytes, the chunk has 1,024"
    )


def test_a_wrong_number_of_planes_is_named() -> None:
    text = buffer_refused(errno.EINVAL, [4096, 4096], [4096])
    assert text == "the driver wants 2 planes, 1 chunks were given"


def test_chunks_that_are_large_enough_are_not_blamed() -> None:
    assert buffer_refused(errno.EINVAL, [4096], [4096]) == ""
    assert "map the chunk" in buffer_refused(errno.EFAULT, [4096], [4096])


def test_an_error_keeps_errno_and_says_device_deed_and_hint() -> None:
    error = VideoError(errno.EBUSY, "/dev/video0", "set the format", "somebody streams")
    assert isinstance(error, OSError)
    assert error.errno == errno.EBUSY
    assert str(error) == "/dev/video0: set the format: Device or resource busy: somebody streams"


def test_a_format_that_differs_is_named_with_the_choices() -> None:
    assert format_differs("640x480 RGB3", "640x480 YUYV", ["YUYV", "GREY"]) == (
        "asked for 640x480 RGB3, the nearest it offers is 640x480 YUYV;"
        " its pixel formats are YUYV, GREY"
    )
