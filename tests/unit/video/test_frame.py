# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A frame is its readers' until the last of them gives it back."""

from typing import Any, cast

import pytest
from cm_agent.core.errors import ClosedError, KeptError
from cm_agent.video.format import Filled, Format, Payload, PlaneFormat
from cm_agent.video.frame import Counters, Frame
from unit.core.memfd_buffer import MemfdBuffer
from unit.video.test_output_buffers import Loan

GREY = Format(8, 2, "GREY", (PlaneFormat(16, 8),))


def test_it_goes_back_with_its_last_reader() -> None:
    loan = Loan(1)
    loan.frame.retain()
    loan.frame.release()
    assert loan.frame and not loan.back
    loan.frame.release()
    assert loan.back and not loan.frame


def test_a_reader_that_ends_early_takes_nothing_from_one_that_retains_it() -> None:
    loan = Loan(1)
    with loan.frame:
        loan.frame.retain()
        loan.frame.end()
    assert not loan.back
    loan.frame.release()
    assert loan.back


def test_a_retain_that_is_undone_leaves_it_to_the_first_reader() -> None:
    loan = Loan(1)
    with loan.frame:
        loan.frame.retain()
        loan.frame.release()
        assert not loan.back
    assert loan.back


def test_it_may_end_before_it_is_released_and_does_not_go_back_twice() -> None:
    loan = Loan(1)
    loan.frame.retain()
    loan.frame.end()
    loan.frame.end()
    assert loan.frame and not loan.back
    loan.frame.release()
    assert loan.back
    loan.back = False
    loan.frame.end()
    assert not loan.back


@pytest.mark.parametrize("moment", [0, 1])
def test_an_end_while_another_thread_releases_it_is_no_error(moment: int) -> None:
    """The other thread has the lock right before end() has it for the first or second time."""

    class Lock:
        def __enter__(self) -> None:
            if left:
                left.pop(0)()

        def __exit__(self, *_: object) -> None:
            return None

    loan = Loan(1)
    left = [lambda: None] * moment + [loan.frame.release]
    cast(Any, loan.frame)._lock = Lock()
    loan.frame.end()
    assert loan.back and not loan.frame


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


@pytest.mark.parametrize("deed", ["retain", "release", "copy"])
def test_nothing_can_be_done_with_it_afterwards(deed: str) -> None:
    loan = Loan(1)
    loan.frame.release()
    with pytest.raises(ClosedError, match="has gone back"):
        getattr(loan.frame, deed)()
