# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the kernel reported, as values that do not change; read() makes them of its structures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from cm_agent.core import uapi
from cm_agent.core.uapi import Reason


@dataclass(frozen=True, slots=True)
class ContextState:
    """What a context is and how full it is at one instant; sizes in bytes."""

    name: str
    version: str
    features: int
    size: int
    free: int
    largest_hole: int
    pinned: int
    draining: int
    min_alignment: int
    chunks: int
    page_size: int
    private: bool

    @classmethod
    def read(cls, got: Any) -> Self:
        """Make it of a struct cm_query."""
        return cls(
            name=uapi.text(got.name),
            version=uapi.text(got.version),
            features=got.features,
            size=got.size,
            free=got.free,
            largest_hole=got.largest_hole,
            pinned=got.pinned,
            draining=got.draining,
            min_alignment=got.min_alignment,
            chunks=got.chunks,
            page_size=got.page_size,
            private=bool(got.flags & uapi.CONTEXT_PRIVATE),
        )


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """How long successful allocations of one size class took.

    `upper_bound_size` is the largest size in bytes of the class, None for the last one.
    `buckets` pairs an upper bound in seconds (the last one infinite) with the number of
    allocations between it and the bound before; the numbers are not cumulative.
    """

    upper_bound_size: int | None
    sum_seconds: float
    buckets: tuple[tuple[float, int], ...]

    @classmethod
    def read(cls, got: Any, number: int) -> Self:
        """Make it of the struct cm_latency of a size class."""
        last_class, last_bucket = uapi.SIZE_CLASSES - 1, uapi.LATENCY_BUCKETS - 1
        bounds = [(1 << uapi.LATENCY_SHIFT + j) / 1e9 for j in range(last_bucket)]
        return cls(
            upper_bound_size=(
                None if number == last_class else 1 << uapi.SIZE_CLASS_SHIFT + 2 * number
            ),
            sum_seconds=got.sum_ns / 1e9,
            buckets=tuple(zip([*bounds, float("inf")], got.buckets, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class ContextStats:
    """What a context has done since it was made, numbers that only grow; and two of an instant.

    `held`: bytes that were taken from the system, or are a private context's, and in no chunk;
    `lent`: bytes of the context that the system uses.
    """

    attempts: int
    successes: int
    failures: dict[Reason, int]
    frees: int
    retries: int
    moves: int
    moved_bytes: int
    held: int
    lent: int
    latency: tuple[LatencyHistogram, ...]

    @classmethod
    def read(cls, got: Any) -> Self:
        """Make it of a struct cm_stats; failures has all known reasons, others if they occurred."""
        known = {int(reason) for reason in Reason if reason}
        return cls(
            attempts=got.attempts,
            successes=got.successes,
            failures={
                Reason(number): count
                for number, count in enumerate(got.failures)
                if number in known or count
            },
            frees=got.frees,
            retries=got.retries,
            moves=got.moves,
            moved_bytes=got.moved_bytes,
            held=got.held,
            lent=got.lent,
            latency=tuple(LatencyHistogram.read(each, i) for i, each in enumerate(got.latency)),
        )


@dataclass(frozen=True, slots=True)
class ChunkInfo:
    """What is known of a chunk; sizes in bytes, uid as seen from the caller's user namespace."""

    id: int
    size: int
    alignment: int
    pins: int
    imports: int
    maps: int
    uid: int
    pid: int
    comm: str
    name: str

    @classmethod
    def read(cls, got: Any) -> Self:
        """Make it of a struct cm_info or cm_layout_entry, whose members have the same names."""
        return cls(**cls._members(got))

    @staticmethod
    def _members(got: Any) -> dict[str, Any]:
        return {
            "id": got.id,
            "size": got.size,
            "alignment": got.alignment,
            "pins": got.pins,
            "imports": got.imports,
            "maps": got.maps,
            "uid": got.uid,
            "pid": got.pid,
            "comm": uapi.text(got.comm),
            "name": uapi.text(got.name),
        }


@dataclass(frozen=True, slots=True)
class LayoutEntry(ChunkInfo):
    """A chunk and where it lies: `offset` is in bytes from the start of its context.

    `offset` is None without CAP_SYS_RAWIO; the order of entries is that of the places all the same.
    `immovable`: since it is pinned, mapped by a driver, or mapped by user space too often;
    `draining`: freed, while somebody holds pages of it; `hidden`: it is another user's, so without
    CAP_SYS_ADMIN `pid` is 0, and `comm` and `name` are empty.
    """

    offset: int | None
    immovable: bool
    draining: bool
    hidden: bool

    @staticmethod
    def _members(got: Any) -> dict[str, Any]:
        return ChunkInfo._members(got) | {
            "offset": got.offset if got.state & uapi.CHUNK_OFFSET else None,
            "immovable": bool(got.state & uapi.CHUNK_FIXED),
            "draining": bool(got.state & uapi.CHUNK_DRAINING),
            "hidden": bool(got.state & uapi.CHUNK_HIDDEN),
        }


@dataclass(frozen=True, slots=True)
class Quota:
    """What a user may have of a context, and has; `size` and `used` in bytes.

    `size` None: no limit; `chunks` None: no limit but the context's own, the module's parameter
    max_chunks. `used` and `used_chunks` have what is on its way back in them.
    """

    size: int | None
    chunks: int | None
    used: int
    used_chunks: int

    @classmethod
    def read(cls, got: Any) -> Self:
        """Make it of a struct cm_get_quota."""
        return cls(
            size=_limit(got.quota.bytes, uapi.QUOTA_NONE),
            chunks=_limit(got.quota.chunks, uapi.QUOTA_NO_CHUNKS),
            used=got.used,
            used_chunks=got.used_chunks,
        )


@dataclass(frozen=True, slots=True)
class User:
    """What a user has of a context, and may have; uid as seen from the caller's user namespace.

    `bytes` and `chunks` have what is on its way back in them. `quota`, in bytes, and `max_chunks`
    are what applies; None: no limit, but the context's own for the number of chunks.
    """

    uid: int
    bytes: int
    quota: int | None
    chunks: int
    max_chunks: int | None

    @classmethod
    def read(cls, got: Any) -> Self:
        """Make it of a struct cm_user."""
        return cls(
            uid=got.uid,
            bytes=got.bytes,
            quota=_limit(got.quota_bytes, uapi.QUOTA_NONE),
            chunks=got.chunks,
            max_chunks=_limit(got.max_chunks, uapi.QUOTA_NO_CHUNKS),
        )


def _limit(value: int, none: int) -> int | None:
    return None if value == none else value


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did, and how full the context is after it; sizes in bytes."""

    moves: int
    moved_bytes: int
    free: int
    largest_hole: int

    @classmethod
    def read(cls, got: Any) -> Self:
        """Make it of a struct cm_compact."""
        return cls(got.moves, got.moved_bytes, got.free, got.largest_hole)


@dataclass(frozen=True, slots=True)
class Pin:
    """Where a pinned chunk lies: physical address of its first byte, bytes from there on."""

    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Run:
    """A physically contiguous part of a buffer; address None without CAP_SYS_RAWIO."""

    offset: int
    length: int
    address: int | None


@dataclass(frozen=True, slots=True)
class Attestation:
    """Where the kernel reports the bytes of a dma-buf; sizes in bytes.

    `context` is the one whose bank holds every byte, None without such a bank. `bounced`: a
    device with the DMA mask that was asked about, and no IOMMU, cannot reach every byte, so it
    would be given a bounce buffer or be refused.
    """

    size: int
    runs: tuple[Run, ...]
    longest_run: int
    context: str | None
    bounced: bool
    in_bank: bool
    has_addresses: bool

    @classmethod
    def read(cls, got: Any, runs: Any) -> Self:
        """Make it of a struct cm_attest and the array of struct cm_run that it pointed to."""
        has_addresses = bool(got.found & uapi.ATTEST_ADDRESSES)
        return cls(
            size=got.size,
            runs=tuple(
                Run(run.offset, run.length, run.address if has_addresses else None)
                for run in runs[0 : min(got.run_count, len(runs))]
            ),
            longest_run=got.longest_run,
            context=uapi.text(got.context) or None,
            bounced=bool(got.found & uapi.ATTEST_BOUNCED),
            in_bank=bool(got.found & uapi.ATTEST_IN_BANK),
            has_addresses=has_addresses,
        )


@dataclass(frozen=True, slots=True)
class PatternResult:
    """How far a buffer holds the pattern; true when all of it does.

    `matched` counts the bytes from the start that hold it; `expected` and `actual` are the words
    at the first place that does not, 0 when all is well. `linear`: the kernel looked through its
    linear mapping, which walks physical addresses, so its order of bytes is the physical one.
    """

    matched: int
    size: int
    expected: int
    actual: int
    linear: bool = False

    @classmethod
    def read(cls, got: Any) -> Self:
        """Make it of a struct cm_pattern."""
        linear = bool(got.found & uapi.PATTERN_LINEAR)
        return cls(got.matched, got.size, got.expected, got.actual, linear)

    def __bool__(self) -> bool:
        """Return whether every byte holds the pattern."""
        return self.matched == self.size
