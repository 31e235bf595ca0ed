# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Physical runs of a live mapping, through /proc/self/pagemap."""

from __future__ import annotations

import os
import re
from array import array
from mmap import PAGESIZE
from pathlib import Path

from cm_agent.core import uapi
from cm_agent.core.errors import UnverifiableError
from cm_agent.core.reports import Run

# Documentation/admin-guide/mm/pagemap.rst
PRESENT = 1 << 63
PFN_MASK = (1 << 55) - 1
_ENTRY = 8

PAGEMAP = Path("/proc/self/pagemap")
SMAPS = Path("/proc/self/smaps")
_VMA = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ")


def runs(view: memoryview) -> tuple[Run, ...]:
    """Return the runs of a page-aligned mapping of this process, in the order of its offsets.

    Every page is read once, so that it is there. UnverifiableError says why nothing can be seen:
    the kernel hides the mapping, or page frame numbers need CAP_SYS_ADMIN.
    """
    start = uapi.address_of(view)
    view[::PAGESIZE].tobytes()
    entries = _read(PAGEMAP, start, -(-view.nbytes // PAGESIZE))
    if not entries[0] & PRESENT and "pf" in _flags(SMAPS, start):
        raise UnverifiableError(
            "the driver maps page frame numbers (VM_PFNMAP), which pagemap does not show"
        )
    return runs_of(entries)


def runs_of(entries: array[int], page_size: int = PAGESIZE) -> tuple[Run, ...]:
    """Return the runs that pagemap entries, one per page, stand for."""
    first = entries[0]
    if entries == array("Q", range(first, first + len(entries))):
        _pfn(first, 0)
        return (Run(0, len(entries) * page_size, (first & PFN_MASK) * page_size),)
    return tuple(
        Run(start * page_size, (end - start) * page_size, pfn * page_size)
        for start, end, pfn in _spans([_pfn(entry, i) for i, entry in enumerate(entries)])
    )


def _spans(pfns: list[int]) -> list[tuple[int, int, int]]:
    """Return (first page, page after the last, first frame) of every run of rising frames."""
    breaks = [i for i in range(1, len(pfns)) if pfns[i] != pfns[i - 1] + 1]
    starts = [0, *breaks]
    return [
        (start, end, pfns[start]) for start, end in zip(starts, [*breaks, len(pfns)], strict=True)
    ]


def _pfn(entry: int, page: int) -> int:
    if not entry & PRESENT:
        raise UnverifiableError(f"page {page} of the mapping is not present in pagemap")
    if not entry & PFN_MASK:
        raise UnverifiableError("pagemap hides page frame numbers without CAP_SYS_ADMIN")
    return entry & PFN_MASK


def _read(pagemap: Path, start: int, pages: int) -> array[int]:
    entries = array("Q")
    try:
        fd = os.open(pagemap, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while len(entries) < pages:
                position = (start // PAGESIZE + len(entries)) * _ENTRY
                got = os.pread(fd, (pages - len(entries)) * _ENTRY, position)
                if not got:
                    raise UnverifiableError(f"{pagemap} ends before page {len(entries)}")
                entries.frombytes(got)
        finally:
            os.close(fd)
    except OSError as error:
        raise UnverifiableError(f"{pagemap} cannot be read: {error.strerror}") from None
    return entries


def _flags(smaps: Path, address: int) -> list[str]:
    """Return the VmFlags of the mapping at an address; none when they cannot be read."""
    inside = False
    try:
        with smaps.open() as lines:
            for line in lines:
                if bounds := _VMA.match(line):
                    inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
                elif inside and line.startswith("VmFlags:"):
                    return line.split()[1:]
    except OSError:
        pass
    return []
