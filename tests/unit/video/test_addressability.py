# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is said of chunks that a driver refused and its device may not reach."""

from __future__ import annotations

import errno
from typing import Any, cast

from cm_agent.core.reports import Attestation
from cm_agent.video.addressability import out_of_reach
from unit.video.video_data import DataChunk

LOW, HIGH, UNKNOWN = DataChunk(1, 4096), DataChunk(2, 4096), DataChunk(3, 4096)


class DataOracle:
    """A context that knows which chunks lie beyond 4 GiB."""

    def attest(self, chunk: DataChunk, *, dma_bits: int) -> Attestation:
        """Attest all but one, as of another context than the one that was asked."""
        assert dma_bits == 32
        if chunk is UNKNOWN:
            raise OSError(errno.EINVAL, "its exporter refuses")
        bounced = chunk is HIGH
        return Attestation(chunk.size, (), chunk.size, "far", bounced, True, False)


def said(*chunks: DataChunk) -> str:
    return out_of_reach(cast(Any, DataOracle()), cast(Any, chunks))


def test_a_chunk_beyond_32_bits_is_named_with_the_context_it_lies_in() -> None:
    text = said(LOW, HIGH)
    assert text.startswith("chunk 2 of context 'far' lies beyond 32 address bits")
    assert "the kernel log has its DMA mask; give it a context in a lower bank" in text


def test_chunks_that_every_device_reaches_are_not_blamed() -> None:
    assert said(LOW, LOW) == ""


def test_a_chunk_that_nobody_can_attest_is_not_blamed() -> None:
    assert said(UNKNOWN) == ""
    assert said(UNKNOWN, HIGH).startswith("chunk 2 ")
