# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whether a device reaches a chunk: its DMA mask is not known, but where a chunk lies is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context

USUAL_BITS = 32
"""What a device has whose driver asks for nothing else (Linux, Documentation/core-api/dma-api.rst,
"DMA addressing capabilities")."""


def out_of_reach(context: Context, buffers: Sequence[Buffer]) -> str:
    """Say which of these chunks, that a driver refused, its device may not reach; "" if none.

    Any context can be asked, also about chunks of another.
    """
    for buffer in buffers:
        with suppress(OSError):
            attestation = context.attest(buffer, dma_bits=USUAL_BITS)
            if attestation.bounced:
                owner = f" of context {attestation.context!r}" if attestation.context else ""
                what = "a foreign buffer" if buffer.id is None else f"chunk {buffer.id}{owner}"
                return (
                    f"{what} lies beyond {USUAL_BITS} address bits, and the device may have no"
                    " more: the kernel log has its DMA mask; give it a context in a lower"
                    " bank"
                )
    return ""
