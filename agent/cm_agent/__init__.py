# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Physically contiguous memory for ARM boards.

A Context is a pool of such memory; it allocates Buffers, which are dma-bufs: give their
descriptors to a driver, read and write them through cpu_access() or array(), and have verify()
prove where they lie. cm_agent.video gives them to cameras, codecs and converters.

Sizes are bytes and times are seconds, unless a name says otherwise. Every error that is not one of
wrong arguments is an Error.
"""

from cm_agent.contiguity.verification import Verdict, Verification, Witness, verify
from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context, contexts
from cm_agent.core.control import Control
from cm_agent.core.errors import (
    AllocationError,
    ClosedError,
    ContextGoneError,
    Error,
    ExistsError,
    KeptError,
    NoProcessError,
    NotFoundError,
    NotPermittedError,
    RequestError,
    UnverifiableError,
)
from cm_agent.core.holders import Holder, Holders, Process
from cm_agent.core.reports import (
    Attestation,
    ChunkInfo,
    Compaction,
    ContextState,
    ContextStats,
    LatencyHistogram,
    LayoutEntry,
    PatternResult,
    Pin,
    Quota,
    Run,
    User,
)
from cm_agent.core.size import parse_size
from cm_agent.core.uapi import Reason
from cm_agent.policy.allocator import Allocation, Allocator, Refusal, RefusedError
from cm_agent.policy.rules import MapError, NoRuleError, Policy

__version__ = "0.1.0"

__all__ = [
    "Allocation",
    "AllocationError",
    "Allocator",
    "Attestation",
    "Buffer",
    "ChunkInfo",
    "ClosedError",
    "Compaction",
    "Context",
    "ContextGoneError",
    "ContextState",
    "ContextStats",
    "Control",
    "Error",
    "ExistsError",
    "Holder",
    "Holders",
    "KeptError",
    "LatencyHistogram",
    "LayoutEntry",
    "MapError",
    "NoProcessError",
    "NoRuleError",
    "NotFoundError",
    "NotPermittedError",
    "PatternResult",
    "Pin",
    "Policy",
    "Process",
    "Quota",
    "Reason",
    "Refusal",
    "RefusedError",
    "RequestError",
    "Run",
    "UnverifiableError",
    "User",
    "Verdict",
    "Verification",
    "Witness",
    "contexts",
    "parse_size",
    "verify",
]
