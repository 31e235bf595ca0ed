# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Images put in, packets out, by loops that wait and by asyncio's; of a codec that is data."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cm_agent.core.errors import ClosedError
from cm_agent.video.converter import Converter
from cm_agent.video.encoder import Encoder
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format, PlaneFormat
from cm_agent.video.frames import Frames
from cm_agent.video.packets import Packet, Packets
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
    chunks = [MemfdBuffer.holding(image(number)) for number in range(2)]
    loans = [Loan(1, 7_000_000, GREY, chunks[0]), Loan(2, 9_000_000, GREY, chunks[1])]
    packets = list(encoder.encode(loan.frame for loan in loans))
    assert [packet.timestamp_ns for packet in packets] == [7_000_000, 9_000_000]
    assert [packet.pts for packet in packets] == [0, 2000]
    for chunk in chunks:
        chunk.close()


def test_a_time_that_is_given_is_the_images_in_microseconds(encoder: Encoder) -> None:
    encoder.put(image(0), 1_234_567)
    with MemfdBuffer.holding(image(1)) as chunk:
        loan = Loan(2, format=GREY, chunk=chunk)
        encoder.put(loan.frame, 9_000_000)
        frames = [encoder.get(), encoder.get()]
        assert [frame.timestamp_ns for frame in frames if frame] == [1_234_000, 9_000_000]


class Timed(bytes):
    """A packet as PyAV has it."""

    pts, time_base = 3, Fraction(1, 10)


def test_the_time_of_a_packet_of_pyav_is_its_images(encoder: Encoder) -> None:
    (packet,) = encoder.encode([Timed(image(1))])
    assert packet.timestamp_ns == 300_000_000


def test_a_packet_of_data_in_error_says_so(codec: Codec, encoder: Encoder) -> None:
    encoder.put(image(0))
    codec.wait(1)
    object.__setattr__(codec.capture.done[0], "error", True)
    (packet,) = [packet for packet in Packets(Frames(encoder, 1, limit=1), lambda: 0)]
    assert packet.error


def test_a_step_that_is_cancelled_loses_no_image(encoder: Encoder) -> None:
    async def images() -> AsyncIterator[bytes]:
        for number in range(4):
            await asyncio.sleep(0.02)
            yield image(number)

    async def main() -> list[int]:
        got: list[int] = []
        cancelled = 0
        packets = encoder.encode(images())
        while True:
            try:
                packet = await asyncio.wait_for(anext(packets), 0.005)
            except TimeoutError:
                cancelled += 1
            except StopAsyncIteration:
                assert cancelled > 3
                return got
            else:
                got.append(packet.data[0])

    assert asyncio.run(main()) == [0, 1, 2, 3]


def test_an_iterator_that_was_closed_or_is_exhausted_has_no_more(encoder: Encoder) -> None:
    closed, exhausted = encoder.encode([image(0)]), encoder.encode([image(1)])
    closed.close()
    assert next(closed, None) is None
    assert len(list(exhausted)) == 1
    list(encoder.encode([image(2)]))
    assert next(exhausted, None) is None


def test_what_is_put_in_by_hand_is_not_forgotten_with_an_old_loop(encoder: Encoder) -> None:
    old = encoder.encode(map(image, range(9)))
    next(old)
    encoder.flush()
    encoder.put(image(7))
    del old
    assert len(encoder.output_buffers.frames) == 1


def test_nothing_is_put_in_after_a_drain(encoder: Encoder) -> None:
    encoder.put(image(0))
    encoder.drain()
    with pytest.raises(VideoError, match=r"it drains: flush\(\) it"):
        encoder.put(image(1))


def test_more_than_the_device_takes_at_a_time_is_refused_with_the_number(encoder: Encoder) -> None:
    encoder.put(image(0))
    encoder.put(image(1))
    with pytest.raises(IndexError, match="all 2 buffers of the output queue are with the device"):
        encoder.put(image(2))


def test_buffers_of_another_number_than_the_planes_are_refused(encoder: Encoder) -> None:
    words = "2 buffers are no image of 4x2 GREY, which has 1"
    with (
        MemfdBuffer.holding(image(0)) as one,
        MemfdBuffer.holding(image(0)) as two,
        pytest.raises(ValueError, match=words),
    ):
        encoder.put([one, two])


@pytest.mark.parametrize("deed", ["put", "drain", "flush", "get", "encode"])
def test_nothing_is_done_with_a_closed_device(codec: Codec, deed: str) -> None:
    pool: Any = MemfdContext()
    encoder = Encoder(cast(Any, codec), pool, format="GREY")
    encoder.close()
    before = list(codec.log)
    with pytest.raises(ClosedError, match="the encoder /dev/video9 is closed"):
        getattr(encoder, deed)(*([image(0)],) if deed in ("put", "encode") else ())
    assert codec.log == before


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"inputs": 0}, "inputs is 1 to 32, not 0"),
        ({"buffers": 1000}, "buffers is 1 to 32, not 1000"),
        ({"extra": -1}, "extra is at least 0, not -1"),
        ({"fps": "30"}, "fps is a number, not '30'"),
        ({"fps": 0}, "fps is from 0.001"),
        ({"size": (0, 2)}, "no image is 0 pixels wide"),
        ({"size": "4x2"}, r"size is \(width, height\) in pixels"),
    ],
)
def test_numbers_that_no_device_has_are_refused_at_once(
    codec: Codec, wrong: dict[str, Any], words: str
) -> None:
    pool: Any = MemfdContext()
    with pytest.raises((TypeError, ValueError), match=words):
        Encoder(cast(Any, codec), pool, format="GREY", **wrong)
    assert not any("buffers" in line for line in codec.log)


class Settings(dict[str, Any]):
    """Controls that are data."""

    def describe(self, name: str) -> Any:
        """Describe a menu of two."""
        return SimpleNamespace(menu={0: "Separate", 1: "Joined"})


def test_arguments_are_controls_and_headers_come_with_the_first_image(codec: Codec) -> None:
    names = "sequence_header_mode", "video_bitrate", "frame_level_rate_control_enable"
    mine = Settings(dict.fromkeys([*names, "video_gop_size", "sharpness"], 0))
    codec.controls = cast(Any, mine)
    pool: Any = MemfdContext()
    wanted: dict[str, Any] = {"bitrate": 9000, "keyframes": 5, "controls": {"sharpness": 2}}
    with Encoder(cast(Any, codec), pool, format="GREY", fps=12.5, **wanted):
        assert [mine[name] for name in names] == [1, 9000, True]
        assert (mine["video_gop_size"], mine["sharpness"]) == (5, 2)
        assert "output rate 12.5" in codec.log


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


@pytest.mark.parametrize("images", [7, b"12345678", bytearray(8), None, "text"])
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
