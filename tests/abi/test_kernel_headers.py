# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Numbers of the kernel's other headers that the package writes itself."""

from __future__ import annotations

import pytest
from abi.assertions import equal
from abi.conftest import Compile
from cm_agent.core import buffer
from cm_agent.diagnose import doctor, foreign
from hil import heap

# Older copies of dma-buf.h use _IOW() without including where it comes from.
DMA_BUF = ["#include <linux/ioctl.h>", "#include <linux/dma-buf.h>"]


def test_dma_buf_sync_agrees(compile_c: Compile) -> None:
    lines = [
        equal("DMA_BUF_IOCTL_SYNC", buffer._SYNC),
        equal("sizeof(struct dma_buf_sync)", 8),
        equal("DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ", buffer._SYNC_START | buffer._SYNC_READ),
        equal("DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE", buffer._SYNC_END | buffer._SYNC_WRITE),
        equal("DMA_BUF_NAME_LEN", buffer.NAME_MAX + 1),
    ]
    assert compile_c([*DMA_BUF, *lines]) is None


@pytest.mark.parametrize("architecture", ["amd64", "arm64"], indirect=True)
def test_dma_buf_set_name_agrees(compile_c: Compile) -> None:
    lines = [equal("DMA_BUF_SET_NAME", buffer._SET_NAME)]
    assert compile_c([*DMA_BUF, *lines]) is None


def test_dma_buf_set_name_holds_the_size_of_a_pointer(compile_c: Compile) -> None:
    expected = buffer._SET_NAME & ~(0x3FFF << 16)
    lines = [equal("DMA_BUF_SET_NAME ^ (sizeof(void *) << 16)", expected)]
    assert compile_c([*DMA_BUF, *lines]) is None


def test_dma_heap_ioctl_alloc_agrees(compile_c: Compile) -> None:
    lines = [
        equal("DMA_HEAP_IOCTL_ALLOC", heap.ALLOC),
        equal("offsetof(struct dma_heap_allocation_data, fd)", heap.FD_AT),
        equal("offsetof(struct dma_heap_allocation_data, fd_flags)", heap.FLAGS_AT),
        equal("offsetof(struct dma_heap_allocation_data, heap_flags)", heap.HEAP_FLAGS_AT),
    ]
    headers = ["stddef.h", "linux/ioctl.h", "linux/dma-heap.h"]
    assert compile_c([*(f"#include <{it}>" for it in headers), *lines]) is None


def test_system_call_agrees(compile_c: Compile) -> None:
    lines = [equal("__NR_pidfd_getfd", foreign._PIDFD_GETFD)]
    assert compile_c(["#include <asm/unistd.h>", *lines]) is None


def test_capabilities_agree(compile_c: Compile) -> None:
    lines = [equal(name, bit) for name, (bit, _) in doctor._CAPABILITIES.items()]
    assert len(lines) == 2
    assert compile_c(["#include <linux/capability.h>", *lines]) is None
