# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Runs from pagemap: the arithmetic on any entries, and the real file of this kernel."""

import os
import subprocess
import sys
from array import array
from mmap import MAP_PRIVATE, PAGESIZE, mmap
from pathlib import Path

import pytest
from cm_agent.contiguity import pagemap
from cm_agent.contiguity.pagemap import PFN_MASK, PRESENT, runs_of
from cm_agent.core import uapi
from cm_agent.core.errors import UnverifiableError
from cm_agent.core.reports import Run
from hypothesis import assume, given
from hypothesis import strategies as st

SOFT_DIRTY, EXCLUSIVE, FILE = 1 << 55, 1 << 56, 1 << 61
AGENT = Path(pagemap.__file__).parents[2]

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def entries_of(pfns: list[int], flags: int = FILE) -> "array[int]":
    return array("Q", [PRESENT | flags | pfn for pfn in pfns])


@given(lengths, st.data())
def test_runs_are_found_where_they_were_put(parts: list[int], data: st.DataObject) -> None:
    pfns: list[int] = []
    expected = []
    for length in parts:
        last = pfns[-1] if pfns else 0
        first = data.draw(st.integers(1, 1 << 40))
        assume(first != last + 1)
        expected.append(Run(len(pfns) * 4096, length * 4096, first * 4096))
        pfns += range(first, first + length)
    assert runs_of(entries_of(pfns), 4096) == tuple(expected)


@given(st.integers(1, 1 << 40), st.lists(st.sampled_from([0, SOFT_DIRTY, EXCLUSIVE]), min_size=1))
def test_flags_of_pages_do_not_break_a_run(first: int, flags: list[int]) -> None:
    entries = array("Q", [PRESENT | flag | first + i for i, flag in enumerate(flags)])
    assert runs_of(entries, 4096) == (Run(0, len(flags) * 4096, first * 4096),)


@given(st.lists(st.integers(1, 1 << 40), min_size=1, max_size=50), st.data())
def test_absent_page_is_never_contiguous(pfns: list[int], data: st.DataObject) -> None:
    entries = entries_of(pfns)
    absent = data.draw(st.integers(0, len(pfns) - 1))
    entries[absent] &= PFN_MASK
    with pytest.raises(UnverifiableError, match=f"page {absent} .*not present"):
        runs_of(entries)


@pytest.mark.parametrize("pages", [1, 2, 100])
def test_hidden_frames_are_unverifiable_and_name_the_capability(pages: int) -> None:
    with pytest.raises(UnverifiableError, match="CAP_SYS_ADMIN"):
        runs_of(entries_of([0] * pages))


def test_swapped_pages_in_a_row_are_not_a_run() -> None:
    swapped = 1 << 62
    with pytest.raises(UnverifiableError, match="not present"):
        runs_of(array("Q", [swapped | 32 * (i + 1) for i in range(4)]))


@pytest.fixture
def frames_visible() -> None:
    status = Path("/proc/self/status").read_text()
    held = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if not int(held.split()[1], 16) >> 21 & 1:
        pytest.skip("needs CAP_SYS_ADMIN: run as root")


@pytest.mark.usefixtures("frames_visible")
def test_single_page_of_this_process_is_one_run() -> None:
    with mmap(-1, PAGESIZE) as page, memoryview(page) as view:
        (run,) = pagemap.runs(view)
    assert (run.offset, run.length) == (0, PAGESIZE)
    assert run.address


@pytest.mark.usefixtures("frames_visible")
def test_pages_nobody_touched_before_are_seen() -> None:
    with mmap(-1, 64 * PAGESIZE, flags=MAP_PRIVATE) as pages, memoryview(pages) as view:
        runs = pagemap.runs(view)
    assert sum(run.length for run in runs) == 64 * PAGESIZE


@pytest.mark.usefixtures("frames_visible")
def test_same_page_mapped_twice_has_one_address() -> None:
    fd = os.memfd_create("twice")
    os.ftruncate(fd, PAGESIZE)
    with (
        mmap(fd, PAGESIZE) as first,
        mmap(fd, PAGESIZE) as second,
        memoryview(first) as one,
        memoryview(second) as two,
    ):
        assert pagemap.runs(one)[0].address == pagemap.runs(two)[0].address
    os.close(fd)


@pytest.mark.usefixtures("frames_visible")
def test_huge_page_is_one_run() -> None:
    size = 2 << 20
    fd = os.memfd_create("huge", os.MFD_HUGETLB)
    try:
        os.ftruncate(fd, size)
        with mmap(fd, size) as huge, memoryview(huge) as view:
            assert len(pagemap.runs(view)) == 1
    except OSError as error:
        pytest.skip(f"no huge page to be had: {error} (echo 1 > /proc/sys/vm/nr_hugepages)")
    finally:
        os.close(fd)


def test_mapping_of_frame_numbers_is_unverifiable() -> None:
    """[vvar] is VM_PFNMAP on every kernel: what a driver's remap_pfn_range looks like."""
    with open("/proc/self/maps") as maps:
        start = next(int(line.split("-")[0], 16) for line in maps if line.endswith("[vvar]\n"))
    view = memoryview(uapi.ffi.buffer(uapi.ffi.cast("char *", start), PAGESIZE)).cast("B")
    with pytest.raises(UnverifiableError, match="VM_PFNMAP"):
        pagemap.runs(view)


def test_unprivileged_process_sees_no_frames() -> None:
    """The real file, opened by a process without CAP_SYS_ADMIN."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from mmap import mmap\n"
        "from cm_agent.contiguity import pagemap\n"
        "from cm_agent.core.errors import UnverifiableError\n"
        "try: print(pagemap.runs(memoryview(mmap(-1, 8192))))\n"
        "except UnverifiableError as error: print(error)\n"
    )
    drop = ["setpriv", "--bounding-set=-sys_admin"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-c", script, str(AGENT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "CAP_SYS_ADMIN" in done.stdout, done.stderr


def test_missing_pagemap_is_unverifiable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagemap, "PAGEMAP", tmp_path / "absent")
    with (
        mmap(-1, PAGESIZE) as page,
        memoryview(page) as view,
        pytest.raises(UnverifiableError, match="cannot be read"),
    ):
        pagemap.runs(view)
