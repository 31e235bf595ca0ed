# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Descriptors of other processes, as far as they go without a dma-buf."""

import os

import pytest
from cm_agent.core.errors import UsageError
from cm_agent.diagnose import foreign


def test_what_is_no_dma_buf_is_not_taken() -> None:
    fd = os.memfd_create("other")
    try:
        with pytest.raises(UsageError, match=r"memfd:other.*not a dma-buf"):
            foreign.take(os.getpid(), fd)
    finally:
        os.close(fd)


def test_descriptor_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=f"descriptor 9999 of process {os.getpid()}"):
        foreign.take(os.getpid(), 9999)


def test_duplicate_is_the_same_open_file() -> None:
    fd = os.memfd_create("other")
    taken = foreign._duplicate(os.getpid(), fd)
    os.write(fd, b"here")
    assert os.pread(taken, 4, 0) == b"here"
    os.close(fd)
    os.close(taken)
