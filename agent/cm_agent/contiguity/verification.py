# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Is a buffer contiguous? Three independent witnesses and their agreement."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from cm_agent.contiguity import pagemap, pattern
from cm_agent.core.buffer import Buffer
from cm_agent.core.context import Context
from cm_agent.core.errors import UnverifiableError
from cm_agent.core.reports import Attestation, PatternResult, Run
from cm_agent.core.size import format_size

ATTESTATION, PAGEMAP, PATTERN = "attestation", "pagemap", "pattern"


class Verdict(StrEnum):
    """What can be said of a buffer; what cannot be seen is never called contiguous."""

    CONTIGUOUS = "CONTIGUOUS"
    """One physical run."""
    FRAGMENTED = "FRAGMENTED"
    """More than one run, or memory that is not what it seems to be."""
    BOUNCED = "BOUNCED"
    """The device that was asked about sees a copy, or nothing."""
    UNVERIFIABLE = "UNVERIFIABLE"
    """Nobody could see."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What one witness saw.

    `address` is the physical address of the first byte, when known. `consistent`: True when what
    it saw fits together, False when it cannot be, None when it saw nothing.
    """

    name: str
    verdict: Verdict
    detail: str
    runs: int | None = None
    address: int | None = None
    consistent: bool | None = None

    def describe(self) -> str:
        """Return a line for people: name, verdict, what it saw and where."""
        where = "" if self.address is None else f" (at {self.address:#x})"
        return f"{self.name:<12} {self._word():<13} {self.detail}{where}"

    def _word(self) -> str:
        """Return the verdict, or what a witness without eyes for addresses has to say."""
        if self.verdict is Verdict.UNVERIFIABLE and self.consistent:
            return "matches"
        return self.verdict


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdict over a buffer; agree False is an alarm, whatever the verdict."""

    verdict: Verdict
    witnesses: tuple[Witness, ...]
    agree: bool
    size: int
    context: str | None

    def describe(self) -> str:
        """Return the verdict and a line for each witness, for people."""
        where = f"context {self.context!r}: " if self.context else ""
        head = f"{where}{format_size(self.size)}: {self.verdict}"
        return "\n".join([head, *(f"  {witness.describe()}" for witness in self.witnesses)])

    def to_json(self) -> dict[str, object]:
        """Return it in types that json.dumps() takes."""
        return asdict(self)


def verify(
    buffer: Buffer,
    context: Context | None,
    *,
    dma_bits: int = 64,
    preserve: bool = True,
    write: bool = True,
) -> Verification:
    """Hear all witnesses about a buffer, ours or foreign, and judge.

    The context is asked for its attestation and pattern, whatever the buffer's context is; without
    one, only pagemap can see. The pattern destroys the content, which is saved before and put
    back after it with preserve; what others write meanwhile is lost. write=False leaves the
    pattern out.
    """
    with _steady(buffer, context):
        witnesses = (
            _attestation(buffer, context, dma_bits),
            _pagemap(buffer),
            _pattern(buffer, context if write else None, preserve, asked=write),
        )
    verdict, agree = judge(witnesses)
    return Verification(verdict, witnesses, agree, buffer.size, context.name if context else None)


def judge(witnesses: tuple[Witness, ...]) -> tuple[Verdict, bool]:
    """Return the worst verdict that was given, and whether the witnesses agree."""
    said = {witness.verdict for witness in witnesses}
    addresses = {witness.address for witness in witnesses} - {None}
    agree = (
        not said >= {Verdict.CONTIGUOUS, Verdict.FRAGMENTED}
        and len(addresses) <= 1
        and not any(witness.consistent is False for witness in witnesses)
    )
    for worse in (Verdict.FRAGMENTED, Verdict.BOUNCED):
        if worse in said:
            return worse, agree
    proven = any(
        witness.verdict is Verdict.CONTIGUOUS and witness.name in (ATTESTATION, PAGEMAP)
        for witness in witnesses
    )
    return (Verdict.CONTIGUOUS if proven and agree else Verdict.UNVERIFIABLE), agree


@contextmanager
def _steady(buffer: Buffer, context: Context | None) -> Iterator[None]:
    """Pin the buffer if that is possible, so that all witnesses see it at the same place.

    Who may not pin gets no addresses from the attestation either, so there is nothing to differ.
    """
    if context is None:
        yield
        return
    try:
        context.pin(buffer)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        context.unpin(buffer)


def _attestation(buffer: Buffer, context: Context | None, dma_bits: int) -> Witness:
    if context is None:
        return Witness(ATTESTATION, Verdict.UNVERIFIABLE, "no context to ask the kernel through")
    try:
        attestation = context.attest(buffer, dma_bits=dma_bits)
    except OSError as error:
        return Witness(ATTESTATION, Verdict.UNVERIFIABLE, str(error.strerror))
    return attested(attestation, own=buffer.id is not None, dma_bits=dma_bits)


def attested(attestation: Attestation, *, own: bool, dma_bits: int = 64) -> Witness:
    """Turn an attestation into a witness; own: the buffer is a chunk of a context."""
    runs = attestation.runs
    if not runs or sum(run.length for run in runs) != attestation.size:
        return Witness(
            ATTESTATION,
            Verdict.UNVERIFIABLE,
            f"the kernel accounted for {sum(run.length for run in runs)} of {attestation.size} "
            "bytes",
            consistent=False,
        )
    address = runs[0].address
    if attestation.bounced:
        detail = f"out of reach of a device with {dma_bits} address bits"
        return Witness(ATTESTATION, Verdict.BOUNCED, detail, len(runs), address, True)
    if own and not attestation.in_bank:
        detail = "the chunk does not lie in the bank of any context"
        return Witness(ATTESTATION, Verdict.UNVERIFIABLE, detail, len(runs), address, False)
    where = (
        f"in the bank of context {attestation.context!r}" if attestation.in_bank else "in no bank"
    )
    return _counted(ATTESTATION, runs, f"{where}, reached with {dma_bits} address bits")


def _pagemap(buffer: Buffer) -> Witness:
    try:
        with buffer.cpu_access("r") as view:
            runs = pagemap.runs(view)
    except (OSError, UnverifiableError) as error:
        return Witness(PAGEMAP, Verdict.UNVERIFIABLE, _reason(error))
    return _counted(PAGEMAP, runs, "as this process has it mapped")


def _counted(name: str, runs: tuple[Run, ...], how: str) -> Witness:
    if len(runs) == 1:
        detail = f"one run of {format_size(runs[0].length)}, {how}"
        return Witness(name, Verdict.CONTIGUOUS, detail, 1, runs[0].address, True)
    longest = format_size(max(run.length for run in runs))
    detail = f"{len(runs)} runs, the longest of {longest}, {how}"
    return Witness(name, Verdict.FRAGMENTED, detail, len(runs), runs[0].address, True)


def _pattern(buffer: Buffer, context: Context | None, preserve: bool, *, asked: bool) -> Witness:
    if context is None:
        why = "no context to ask the kernel through" if asked else "left out: it writes the buffer"
        return Witness(PATTERN, Verdict.UNVERIFIABLE, why)
    try:
        saved = _save(buffer) if preserve else None
        try:
            return crossed(*_cross(buffer, context))
        finally:
            if saved is not None:
                _restore(buffer, saved)
    except OSError as error:
        return Witness(PATTERN, Verdict.UNVERIFIABLE, _reason(error))


def _save(buffer: Buffer) -> bytes:
    with buffer.cpu_access("r") as view:
        return bytes(view)


def _restore(buffer: Buffer, saved: bytes) -> None:
    with buffer.cpu_access("w") as view:
        view[:] = saved


def _cross(buffer: Buffer, context: Context) -> tuple[PatternResult, PatternResult]:
    """Fill by the kernel and check by the user, then the other way round with another seed."""
    seed = int.from_bytes(os.urandom(8), "little")
    other = ~seed % (1 << 64)
    filled = context.pattern_fill(buffer, seed)
    with buffer.cpu_access("r") as view:
        by_kernel = replace(pattern.check(view, seed), linear=filled.linear)
    with buffer.cpu_access("w") as view:
        pattern.fill(view, other)
    return by_kernel, context.pattern_check(buffer, other)


def crossed(by_kernel: PatternResult, by_user: PatternResult) -> Witness:
    """Turn both directions of the pattern into a witness, which sees order but no addresses."""
    for result, writer, reader in ((by_kernel, "kernel", "user"), (by_user, "user", "kernel")):
        if not result:
            detail = (
                f"what the {writer} wrote the {reader} does not read: at byte {result.matched} "
                f"{result.actual:#x} instead of {result.expected:#x}"
            )
            return Witness(PATTERN, Verdict.FRAGMENTED, detail, consistent=False)
    same = f"kernel and user see the same {format_size(by_user.size)}"
    if by_kernel.linear and by_user.linear:
        detail = f"{same}, the kernel by consecutive physical addresses"
        return Witness(PATTERN, Verdict.CONTIGUOUS, detail, 1, consistent=True)
    return Witness(PATTERN, Verdict.UNVERIFIABLE, f"{same}, which shows no places", consistent=True)


def _reason(error: Exception) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)
