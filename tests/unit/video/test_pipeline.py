# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Frames go from device to device, and back to where they came from; of devices that are data."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cm_agent.video.error import VideoError
from cm_agent.video.format import Filled, Payload
from cm_agent.video.frame import Counters, Frame
from cm_agent.video.pipeline import Pipeline, Watcher
from unit.video.video_data import CODED, PATH, RAW, DataChunk


class DataStage:
    """A device that makes one frame of one, some steps later, in one chunk of its own each."""

    awaits_frames = False

    class Feed:
        """Its output queue: so many frames at a time."""

        def __init__(self, room: int) -> None:
            self.room, self.inside = room, cast(list[Frame], [])

        @property
        def free(self) -> int:
            """Count what can be put in."""
            return self.room - len(self.inside)

        @property
        def busy(self) -> bool:
            """There is something to read."""
            return bool(self.inside)

    def __init__(self, number: int, room: int = 2, damage: frozenset[int] = frozenset()) -> None:
        self.number, self.damage = number, damage
        self.output_buffers = self.Feed(room)
        self.device = cast(Any, type("Device", (), {"path": PATH, "fileno": lambda self: -1})())
        self.drained = self.stuck = False
        self.out: set[int] = set()
        self.shift = 0

    @property
    def busy(self) -> bool:
        """It will make something."""
        return self.output_buffers.busy

    @property
    def ended(self) -> bool:
        """It was drained and is empty."""
        return self.drained and not self.output_buffers.inside

    def put(self, frame: Frame) -> None:
        """Take a frame in."""
        assert self.output_buffers.free and not self.drained
        self.output_buffers.inside.append(frame.dup())

    def take(self) -> Frame | None:
        """Make a frame of the oldest."""
        if not self.output_buffers.inside or self.stuck:
            return None
        source = self.output_buffers.inside.pop(0)
        time = source.timestamp_ns
        source.end()
        self.out.add(time)
        filled = Filled(0, (Payload(1, 0),), 0, time + self.shift, error=time in self.damage)
        chunk = cast(Any, DataChunk(time, 1))
        return Frame((chunk,), filled, CODED, Counters(), self)

    def take_back(self, planes: Any) -> None:
        """Note that a frame came back."""
        self.out.discard(planes[0].id)

    def drain(self) -> None:
        """Note it."""
        assert not self.drained
        self.drained = True


class DataSource:
    """A camera with so many buffers, whose frames are numbered from 1."""

    device = None
    awaits_frames = False

    def __init__(self, buffers: int = 3) -> None:
        self.buffers, self.taken = buffers, 0
        self.out: set[int] = set()
        self.most = 0

    def take_back(self, planes: Any) -> None:
        """Note that a frame came back."""
        self.out.discard(planes[0].id)

    def start(self) -> None:
        """Nothing to do."""

    def take(self) -> Frame | None:
        """Take the next, if there is a buffer."""
        if len(self.out) == self.buffers:
            return None
        self.taken += 1
        number = self.taken
        self.out.add(number)
        self.most = max(self.most, len(self.out))
        filled = Filled(0, (Payload(1, 0),), number, number, error=False)
        chunk = cast(Any, DataChunk(number, 1))
        return Frame((chunk,), filled, RAW, Counters(), self)


