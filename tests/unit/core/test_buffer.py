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
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from cm_agent.core.buffer import Buffer, encode_name
from cm_agent.core.errors import ClosedError, RequestError
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


@pytest.mark.parametrize("name", ["", "camera"])
def test_size_of_a_foreign_dma_buf_is_asked(
    memfd: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.readlink", {f"/proc/self/fd/{memfd}": f"/dmabuf:{name}"}.__getitem__)
    with Buffer.from_fd(memfd) as buffer:
        assert (buffer.size, buffer.id) == (SIZE, None)


def test_what_is_no_dma_buf_stays_the_callers_and_is_named(memfd: int) -> None:
    with pytest.raises(RequestError, match=rf"descriptor {memfd} is '/memfd:test .*no dma-buf") as (
        caught
    ):
        Buffer.from_fd(memfd)
    assert caught.value.errno == errno.EINVAL
    assert os.lseek(memfd, 0, os.SEEK_CUR) == 0
    os.close(memfd)


def test_without_proc_nothing_is_taken_for_a_dma_buf(
    memfd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def readlink(path: str) -> str:
        raise FileNotFoundError(errno.ENOENT, "no /proc", path)

    monkeypatch.setattr("os.readlink", readlink)
    with pytest.raises(RequestError, match="/proc does not say whether"):
        Buffer.from_fd(memfd)
    os.close(memfd)


@pytest.mark.parametrize("fd", [-1, 1 << 31, "x", None])
def test_what_is_no_descriptor_is_an_error_of_ours(fd: Any) -> None:
    with pytest.raises(RequestError, match="no dma-buf") as caught:
        Buffer.from_fd(fd)
    assert caught.value.errno == errno.EBADF


def test_len_is_the_size_and_an_open_buffer_is_true(memfd: int) -> None:
    with Buffer(memfd, 4096) as buffer:
        assert len(buffer) == 4096 and buffer
    assert len(buffer) == 4096 and not buffer


def test_a_duplicate_is_the_same_chunk_with_a_descriptor_of_its_own(memfd: int) -> None:
    with Buffer(memfd, 4096, 7, "camera") as buffer:
        other = buffer.dup()
    assert (other.size, other.id, other.context) == (4096, 7, "camera")
    assert is_open(other.fd) and not os.get_inheritable(other.fd)
    other.close()


def test_a_detached_descriptor_is_the_callers(memfd: int) -> None:
    buffer = Buffer(memfd, 4096)
    assert buffer.detach() == memfd
    buffer.close()
    assert is_open(memfd) and not buffer
    with pytest.raises(ClosedError):
        buffer.detach()
    os.close(memfd)


def test_a_buffer_in_use_is_not_detached(buffer: MemfdBuffer) -> None:
    with buffer.cpu_access(), pytest.raises(BufferError, match="in use"):
        buffer.detach()
    assert buffer


def test_only_multiprocessing_pickles_a_buffer(memfd: int) -> None:
    with Buffer(memfd, 4096, 7) as buffer, pytest.raises(TypeError, match=r"chunk 7.*send_fds"):
        pickle.dumps(buffer)


def first_byte(buffer: Buffer) -> tuple[int, int | None, str | None, int, bool]:
    with buffer:
        inherited = os.get_inheritable(buffer.fd)
        return os.pread(buffer.fd, 1, 0)[0], buffer.id, buffer.context, len(buffer), inherited


def answer(buffer: Buffer, results: Any) -> None:
    results.put(first_byte(buffer))


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing_passes_a_buffer(memfd: int, method: str) -> None:
    os.pwrite(memfd, b"x", 0)
    ways: Any = multiprocessing.get_context(method)
    with Buffer(memfd, 4096, 7, "camera") as buffer:
        results = ways.Queue()
        process = ways.Process(target=answer, args=(buffer, results))
        process.start()
        assert results.get(timeout=60) == (ord("x"), 7, "camera", 4096, False)
        process.join()
        with ways.Pool(1) as pool:
            assert pool.apply(first_byte, (buffer,)) == (ord("x"), 7, "camera", 4096, False)
        assert buffer and is_open(memfd)


def test_a_connection_passes_a_buffer(memfd: int) -> None:
    os.pwrite(memfd, b"x", 0)
    here, there = multiprocessing.Pipe()
    with Buffer(memfd, 4096) as buffer, here, there:
        here.send({"frame": [buffer]})
        (got,) = there.recv()["frame"]
    assert first_byte(got) == (ord("x"), None, None, 4096, False)


def test_close_closes_once(memfd: int) -> None:
    buffer = Buffer(memfd, SIZE)
    buffer.close()
    assert not buffer
    reused = os.dup2(0, memfd)
    buffer.close()
    assert is_open(reused)
    os.close(reused)


def test_descriptor_of_a_closed_buffer_is_refused(memfd: int) -> None:
    buffer = Buffer(memfd, SIZE)
    buffer.close()
    with pytest.raises(ClosedError):
        _ = buffer.fd


def test_forgotten_buffer_warns_and_closes(memfd: int) -> None:
    buffer = Buffer(memfd, SIZE)
    with pytest.warns(ResourceWarning, match="never closed"):
        del buffer
        gc.collect()
    assert not is_open(memfd)


def test_a_buffer_in_a_cycle_is_open_until_its_block_has_ended(memfd: int) -> None:
    class Reader:
        def __init__(self, buffer: MemfdBuffer) -> None:
            self.buffer = buffer
            self.views = self.read()
            next(self.views)

        def read(self) -> Iterator[memoryview]:
            with self.buffer.cpu_access("rw") as view:
                yield view

    buffer = MemfdBuffer(memfd, SIZE)
    syncs = buffer.syncs = []
    Reader(buffer)
    with pytest.warns(ResourceWarning, match="never closed"):
        del buffer
        gc.collect()
    assert syncs == [3, 7]
    assert not is_open(memfd) and mappings() == 0


def test_what_is_no_dma_buf_is_called_so_by_errno(memfd: int) -> None:
    with Buffer(memfd, SIZE) as buffer:
        with pytest.raises(OSError) as caught, buffer.cpu_access("r"):
            pass
        assert caught.value.errno == errno.ENOTTY
        assert "synchronized" in str(caught.value)


def test_access_that_could_not_begin_does_not_hold_the_buffer_open(memfd: int) -> None:
    buffer = Buffer(memfd, SIZE)
    with pytest.raises(OSError), buffer.cpu_access("r"):
        pass
    buffer.close()
    assert not is_open(memfd)


def test_name_that_fails_says_which(memfd: int) -> None:
    with Buffer(memfd, SIZE) as buffer, pytest.raises(OSError, match="camera-0") as caught:
        buffer.set_name("camera-0")
    assert caught.value.errno == errno.ENOTTY


def test_a_chunk_is_called_by_its_number_and_its_context(memfd: int) -> None:
    with Buffer(memfd, SIZE, 12, "shared") as buffer:
        assert repr(buffer) == f"<chunk 12 of context 'shared' fd={memfd}>"


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="b'x' cannot name a buffer: a name is a str"):
        encode_name(b"x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["x" * 32, "ü" * 16, "a\0b", "\x1b[2J", "a\nb", "\u202eb", "\ud800"]
)
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
