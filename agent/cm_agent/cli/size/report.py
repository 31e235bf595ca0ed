# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What `cm-agent size` found out: as a document for programs, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

from cm_agent.cli import _table as table
from cm_agent.cli._output import Problem
from cm_agent.cli.size.budget import Bank, Share, chunks_of, fits
from cm_agent.core.reports import ContextState
from cm_agent.core.size import format_size
from cm_agent.video.demand import Demand, whole_pages
from cm_agent.video.error import VideoError
from cm_agent.video.format import Format

_HEADINGS = ("ROLE", "DEVICE", "FORMAT", "CHUNKS", "BYTES")


@dataclass(slots=True)
class Answers:
    """What devices take, and why others cannot be asked, or need not."""

    demands: list[Demand] = field(default_factory=list)
    left_out: list[VideoError] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Overlay:
    """The source of one, and the addresses of its banks by context; or why there is none."""

    text: str | None = None
    places: Mapping[str, int] = field(default_factory=dict)
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What is needed, and what there is; a context's state is None when it does not answer."""

    answers: Answers
    shares: list[Share]
    states: Mapping[str, ContextState | None]
    banks: list[Bank]
    overlay: Overlay

    def to_json(self) -> dict[str, Any]:
        """Return the verb's result."""
        return {
            "bytes": sum(share.bytes for share in self.shares),
            "devices": [_device(demand) for demand in self.answers.demands],
            "rules": [self._rule(share) for share in self.shares],
            "banks": [self._bank(bank) for bank in self.banks],
            "overlay": self.overlay.text,
            "no_overlay": self.overlay.why_not,
            "left_out": [str(error) for error in self.answers.left_out],
        }

    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        if self.answers.demands:
            yield from table.lines([_HEADINGS, *map(_row, self.answers.demands)], "<<<<>")
        for error in self.answers.left_out:
            yield f"left out: {error}"
        for share in self.shares:
            which = f"rule {share.number}, {share.rule}" if share.rule else "no rule of the policy"
            yield f"{which}: {share.bytes:,} bytes"
            for name in share.contexts:
                yield f"  {name}: {self._describe(name, share)}"
        for bank in self.banks:
            size = format_size(bank.size)
            yield f"bank for {bank.context}: {bank.needed:,} bytes, in whole blocks {size}"
        if self.overlay.text:
            yield "\n" + self.overlay.text.rstrip("\n")
        elif self.overlay.why_not:
            yield f"no overlay: {self.overlay.why_not}"

    def _rule(self, share: Share) -> dict[str, Any]:
        return {
            "number": share.number,
            "rule": str(share.rule) if share.rule else None,
            "bytes": share.bytes,
            "contexts": [self._context(name, share) for name in share.contexts],
        }

    def _context(self, name: str, share: Share) -> dict[str, Any]:
        chunks, state = chunks_of(name, self.shares, share), self.states[name]
        return {
            "name": name,
            "bytes": sum(chunks),
            "state": state and asdict(state),
            "enough": state and fits(chunks, state),
        }

    def _bank(self, bank: Bank) -> dict[str, Any]:
        return {
            "context": bank.context,
            "bytes": bank.needed,
            "size": bank.size,
            "address": self.overlay.places.get(bank.context),
        }

    def _describe(self, name: str, share: Share) -> str:
        chunks, state = chunks_of(name, self.shares, share), self.states[name]
        if state is None:
            return "not available"
        kind, free = "private" if state.private else "shared", format_size(state.free)
        verdict = "enough" if fits(chunks, state) else f"NOT ENOUGH for {sum(chunks):,} bytes"
        return f"{kind}, {format_size(state.size)}, {free} free: {verdict}"


def _device(demand: Demand) -> dict[str, Any]:
    return {
        "role": demand.role,
        "device": str(demand.device) if demand.device else None,
        "driver": demand.driver,
        "input": demand.input and _format(demand.input),
        "output": _format(demand.output),
        "inputs": demand.inputs,
        "buffers": demand.buffers,
        "bytes": demand.bytes,
    }


def _format(format: Format) -> dict[str, Any]:
    return {
        "width": format.width,
        "height": format.height,
        "pixelformat": format.pixelformat,
        "planes": [
            {"size": plane.size, "stride": plane.stride, "chunk": whole_pages(plane.size)}
            for plane in format.planes
        ],
    }


def _row(demand: Demand) -> tuple[str, ...]:
    device = f"{demand.device} ({demand.driver})" if demand.device else "none"
    formats = f"{demand.input} to {demand.output}" if demand.input else str(demand.output)
    runs = [f"{len(list(run))} x {size:,}" for size, run in groupby(demand.chunks)]
    return demand.role, device, formats, " + ".join(runs), f"{demand.bytes:,}"
