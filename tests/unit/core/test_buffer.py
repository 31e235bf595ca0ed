# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Ownership of descriptors and mappings.

A memfd is not a dma-buf: it has a size, can be mapped and can be closed, but it knows neither
DMA_BUF_IOCTL_SYNC nor DMA_BUF_SET_NAME. What needs those is tested on boards (tests/hil); here
MemfdBuffer leaves the sync out, and everything else is the real thing.
"""

import errno
import gc
import mmap
import os
from collections.abc import Iterator

import pytest
from cm_agent.core.buffer import Buffer, encode_name
from cm_agent.core.errors import ClosedError
from cm_agent.core.uapi import ffi
from unit.core.memfd_buffer import MemfdBuffer

SIZE = 4 * mmap.PAGESIZE


@pytest.fixture
def memfd() -> int:
    fd = os.memfd_create("test")
    os.ftruncate(fd, SIZE)
    return fd


@pytest.fixture
def buffer(memfd: int) -> Iterator[MemfdBuffer]:
    buffer = MemfdBuffer(memfd, SIZE)
    buffer.syncs = []
    with buffer:
        yield buffer


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def mappings() -> int:
    with open("/proc/self/maps") as maps:
        return sum("/memfd:test" in line for line in maps)


def test_size_of_a_foreign_descriptor_is_asked(memfd: int) -> None:
    with Buffer.from_fd(memfd) as buffer:
        assert (buffer.size, buffer.id) == (SIZE, None)


def test_descriptor_that_cannot_be_taken_over_is_closed() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with pytest.raises(OSError) as caught:
        Buffer.from_fd(reader)
    assert caught.value.errno == errno.ESPIPE
    assert not is_open(reader)


def test_close_closes_once(memfd: int) -> None:
    buffer = Buffer.from_fd(memfd)
    buffer.close()
    assert not buffer
    reused = os.dup2(0, memfd)
    buffer.close()
    assert is_open(reused)
    os.close(reused)


def test_descriptor_of_a_closed_buffer_is_refused(memfd: int) -> None:
    buffer = Buffer.from_fd(memfd)
    buffer.close()
    with pytest.raises(ClosedError):
        _ = buffer.fd


def test_forgotten_buffer_warns_and_closes(memfd: int) -> None:
    buffer = Buffer.from_fd(memfd)
    with pytest.warns(ResourceWarning, match="never closed"):
        del buffer
        gc.collect()
    assert not is_open(memfd)


def test_what_is_no_dma_buf_is_called_so_by_errno(memfd: int) -> None:
    with Buffer.from_fd(memfd) as buffer:
        with pytest.raises(OSError) as caught, buffer.cpu_access("r"):
            pass
        assert caught.value.errno == errno.ENOTTY
        assert "synchronized" in str(caught.value)


def test_access_that_could_not_begin_does_not_hold_the_buffer_open(memfd: int) -> None:
    buffer = Buffer.from_fd(memfd)
    with pytest.raises(OSError), buffer.cpu_access("r"):
        pass
    buffer.close()
    assert not is_open(memfd)


def test_name_that_fails_says_which(memfd: int) -> None:
    with Buffer.from_fd(memfd) as buffer, pytest.raises(OSError, match="camera-0") as caught:
        buffer.set_name("camera-0")
    assert caught.value.errno == errno.ENOTTY


@pytest.mark.parametrize("name", ["x" * 32, "ü" * 16, "a\0b"])
def test_name_the_kernel_would_refuse_is_refused_before(name: str) -> None:
    with pytest.raises(ValueError, match="at most 31"):
        encode_name(name)


def test_longest_name_is_taken() -> None:
    assert encode_name("x" * 31) == b"x" * 31


def test_what_is_written_is_read_back(buffer: MemfdBuffer) -> None:
    with buffer.cpu_access("w") as view:
        view[SIZE - 1] = 42
    with buffer.cpu_access("r") as view:
        assert view[SIZE - 1] == 42
    assert os.pread(buffer.fd, 1, SIZE - 1) == b"*"


@pytest.mark.parametrize(("mode", "flags"), [("r", 1), ("w", 2), ("rw", 3)])
def test_access_is_bracketed_by_start_and_end(buffer: MemfdBuffer, mode: str, flags: int) -> None:
    with buffer.cpu_access(mode):  # type: ignore[arg-type]
        assert buffer.syncs == [flags]
    assert buffer.syncs == [flags, flags | 4]


def test_access_ends_when_the_block_raises(buffer: MemfdBuffer) -> None:
    with pytest.raises(KeyError), buffer.cpu_access("rw") as view:
        raise KeyError
    assert buffer.syncs == [3, 7]
    with pytest.raises(ValueError, match="released"):
        _ = view[0]


def test_view_for_reading_cannot_be_written(buffer: MemfdBuffer) -> None:
    with buffer.cpu_access("r") as view:
        assert view.readonly


def test_view_is_released_after_the_block(buffer: MemfdBuffer) -> None:
    with buffer.cpu_access("rw") as view:
        pass
    with pytest.raises(ValueError, match="released"):
        _ = view[0]


def test_something_that_outlives_the_block_is_reported(buffer: MemfdBuffer) -> None:
    with pytest.raises(BufferError, match="outlives"), buffer.cpu_access("rw") as view:
        keeper = ffi.from_buffer(view)
    ffi.release(keeper)


def test_mapping_is_made_once(buffer: MemfdBuffer) -> None:
    assert mappings() == 0
    for _ in range(3):
        with buffer.cpu_access("r"):
            assert mappings() == 1


def test_close_unmaps(buffer: MemfdBuffer) -> None:
    with buffer.cpu_access("r"):
        pass
    buffer.close()
    assert mappings() == 0


def test_close_waits_for_the_view(buffer: MemfdBuffer) -> None:
    fd = buffer.fd
    with buffer.cpu_access("rw") as view:
        buffer.close()
        assert not buffer
        view[0] = 1
        assert is_open(fd)
    assert buffer.syncs == [3, 7]
    assert not is_open(fd)
    assert mappings() == 0


def test_slice_keeps_the_mapping(buffer: MemfdBuffer) -> None:
    with buffer.cpu_access("rw") as view:
        part = view[:8]
    buffer.close()
    part[0] = 7
    assert mappings() == 1
    part.release()
    del part, view
    gc.collect()
    assert mappings() == 0


def test_closed_buffer_gives_no_access(buffer: MemfdBuffer) -> None:
    buffer.close()
    with pytest.raises(ClosedError), buffer.cpu_access("r"):
        pass


def test_read_only_descriptor_can_be_read(memfd: int) -> None:
    readonly = os.open(f"/proc/self/fd/{memfd}", os.O_RDONLY)
    os.close(memfd)
    with MemfdBuffer(readonly, SIZE) as buffer:
        buffer.syncs = []
        with buffer.cpu_access("r") as view:
            assert len(view) == SIZE


def test_read_only_descriptor_is_not_written(memfd: int) -> None:
    readonly = os.open(f"/proc/self/fd/{memfd}", os.O_RDONLY)
    os.close(memfd)
    with MemfdBuffer(readonly, SIZE) as buffer:
        buffer.syncs = []
        with pytest.raises(PermissionError, match="O_RDWR") as caught, buffer.cpu_access("w"):
            pass
    assert caught.value.errno == errno.EACCES
