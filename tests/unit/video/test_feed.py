# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Images put in, packets out, by loops that wait and by asyncio's; of a codec that is data."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
from cm_agent.video.converter import Converter
from cm_agent.video.encoder import Encoder
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format, PlaneFormat
from cm_agent.video.packets import Packet
from unit.core.memfd_buffer import MemfdBuffer
from unit.video.test_output_buffers import Loan
from unit.video.video_data import DataDevice

GREY = Format(4, 2, "GREY", (PlaneFormat(8, 4),))
CODED = Format(4, 2, "FWHT", (PlaneFormat(64, 0),))


class MemfdContext:
    """A context whose chunks are of ordinary memory."""

    def __init__(self) -> None:
        self.chunks: list[MemfdBuffer] = []

    def alloc(self, size: int, *, deadline: float | None = None, name: str = "") -> MemfdBuffer:
        """Make a chunk."""
        self.chunks.append(MemfdBuffer.holding(bytes(size)))
        return self.chunks[-1]


class Codec(DataDevice):
    """A codec that makes a packet of each image when it is waited for."""

    def __init__(self) -> None:
        super().__init__(CODED, GREY)
        self.stopping = False
        self.most = 0

    def wait(self, timeout: float) -> bool:
        """Make one."""
        self.most = max(self.most, len(self.output.queued))
        if not self.output.queued:
            if self.stopping:
                self.capture.hand_back(used=0, last=True)
                self.stopping = False
                return True
            return False
        _, buffers, payloads, _ = self.output.queued[0]
        with buffers[0].cpu_access() as view:
            content = view[: payloads[0].bytes_used].tobytes()
        with self.capture.queued[0][1][0].cpu_access("w") as view:
            view[: len(content)] = content
        self.convert(used=len(content))
        return True

    async def wait_async(self, timeout: float) -> bool:
        """Make one."""
        await asyncio.sleep(0)
        return self.wait(timeout)

    def command_encoder(self, command: int) -> None:
        """End when all is out."""
        self.stopping = True


@pytest.fixture
def codec() -> Codec:
    return Codec()


@pytest.fixture
def encoder(codec: Codec) -> Iterator[Encoder]:
    context = MemfdContext()
    pool: Any = context
    with Encoder(cast(Any, codec), pool, format="GREY", fps=50, inputs=2, buffers=2) as encoder:
        yield encoder
    assert not any(context.chunks), "all are closed"


def image(number: int) -> bytes:
    return bytes([number]) * 8


def test_every_image_is_a_packet_in_order_with_its_time(encoder: Encoder) -> None:
    packets = list(encoder.encode(image(number) for number in range(5)))
    assert [packet.data for packet in packets] == [image(number) for number in range(5)]
    assert [packet.pts * packet.time_base * 50 for packet in packets] == [0, 1, 2, 3, 4]


def test_the_time_of_an_image_is_its_own_and_counted_from_the_first(encoder: Encoder) -> None:
    times = iter((7_000_000, 9_000_000))
    encoder.put(image(0), next(times))
    encoder.put(image(1), next(times))
    encoder.drain()
    frames = [encoder.get(), encoder.get()]
    assert [frame.timestamp_ns for frame in frames if frame] == [7_000_000, 9_000_000]


def test_no_more_is_inside_than_the_device_takes(codec: Codec, encoder: Encoder) -> None:
    assert len(list(encoder.encode(map(image, range(9))))) == 9
    assert codec.most == 2


def test_async_for_takes_what_comes_asynchronously(encoder: Encoder) -> None:
    async def images() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(0)
            yield image(number)

    async def main(source: Any) -> list[Packet]:
        return [packet async for packet in encoder.encode(source)]

    assert [packet.data[0] for packet in asyncio.run(main(images()))] == [0, 1, 2]
    assert [packet.data[0] for packet in asyncio.run(main(map(image, range(2))))] == [0, 1]