class Notes(Watcher):
    """Write down what comes and goes."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def filled(self, link: int, frame: Frame) -> None:
        """Note it."""
        self.seen.append(("filled", link, frame.timestamp_ns))

    def queued(self, link: int, frame: Frame) -> None:
        """Note it."""
        self.seen.append(("queued", link, frame.timestamp_ns))


def pipeline(source: DataSource, stages: list[DataStage], **named: Any) -> Pipeline:
    return Pipeline(source, cast(Any, stages), **named)


def test_every_image_comes_out_with_its_source_and_in_order() -> None:
    source, stages = DataSource(), [DataStage(0), DataStage(1)]
    results = [
        (result.source.timestamp_ns, result.frame.timestamp_ns, result.source.format)
        for result in pipeline(source, stages).run(20)
    ]
    assert results == [(number, number, RAW) for number in range(1, 21)]


class LateEnd(DataStage):
    """A device that says that it has ended by a last buffer, some time later and without image."""

    def __init__(self, number: int, ready: int) -> None:
        super().__init__(number)
        self.device = cast(Any, SimpleNamespace(path=PATH, fileno=lambda: ready))
        self.asked = 0

    @property
    def busy(self) -> bool:
        """There will be a last buffer."""
        return not self.ended

    @property
    def ended(self) -> bool:
        """It was asked twice when there was nothing more."""
        return self.asked > 1

    def take(self) -> Frame | None:
        """Make a frame of the oldest."""
        frame = super().take()
        self.asked += self.drained and frame is None
        return frame


@pytest.mark.parametrize("late", [0, 1])
def test_a_device_may_end_without_a_last_image(late: int) -> None:
    with os.fdopen(os.eventfd(1), "rb") as ready:
        stages = [DataStage(0), DataStage(1)]
        stages[late] = LateEnd(late, ready.fileno())
        assert sum(1 for _ in pipeline(DataSource(), stages).run(5)) == 5


def test_all_goes_back_to_where_it_came_from() -> None:
    source, stages = DataSource(), [DataStage(0), DataStage(1)]
    for _ in pipeline(source, stages).run(5):
        pass
    assert not source.out and not any(stage.out for stage in stages)
    assert all(stage.ended for stage in stages)


def test_images_are_under_way_side_by_side() -> None:
    source = DataSource(buffers=3)
    list(pipeline(source, [DataStage(0), DataStage(1)]).run(10))
    assert source.most > 1


def test_a_window_of_one_lets_one_image_be_under_way() -> None:
    source = DataSource(buffers=3)
    list(pipeline(source, [DataStage(0), DataStage(1)], window=1).run(10))
    assert source.most == 1


def test_a_device_is_given_no_more_than_it_takes() -> None:
    stages = [DataStage(0, room=4), DataStage(1, room=1)]
    assert sum(1 for _ in pipeline(DataSource(buffers=8), stages).run(20)) == 20


def test_watchers_see_every_hand_over_in_turn() -> None:
    notes = Notes()
    list(pipeline(DataSource(), [DataStage(0)], window=1, watchers=[notes]).run(2))
    assert notes.seen == [
        ("filled", 0, 1),
        ("queued", 0, 1),
        ("filled", 1, 1),
        ("filled", 0, 2),
        ("queued", 0, 2),
        ("filled", 1, 2),
    ]


def test_a_frame_in_error_goes_no_further_and_back() -> None:
    source, notes = DataSource(), Notes()
    stages = [DataStage(0, damage=frozenset({2})), DataStage(1)]
    seen = [it.frame.timestamp_ns for it in pipeline(source, stages, watchers=[notes]).run(3)]
    assert seen == [1, 3]
    assert not source.out and not stages[0].out
    assert ("filled", 1, 2) not in notes.seen


def test_a_reader_that_stops_early_gives_all_back() -> None:
    source, stages = DataSource(), [DataStage(0), DataStage(1)]
    results = pipeline(source, stages).run(20)
    next(results)
    results.close()
    inside = {frame.timestamp_ns for frame in stages[0].output_buffers.inside}
    assert source.out == inside, "a device's own are given back when it is closed"


def test_a_device_that_makes_nothing_is_named() -> None:
    stage = DataStage(0)
    stage.stuck = True
    with pytest.raises(VideoError, match=r"/dev/video9: nothing came out.* 2 images") as caught:
        list(pipeline(DataSource(buffers=2), [stage]).run(5, timeout=0))
    assert caught.value.errno == errno.ETIMEDOUT


def test_a_device_that_loses_timestamps_is_refused() -> None:
    stage = DataStage(0)
    stage.shift = 1000
    with pytest.raises(VideoError, match="did not hand on the timestamp"):
        list(pipeline(DataSource(), [stage]).run(1))


def test_a_camera_alone_is_no_pipeline() -> None:
    with pytest.raises(ValueError, match="at least one device"):
        pipeline(DataSource(), [])
