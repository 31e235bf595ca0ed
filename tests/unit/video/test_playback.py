# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Images from a file, chunk by chunk."""

import io
from contextlib import closing
from typing import Any, cast

import pytest
from cm_agent.video.format import Format, PlaneFormat
from cm_agent.video.playback import Playback
from unit.core.memfd_buffer import MemfdBuffer

SHAPE = Format(4, 1, "NM12", (PlaneFormat(4, 4), PlaneFormat(2, 4)))


class MemfdContext:
    """A context whose chunks are a page of nothing."""

    def alloc(self, size: int, *, name: str) -> MemfdBuffer:
        """Make one."""
        return MemfdBuffer.holding(bytes(4096))


def playback(data: bytes, count: int = 2) -> Playback:
    return Playback(io.BytesIO(data), cast(Any, MemfdContext()), SHAPE, count)


def test_an_image_is_read_plane_by_plane() -> None:
    with closing(playback(b"YYYYuvWWWWst")) as source:
        for luma, chroma in ((b"YYYY", b"uv"), (b"WWWW", b"st")):
            frame = source.take()
            assert frame is not None
            assert (frame.copy(0), frame.copy(1)) == (luma, chroma)


def test_images_have_timestamps_of_their_own() -> None:
    with closing(playback(bytes(12))) as source:
        frames = [source.take(), source.take()]
        assert len({frame.timestamp_ns for frame in frames if frame}) == 2


def test_there_is_none_while_all_chunks_are_on_loan() -> None:
    with closing(playback(bytes(12), count=1)) as source:
        frame = source.take()
        assert frame is not None and source.take() is None
        frame.release()
        assert source.take() is not None


def test_what_was_read_counts_as_copied() -> None:
    with closing(playback(bytes(6))) as source:
        source.take()
        assert source.counters.bytes_copied == 6


def test_the_end_of_the_file_is_told_with_numbers() -> None:
    with closing(playback(bytes(9))) as source:
        source.take()
        with pytest.raises(EOFError, match="image 1 has 3 bytes of 4"):
            source.take()
