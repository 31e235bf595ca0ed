# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Chunks for a capture queue: who has them, where they are queued, when they are closed."""

from typing import Any, cast

import pytest
from cm_agent.core.errors import AllocationError
from cm_agent.video.capture_buffers import CaptureBuffers
from unit.video.video_data import RAW, DataContext, DataQueue


def made(queue: DataQueue, context: DataContext, count: int = 2, **named: Any) -> CaptureBuffers:
    return CaptureBuffers(cast(Any, queue), cast(Any, context), count, **named)


@pytest.fixture
def queue() -> DataQueue:
    return DataQueue("capture", RAW, [])


@pytest.fixture
def context() -> DataContext:
    return DataContext()


def test_chunks_are_as_large_as_the_driver_says(queue: DataQueue, context: DataContext) -> None:
    queue.granted = 3
    made(queue, context)
    assert [chunk.size for chunk in context.chunks] == [RAW.planes[0].size] * 3


def test_what_was_begun_is_undone_when_there_is_no_room(queue: DataQueue) -> None:
    context = DataContext(room=1)
    with pytest.raises(AllocationError, match=r"; 1 of 2 buffers of 450 KiB each were had by then"):
        made(queue, context)
    assert queue.log == ["capture buffers 2", "capture released"]
    assert not context.open


def test_a_frame_on_loan_is_not_queued_until_it_ends(
    queue: DataQueue, context: DataContext
) -> None:
    fill = made(queue, context)
    fill.start()
    queue.hand_back()
    frame = fill.take()
    assert frame is not None and len(queue.queued) == 1
    frame.end()
    assert [(index, list(chunks)) for index, chunks, _, _ in queue.queued] == [
        (1, [context.chunks[1]]),
        (0, [context.chunks[0]]),
    ]
    frame.end()
    assert len(queue.queued) == 2, "once"


def test_a_spare_takes_the_place_of_a_chunk_on_loan(queue: DataQueue, context: DataContext) -> None:
    fill = made(queue, context, 1, extra=1)
    fill.start()
    queue.hand_back()
    assert fill.take() is not None
    ((index, chunks, _, _),) = queue.queued
    assert (index, list(chunks)) == (0, [context.chunks[1]])


def test_the_last_buffer_is_no_frame_when_it_is_empty(
    queue: DataQueue, context: DataContext
) -> None:
    fill = made(queue, context)
    fill.start()
    queue.hand_back(used=0, last=True)
    assert fill.take() is None
    assert fill.ended and not fill.busy


def test_the_last_buffer_is_a_frame_when_it_has_data(
    queue: DataQueue, context: DataContext
) -> None:
    fill = made(queue, context)
    fill.start()
    queue.hand_back(used=5, last=True)
    frame = fill.take()
    assert frame is not None and frame.bytes_used == 5
    assert fill.ended and fill.take() is None


def test_it_goes_on_with_all_chunks_after_the_end(queue: DataQueue, context: DataContext) -> None:
    fill = made(queue, context)
    fill.start()
    queue.hand_back(used=0, last=True)
    fill.take()
    fill.start()
    assert not fill.ended and len(queue.queued) == 2


def test_closing_closes_all_chunks(queue: DataQueue, context: DataContext) -> None:
    fill = made(queue, context)
    fill.start()
    queue.hand_back()
    frame = fill.take()
    fill.close()
    assert not context.open
    assert queue.log[-2:] == ["capture off", "capture released"]
    assert frame is not None
    frame.end()


def test_chunks_on_loan_may_outlive_it(queue: DataQueue, context: DataContext) -> None:
    fill = made(queue, context)
    fill.start()
    queue.hand_back()
    frame = fill.take()
    fill.close(recall=False)
    assert context.open == [context.chunks[0]]
    assert frame is not None
    frame.end()
    assert not context.open


def test_a_frame_in_error_without_data_is_a_frame(queue: DataQueue, context: DataContext) -> None:
    fill = made(queue, context)
    fill.start()
    queue.hand_back(used=0, error=True)
    frame = fill.take()
    assert frame is not None and frame.error


def test_frames_in_error_are_counted(queue: DataQueue, context: DataContext) -> None:
    fill = made(queue, context)
    fill.start()
    queue.hand_back(error=True)
    fill.take()
    assert (fill.counters.frames, fill.counters.errors) == (1, 1)
