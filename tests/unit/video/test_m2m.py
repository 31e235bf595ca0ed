# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Encoders, decoders and converters of a device that is data: order of calls, drain, changes."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import Any, cast

import pytest
from cm_agent.core.errors import AllocationError
from cm_agent.video.converter import Converter
from cm_agent.video.decoder import Decoder
from cm_agent.video.encoder import Encoder
from cm_agent.video.error import VideoError
from cm_agent.video.format import PlaneFormat
from cm_agent.video.frame import Frame
from unit.video.test_output_buffers import Loan
from unit.video.video_data import CODED, RAW, DataContext, DataDevice

HD = replace(RAW, width=1280, height=720, planes=(PlaneFormat(1_382_400, 1280),))


@pytest.fixture
def context() -> DataContext:
    return DataContext()


def encoder(device: DataDevice, context: DataContext) -> Encoder:
    return Encoder(
        cast(Any, device), cast(Any, context), format=RAW, to="FWHT", inputs=2, buffers=2
    )


def decoder(device: DataDevice, context: DataContext) -> Decoder:
    return Decoder(cast(Any, device), cast(Any, context), format=CODED, inputs=2, buffers=2)


def converter(device: DataDevice, context: DataContext) -> Converter:
    return Converter(cast(Any, device), cast(Any, context), format=RAW, inputs=2, buffers=2)


def taken(frame: Frame | None) -> Frame:
    assert frame is not None
    return frame


def test_an_encoder_is_asked_for_its_coded_format_first(context: DataContext) -> None:
    device = DataDevice(CODED, RAW)
    encoder(device, context)
    assert device.log == [
        "capture format",
        "output format",
        "capture buffers 2",
        "output buffers 2",
        "output on",
        "capture on",
    ]


def test_room_for_coded_images_is_asked_for_when_their_format_will_not_change(
    context: DataContext,
) -> None:
    device = DataDevice(CODED, RAW)
    Encoder(cast(Any, device), cast(Any, context), format=RAW, to="FWHT", coded_size=2_000_000)
    assert device.log[:3] == ["capture format", "output format", "capture format"]


