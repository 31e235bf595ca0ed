# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A frame is its readers' until the last of them gives it back."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from cm_agent.core.errors import ClosedError, KeptError
from cm_agent.video.format import Filled, Format, Payload, PlaneFormat
from cm_agent.video.frame import Counters, Frame
from unit.core.memfd_buffer import MemfdBuffer
from unit.video.test_output_buffers import Loan

GREY = Format(8, 2, "GREY", (PlaneFormat(16, 8),))


def test_it_goes_back_when_it_and_all_of_its_duplicates_have_ended() -> None:
    loan = Loan(1)
    first, second = loan.frame.dup(), loan.frame.dup()
    for frame in (first, loan.frame):
        frame.end()
        assert not frame and not loan.back
    second.end()
    assert loan.back


def test_a_duplicate_can_be_read_after_the_first_has_ended() -> None:
    with MemfdBuffer.holding(b"image") as chunk:
        loan = Loan(1, format=GREY, chunk=chunk)
        with loan.frame as frame:
            kept = frame.dup()
        assert (kept.copy(), kept.sequence, str(kept.format)) == (b"image", 0, "8x2 GREY")
        kept.end()


def test_an_end_that_is_repeated_ends_nobody_elses() -> None:
    loan = Loan(1)
    with loan.frame as frame:
        kept = frame.dup()
        frame.end()
        frame.end()
    assert not loan.back
    kept.end()
    assert loan.back


def test_frames_that_many_threads_end_go_back_once() -> None:
    class Lender:
        awaits_frames, count = False, 0

        def take_back(self, planes: object) -> None:
            self.count += 1

    lender = Lender()
    filled = Filled(0, (Payload(5, 0),), 7, 0, error=False)
    frame = Frame((), filled, GREY, Counters(), lender)
    frames = [frame, *(frame.dup() for _ in range(99))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Frame.end, frames * 2))
    assert lender.count == 1


class Ending(MemfdBuffer):
    """A buffer whose frame ends while the buffer is read, as by another thread."""

    frame: Frame

    def _sync(self, fd: int, flags: int) -> None:
        super()._sync(fd, flags)
        self.frame.end()


def test_it_is_held_while_it_is_copied() -> None:
    class Lender:
        awaits_frames = False
        syncs: list[int] | None = None

        def take_back(self, planes: object) -> None:
            self.syncs = list(buffer.syncs)

    with Ending.holding(b"image") as buffer:
        lender = Lender()
        filled = Filled(0, (Payload(5, 0),), 7, 0, error=False)
        buffer.frame = Frame((buffer,), filled, GREY, Counters(), lender)
        assert buffer.frame.copy() == b"image"
        assert lender.syncs == [1, 5]


def test_what_outlives_its_block_is_of_a_frame_by_number() -> None:
    with MemfdBuffer.holding(bytes(16)) as buffer:
        frame = Frame((buffer,), Filled(0, (Payload(16, 0),), 7, 0, error=False), GREY, Counters())
        with pytest.raises(KeptError) as caught, frame.array() as image:
            kept = [image]
        assert str(caught.value).startswith("frame 7, foreign dma-buf: an array of shape (2, 8) ")
        assert len(kept) == 1


@pytest.mark.parametrize("deed", ["dup", "copy", "__enter__"])
def test_nothing_can_be_done_with_it_afterwards(deed: str) -> None:
    loan = Loan(1)
    loan.frame.end()
    with pytest.raises(ClosedError, match=r"has gone back .* by dup\(\)"):
        getattr(loan.frame, deed)()
