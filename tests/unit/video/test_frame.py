# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""A frame is its readers' until the last of them gives it back."""

import pytest
from cm_agent.core.errors import ClosedError
from unit.video.test_output_buffers import Loan


def test_it_goes_back_with_its_last_reader() -> None:
    loan = Loan(1)
    loan.frame.retain()
    loan.frame.release()
    assert loan.frame and not loan.back
    loan.frame.release()
    assert loan.back and not loan.frame


@pytest.mark.parametrize("deed", ["retain", "release", "copy"])
def test_nothing_can_be_done_with_it_afterwards(deed: str) -> None:
    loan = Loan(1)
    loan.frame.release()
    with pytest.raises(ClosedError, match="has gone back"):
        getattr(loan.frame, deed)()