def test_a_decoder_is_asked_for_its_coded_format_first(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    decoder(device, context)
    assert device.log == ["output format", "output buffers 2", "output on"]


def test_rows_at_other_distances_are_refused_with_both_numbers(context: DataContext) -> None:
    padded = replace(RAW, planes=(PlaneFormat(500_000, 672),))
    device = DataDevice(CODED, padded)
    with pytest.raises(VideoError, match="640x480 YU12 672 bytes apart, those it is fed are 640"):
        encoder(device, context)
    assert not context.open


@pytest.mark.parametrize("able", ["memory_to_memory", "streaming"])
def test_a_device_that_cannot_be_fed_is_refused(context: DataContext, able: str) -> None:
    device = DataDevice(CODED, RAW)
    device.capabilities = replace(device.capabilities, **cast(Any, {able: False}))
    with pytest.raises(VideoError) as caught:
        encoder(device, context)
    assert caught.value.errno == errno.EOPNOTSUPP


def test_what_comes_out_has_the_timestamp_of_what_went_in(context: DataContext) -> None:
    device = DataDevice(CODED, RAW)
    stage = encoder(device, context)
    stage.put(Loan(1, time=5000).frame)
    device.convert(used=77)
    frame = taken(stage.get())
    assert (frame.timestamp_ns, frame.bytes_used) == (5000, 77)


def test_nothing_comes_out_of_nothing(context: DataContext) -> None:
    with pytest.raises(VideoError, match="was enough put in") as caught:
        encoder(DataDevice(CODED, RAW), context).get(timeout=0)
    assert caught.value.errno == errno.ETIMEDOUT


def test_an_encoder_drains_until_its_last_buffer(context: DataContext) -> None:
    device = DataDevice(CODED, RAW)
    stage = encoder(device, context)
    stage.put(Loan(1).frame)
    stage.drain()
    assert device.log[-1] == "encoder 1" and not stage.ended
    device.convert(last=True)
    taken(stage.get()).end()
    assert stage.ended and stage.get() is None


def test_flushing_gives_back_what_was_put_in(context: DataContext) -> None:
    device = DataDevice(CODED, RAW)
    stage = encoder(device, context)
    loan = Loan(1)
    stage.put(loan.frame)
    loan.frame.end()
    stage.flush()
    assert loan.back and stage.take() is None
    assert len(device.capture.queued) == 2
    assert device.log[-4:] == ["output off", "capture off", "output on", "capture on"]


def test_closing_closes_its_own_chunks_and_gives_the_others_back(context: DataContext) -> None:
    loan = Loan(1)
    with encoder(DataDevice(CODED, RAW), context) as stage:
        stage.put(loan.frame)
        loan.frame.end()
    assert loan.back and not context.open


def test_a_decoder_allocates_when_it_knows_the_size(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    stage.put(Loan(1, format=CODED).frame)
    assert stage.take() is None and not context.chunks
    device.changed = True
    stage.take()
    sizes = [chunk.size for chunk in context.chunks]
    assert sizes == [RAW.planes[0].size] * 3, "as many as the driver wants at least"
    assert stage.visible == (640, 480)
    device.convert()
    assert taken(stage.take()).format == RAW


def test_a_decoder_that_reports_no_changes_is_set_up_at_once(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    device.reports_changes = False
    decoder(device, context)
    assert len(context.chunks) == 3


def test_a_change_of_size_replaces_the_chunks_but_for_those_on_loan(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    device.changed = True
    stage.take()
    stage.put(Loan(1, format=CODED).frame)
    device.convert()
    old = taken(stage.take())
    device.changed, device.capture.format = True, HD
    device.capture.hand_back(used=0, last=True)
    assert stage.take() is None
    assert not stage.ended and stage.source_changes == 2
    assert [chunk.size for chunk in context.open] == [460_800] + [1_382_400] * 3
    old.end()
    assert [chunk.size for chunk in context.open] == [1_382_400] * 3


def test_images_from_before_a_change_come_first(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    device.changed = True
    stage.take()
    device.changed, device.capture.format = True, HD
    device.capture.hand_back(used=460_800)
    device.capture.hand_back(used=0, last=True)
    assert taken(stage.take()).format == RAW and stage.source_changes == 1
    assert stage.take() is None and stage.source_changes == 2


def test_the_last_image_before_a_change_is_delivered(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    device.changed = True
    stage.take()
    device.changed, device.capture.format = True, HD
    device.capture.hand_back(used=460_800, last=True)
    frame = taken(stage.take())
    assert frame.format == RAW and not stage.ended
    assert stage.take() is None and stage.buffers[0][0].size == 1_382_400
    assert not cast(Any, frame.buffer).closed


def test_a_decoder_drains_once_it_is_set_up(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    stage.put(Loan(1, format=CODED).frame)
    stage.drain()
    assert "decoder 1" not in device.log and not stage.ended
    device.changed = True
    stage.take()
    assert device.log[-1] == "decoder 1"
    device.convert(last=True)
    taken(stage.take())
    assert stage.ended


def test_a_drain_goes_on_after_a_change(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    device.changed = True
    stage.take()
    stage.drain()
    device.changed, device.capture.format = True, HD
    device.capture.hand_back(used=0, last=True)
    stage.take()
    assert device.log.count("decoder 1") == 2


def test_a_decoder_that_drains_already_is_not_asked_twice(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    device.changed, device.busy = True, True
    stage.take()
    stage.drain()
    assert not stage.ended


def test_a_stream_without_a_header_ends_when_it_was_read(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    stage.put(Loan(1, format=CODED).frame)
    stage.drain()
    device.output.hand_back()
    assert stage.take() is None and stage.ended


def test_a_converter_has_ended_when_as_much_came_out_as_was_put_in(context: DataContext) -> None:
    device = DataDevice(RAW, RAW)
    stage = converter(device, context)
    stage.put(Loan(1).frame)
    stage.drain()
    assert not stage.ended
    device.convert()
    taken(stage.take())
    assert stage.ended


def test_a_converter_that_was_flushed_owes_nothing(context: DataContext) -> None:
    stage = converter(DataDevice(RAW, RAW), context)
    stage.put(Loan(1).frame)
    stage.flush()
    stage.drain()
    assert stage.ended


def test_a_decoder_whose_memory_came_too_late_goes_on_where_it_was() -> None:
    context = DataContext(room=2)
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    device.changed = True
    for _ in range(2):
        with pytest.raises(AllocationError):
            stage.take()
    context.room = 3
    assert stage.take() is None and len(context.open) == 3


def test_flushing_a_decoder_looks_for_a_change_before_its_chunks_are_queued(
    context: DataContext,
) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    device.changed = True
    stage.take()
    device.changed, device.capture.format = True, HD
    device.capture.refuses = {RAW.planes[0].size}
    stage.flush()
    assert [chunk.size for chunk in context.open] == [1_382_400] * 3


def test_a_decoder_passes_over_packets_without_bytes(context: DataContext) -> None:
    stage = decoder(DataDevice(RAW, CODED), context)
    stage.put(b"")
    assert not stage.output_buffers.frames


def test_a_decoder_drains_a_second_time_after_a_flush(context: DataContext) -> None:
    device = DataDevice(RAW, CODED)
    stage = decoder(device, context)
    device.changed = True
    stage.take()
    stage.drain()
    stage.flush()
    stage.drain()
    assert device.log.count("decoder 1") == 2


def test_a_device_that_is_gone_gives_back_what_it_had(context: DataContext) -> None:
    def gone() -> None:
        raise VideoError(errno.ENODEV, "/dev/video9", "stop the output queue")

    device = DataDevice(CODED, RAW)
    loan, stage = Loan(1), encoder(device, context)
    stage.put(loan.frame)
    loan.frame.end()
    device.output.stream_off = gone  # type: ignore[method-assign]
    with pytest.raises(VideoError):
        stage.close()
    assert loan.back and not context.open