def test_an_error_of_the_source_comes_after_the_packets_of_what_was_before(
    encoder: Encoder,
) -> None:
    def images() -> Iterator[bytes]:
        yield from map(image, range(3))
        raise LookupError("unplugged")

    packets, got = encoder.encode(images()), []
    with pytest.raises(LookupError, match="unplugged"):
        for packet in packets:
            got.append(packet.data[0])
    assert got == [0, 1, 2]


def test_so_does_that_of_an_image_which_does_not_fit_and_its_number(encoder: Encoder) -> None:
    got = []
    with pytest.raises(ValueError, match="input 1: 7 bytes: no image of 4x2 GREY"):
        for packet in encoder.encode([image(0), bytes(7), image(2)]):
            got.append(packet.data[0])
    assert got == [0]


def test_a_loop_that_is_left_forgets_what_is_inside(encoder: Encoder) -> None:
    for packet in encoder.encode(map(image, range(10, 20))):
        assert packet.data == image(10)
        break
    assert not encoder.output_buffers.frames
    assert [packet.data[0] for packet in encoder.encode(map(image, range(2)))] == [0, 1]


def test_a_codec_that_was_drained_begins_again(encoder: Encoder) -> None:
    for _ in range(2):
        assert len(list(encoder.encode(map(image, range(3))))) == 3


def test_of_two_loops_the_earlier_one_has_an_error(encoder: Encoder) -> None:
    first = encoder.encode(map(image, range(9)))
    next(first)
    second = encoder.encode(map(image, range(3)))
    assert next(second).data == image(0)
    with pytest.raises(VideoError, match="another loop has begun") as caught:
        next(first)
    assert caught.value.errno == errno.EBUSY
    first.close()
    assert [packet.data[0] for packet in second] == [1, 2]


def test_a_camera_that_waits_for_its_frames_is_not_asked_for_another(
    codec: Codec, encoder: Encoder
) -> None:
    chunks = [MemfdBuffer.holding(image(number)) for number in range(3)]
    loans = [Loan(number, format=GREY, chunk=chunk) for number, chunk in enumerate(chunks)]

    def images() -> Iterator[Any]:
        for loan in loans:
            loan.awaits_frames = True
            assert not encoder.output_buffers.busy, "asking would block for ever"
            yield loan.frame
            loan.frame.end()

    assert len(list(encoder.encode(images()))) == 3
    assert codec.most == 1 and all(loan.back for loan in loans)
    for chunk in chunks:
        chunk.close()


def test_frames_in_error_are_not_put_in(encoder: Encoder) -> None:
    bad = Loan(1, format=GREY)
    object.__setattr__(bad.frame.filled, "error", True)
    assert [packet.data[0] for packet in encoder.encode([bad.frame, image(5)])] == [5]


@pytest.mark.parametrize("images", [7, b"12345678", None, "text"])
def test_what_is_no_iterable_of_images_is_refused_at_once(encoder: Encoder, images: Any) -> None:
    with pytest.raises(TypeError, match=r"an iterable is wanted.*a list of it"):
        encoder.encode(images)


def test_a_device_that_does_nothing_is_an_error_and_nothing_stays_inside(
    codec: Codec, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "wait", lambda timeout: False)
    with pytest.raises(VideoError, match=r"nothing came out within 0\.1 s"):
        next(encoder.encode(map(image, range(3)), timeout=0.1))
    assert not encoder.output_buffers.frames


def test_without_a_command_to_drain_the_results_are_counted(
    codec: Codec, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(number: int) -> None:
        raise VideoError(errno.ENOTTY, "/dev/video9", "command the encoder")

    monkeypatch.setattr(codec, "command_encoder", command)
    assert len(list(encoder.encode(map(image, range(4))))) == 4


def test_a_converter_lends_each_result_until_the_next_step() -> None:
    codec: Any = Codec()
    codec.capture.format = GREY
    pool: Any = MemfdContext()
    with Converter(codec, pool, format="GREY", inputs=2, buffers=2) as converter:
        seen, last = [], None
        for frame in converter.convert(map(image, range(4))):
            assert frame and not last
            seen.append(frame.copy()[0])
            last = frame
        assert seen == [0, 1, 2, 3] and not last
