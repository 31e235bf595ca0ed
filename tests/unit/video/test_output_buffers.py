# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames that a driver reads stay on loan until it has read them."""

from typing import Any, cast

import pytest
from cm_agent.core.buffer import Buffer
from cm_agent.video.error import VideoError
from cm_agent.video.format import Filled, Format, Payload
from cm_agent.video.frame import Counters, Frame
from cm_agent.video.output_buffers import OutputBuffers
from unit.video.video_data import RAW, DataChunk, DataContext, DataQueue


class Loan:
    """A frame, and whether it went back."""

    awaits_frames = False

    def __init__(
        self, id: int, time: int = 7, format: Format = RAW, chunk: Buffer | None = None
    ) -> None:
        used = chunk.size if chunk else 460_800
        filled = Filled(0, (Payload(used, 0),), 0, time, error=False)
        chunks = cast(Any, (chunk or DataChunk(id, 462_848),))
        self.back = False
        self.frame = Frame(chunks, filled, format, Counters(), self)

    def take_back(self, planes: object) -> None:
        """Note that it came back."""
        self.back = True


@pytest.fixture
def queue() -> DataQueue:
    return DataQueue("output", RAW, [])


@pytest.fixture
def output_buffers(queue: DataQueue) -> OutputBuffers:
    output_buffers = OutputBuffers(cast(Any, queue), 2, cast(Any, DataContext()))
    output_buffers.start()
    return output_buffers


def test_what_is_handed_in_says_where_its_data_lies_and_when_it_was_taken(
    queue: DataQueue, output_buffers: OutputBuffers
) -> None:
    loan = Loan(1, time=42_000)
    output_buffers.put(loan.frame, 42_000)
    assert queue.queued == [(0, loan.frame.buffers, (Payload(460_800, 0),), 42_000)]


def test_a_frame_goes_back_when_it_was_read_and_released(
    queue: DataQueue, output_buffers: OutputBuffers
) -> None:
    loan = Loan(1)
    output_buffers.put(loan.frame, 7)
    loan.frame.end()
    assert not loan.back
    queue.hand_back()
    output_buffers.collect()
    assert loan.back and output_buffers.free == 2


def test_a_frame_that_is_refused_is_not_kept(
    queue: DataQueue, output_buffers: OutputBuffers
) -> None:
    loan = Loan(1)
    queue.refuses = {462_848}
    with pytest.raises(VideoError):
        output_buffers.put(loan.frame, 7)
    assert output_buffers.free == 2
    loan.frame.end()
    assert loan.back


def test_there_is_room_for_as_many_as_the_driver_takes(output_buffers: OutputBuffers) -> None:
    for number in range(2):
        output_buffers.put(Loan(number).frame, 7)
    assert output_buffers.free == 0
    with pytest.raises(IndexError):
        output_buffers.put(Loan(2).frame, 7)


def test_stopping_gives_back_what_was_not_read(
    queue: DataQueue, output_buffers: OutputBuffers
) -> None:
    loans = [Loan(1), Loan(2)]
    for loan in loans:
        output_buffers.put(loan.frame, 7)
        loan.frame.end()
    output_buffers.close()
    assert all(loan.back for loan in loans)
    assert queue.log[-2:] == ["output off", "output released"]
