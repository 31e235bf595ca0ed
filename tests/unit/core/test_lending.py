# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Views and arrays of a buffer: what outlives its block is an error, never garbage."""

from __future__ import annotations

import errno
import gc
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import cffi
import cv2
import numpy as np
import pytest
from cm_agent.core import lending
from cm_agent.core.errors import KeptError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from unit.core.memfd_buffer import MemfdBuffer

ffi = cffi.FFI()
SIZE = 4 * mmap.PAGESIZE
ROWS, COLUMNS = 64, 256
OUTLIVES = "outlives its `with` block"


@pytest.fixture
def buffer() -> Iterator[MemfdBuffer]:
    with MemfdBuffer.holding(bytes(range(256)) * (SIZE // 256)) as made:
        yield made
        gc.collect()


OF_A_VIEW: dict[str, Callable[[memoryview], Any]] = {
    "slice": lambda view: view[8:],
    "memoryview": memoryview,
    "cast": lambda view: view.cast("I"),
    "read-only": lambda view: view.toreadonly(),
    "numpy.frombuffer": lambda view: np.frombuffer(view, np.uint8),
    "numpy.asarray": np.asarray,
    "numpy.ndarray": lambda view: np.ndarray((16,), np.uint8, view),
    "cffi": ffi.from_buffer,
    "pillow": lambda view: Image.frombuffer(
        "L", (COLUMNS, ROWS), cast(Any, view), "raw", "L", 0, 1
    ),
}
OF_AN_ARRAY: dict[str, Callable[[Any], Any]] = {
    "row": lambda array: array[0],
    "reversed": lambda array: array[:, ::-1],
    "transposed": lambda array: array.T,
    "reshaped": lambda array: array.reshape(-1),
    "view": lambda array: array.view(np.uint16),
    "subclass": lambda array: array.view(np.matrix),
    "masked": np.ma.asarray,
    "as_strided": lambda array: np.lib.stride_tricks.as_strided(array, (4, 4), (256, 1)),
    "iterator": lambda array: array.flat,
    "memoryview": memoryview,
    "numpy.frombuffer": lambda array: np.frombuffer(array, np.uint8),
    "numpy.ndarray": lambda array: np.ndarray((16,), np.uint8, array),
    "interface": lambda array: np.asarray(
        SimpleNamespace(__array_interface__=array.__array_interface__, keeps=array)
    ),
    "dlpack": np.from_dlpack,
    "cffi": ffi.from_buffer,
    "ctypes": lambda array: array.ctypes,
    "pillow": lambda array: Image.frombuffer("L", (COLUMNS, ROWS), array, "raw", "L", 0, 1),
    "pillow.fromarray": Image.fromarray,
    "cv2.UMat": lambda array: [array[:32, :32]],
}


@pytest.mark.parametrize("mode", ["r", "rw"])
@pytest.mark.parametrize("made", OF_A_VIEW.values(), ids=OF_A_VIEW)
def test_what_is_made_of_a_view_is_an_error(
    buffer: MemfdBuffer, made: Callable[[Any], Any], mode: Any
) -> None:
    with pytest.raises(KeptError, match=OUTLIVES), buffer.cpu_access(mode) as view:
        kept = made(view)
    del kept


@pytest.mark.parametrize("mode", ["r", "rw"])
@pytest.mark.parametrize("made", OF_AN_ARRAY.values(), ids=OF_AN_ARRAY)
def test_what_is_made_of_an_array_is_an_error(
    buffer: MemfdBuffer, made: Callable[[Any], Any], mode: Any
) -> None:
    with (
        pytest.raises(KeptError, match=OUTLIVES),
        buffer.array((ROWS, COLUMNS), np.uint8, mode) as array,
    ):
        kept = made(array)
    del kept


@pytest.mark.parametrize("made", OF_AN_ARRAY.values(), ids=OF_AN_ARRAY)
def test_in_place_of_the_array_too(buffer: MemfdBuffer, made: Callable[[Any], Any]) -> None:
    with (
        pytest.raises(KeptError, match=OUTLIVES),
        buffer.array((ROWS, COLUMNS), np.uint8) as array,
    ):
        array = made(array)
    del array


@pytest.mark.parametrize("made", OF_AN_ARRAY.values(), ids=OF_AN_ARRAY)
def test_what_is_gone_by_the_end_is_none(buffer: MemfdBuffer, made: Callable[[Any], Any]) -> None:
    with buffer.array((ROWS, COLUMNS), np.uint8) as array:
        made(array)


def test_a_copy_may_be_kept(buffer: MemfdBuffer) -> None:
    with buffer.array((ROWS, COLUMNS), np.uint8, "rw") as image:
        copies = [image.copy(), cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), image + 1]
        image[:] = 0
    assert [copy.ravel()[5] for copy in copies] == [5, 1, 6]


USES: dict[str, Callable[[Any], Any]] = {
    "element": lambda array: array[0, 0],
    "sum": lambda array: array.sum(),
    "mean": np.mean,
    "plus": lambda array: array + 1,
    "compare": lambda array: (array > 1).any(),
    "reshape": lambda array: array.reshape(ROWS, COLUMNS),
    "OpenCV": lambda array: cv2.cvtColor(array, cv2.COLOR_GRAY2BGR),
    "Pillow": Image.fromarray,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_an_array_cannot_be_used_after_its_block(
    buffer: MemfdBuffer, use: Callable[[Any], Any]
) -> None:
    with buffer.array((ROWS, COLUMNS), np.uint8) as array:
        use(array)
    with pytest.raises((IndexError, TypeError, ValueError, cv2.error)):
        use(array)
    assert "its block has ended" in repr(array)


def test_a_view_cannot_be_used_after_its_block(buffer: MemfdBuffer) -> None:
    with buffer.cpu_access() as view:
        pass
    with pytest.raises(ValueError, match="released"):
        view[0]


def test_an_array_that_is_kept_in_a_list_is_an_error(buffer: MemfdBuffer) -> None:
    kept = []
    with pytest.raises(KeptError, match=OUTLIVES), buffer.array((16,)) as array:
        kept.append(array)
    assert len(kept) == 1


def test_an_array_that_is_kept_by_an_object_is_an_error(buffer: MemfdBuffer) -> None:
    it = SimpleNamespace()
    with pytest.raises(KeptError, match=OUTLIVES), buffer.array((16,)) as it.array:
        pass


def test_an_error_names_the_chunk_and_what_is_kept() -> None:
    with MemfdBuffer.holding(bytes(SIZE), 12, "shared") as buffer:
        kept: list[Any] = []
        with pytest.raises(KeptError) as caught, buffer.cpu_access() as view:
            kept.append(view[:8])
        assert str(caught.value).startswith(
            "chunk 12 of context 'shared': something made of its memory outlives its `with` block;"
        )
        with pytest.raises(KeptError) as caught, buffer.array((4, 8), "uint16") as array:
            kept.append(array)
        what = "an array of shape (4, 8) and dtype uint16"
        assert str(caught.value).startswith(f"chunk 12 of context 'shared': {what} outlives its")
        assert (caught.value.of, caught.value.kept) == ("chunk 12 of context 'shared'", what)


def is_mapped(address: int) -> bool:
    with open("/proc/self/maps") as maps:
        return any(line.startswith(f"{address:08x}-") for line in maps)


def test_an_array_that_a_thread_begins_to_read_while_it_is_emptied_is_an_error(
    buffer: MemfdBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, reading = lending._empty, []

    def begin(array: Any) -> None:
        reading.append(array)
        empty(array)

    monkeypatch.setattr("cm_agent.core.lending._empty", begin)
    with pytest.raises(KeptError, match=r"an array of shape \(16,\)"), buffer.array((16,)) as array:
        address = array.ctypes.data
    assert is_mapped(address) and mappings() == 0, "it reads a copy"
    del array
    reading.clear()
    gc.collect()
    assert not is_mapped(address)


def test_an_array_may_have_several_names(buffer: MemfdBuffer) -> None:
    with buffer.array((16,)) as array:
        same = also = array
    assert "ended" in repr(also) and same is array


def test_an_array_may_have_lost_its_name(buffer: MemfdBuffer) -> None:
    with buffer.array((16,)) as array:
        del array


def test_names_that_somebody_asked_for_are_references(buffer: MemfdBuffer) -> None:
    with pytest.raises(KeptError, match=OUTLIVES), buffer.array((16,)) as array:
        names = dict(locals())
    assert array is names["array"]


def test_names_are_looked_at_without_a_trace(buffer: MemfdBuffer) -> None:
    """Before Python 3.13, looking makes the function's frame keep a copy of all its variables."""
    with buffer.array((16,)) as one, buffer.array((16,)) as other:
        pass
    with buffer.array((16,)) as again:
        it = again
    assert it is again and one is not other


def test_a_stack_of_blocks_ends_each(buffer: MemfdBuffer) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(buffer.array((16,)))
        other = stack.enter_context(buffer.array((16,), mode="rw"))
        other[3] = 9
        assert one[3] == 9
    assert "ended" in repr(one) and "ended" in repr(other)


def test_a_generator_left_half_way_ends_its_block(buffer: MemfdBuffer) -> None:
    def images() -> Iterator[Any]:
        while True:
            with buffer.array((16,)) as array:
                yield array

    for image in images():
        assert image[5] == 5
        break
    gc.collect()
    assert "ended" in repr(image)
    assert len(buffer._idle) == 1 and buffer._accesses == 0


def test_a_thread_that_still_reads_is_an_error(buffer: MemfdBuffer) -> None:
    begun, ended = threading.Event(), threading.Event()

    def read(array: Any) -> None:
        begun.set()
        ended.wait(60)
        seen.append(int(array[5]))

    seen: list[int] = []
    with pytest.raises(KeptError, match=OUTLIVES), buffer.array((16,)) as array:
        thread = threading.Thread(target=read, args=(array,))
        thread.start()
        begun.wait(60)
    ended.set()
    thread.join()
    assert seen == [5]


def test_an_error_in_the_block_goes_first(buffer: MemfdBuffer) -> None:
    with pytest.raises(KeyError), buffer.array((16,)) as array:
        kept = array[3:]
        raise KeyError
    assert kept[0] == 3


def mappings() -> int:
    with open("/proc/self/maps") as maps:
        return sum("/memfd:test" in line for line in maps)


@pytest.mark.parametrize("error", [KeptError, KeyError])
def test_what_was_kept_has_a_copy_and_the_memory_is_free(
    buffer: MemfdBuffer, error: type[Exception]
) -> None:
    with pytest.raises(error), buffer.cpu_access("rw") as view:
        kept = view[:8]
        if error is KeyError:
            raise KeyError
    assert mappings() == 0
    with buffer.cpu_access("rw") as view:
        view[3] = 77
    kept[2] = 99
    with buffer.cpu_access() as view:
        assert (view[2], view[3], kept[3]) == (2, 77, 3)
    buffer.close()
    assert (mappings(), kept[3]) == (0, 3)


def test_what_was_kept_of_a_stale_chunk_stays_mapped_without_a_copy(
    buffer: MemfdBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it for a copy would end the process (SIGBUS), and so would unmapping it."""

    def fail(fd: int, flags: int) -> None:
        raise OSError(errno.ESTALE, "freed")

    with pytest.raises(OSError, match="freed"), buffer.cpu_access("rw") as view:
        kept = view[:8]
        monkeypatch.setattr(buffer, "_sync", fail)
    buffer.close()
    gc.collect()
    assert (mappings(), kept[5]) == (1, 5)
    kept.release()
    del kept, view
    assert mappings() == 0


def test_without_memory_for_a_copy_what_was_kept_stays_mapped(
    buffer: MemfdBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    with pytest.raises(OSError, match="no memory"), buffer.cpu_access() as view:
        kept = view[:8]
        monkeypatch.setattr("cm_agent.core.lending._map", fail)
    buffer.close()
    gc.collect()
    assert (mappings(), kept[5]) == (1, 5)


def test_an_argument_that_a_pool_has_not_let_go_of_yet_is_none(buffer: MemfdBuffer) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(200):
            with buffer.array((16,)) as array:
                assert pool.submit(np.sum, array).result() == 120


def test_a_cell_of_an_inner_function_is_one_reference(buffer: MemfdBuffer) -> None:
    def inner() -> Iterator[int]:
        yield int(array[5])
        yield 0

    with pytest.raises(KeptError), buffer.array((16,)) as array:
        pending = inner()
        assert next(pending) == 5
        kept = OF_AN_ARRAY["memoryview"](array)
    assert kept[0, 5] == 5 if kept.ndim > 1 else kept[5] == 5


def test_a_namespace_of_two_frames_is_one(buffer: MemfdBuffer) -> None:
    names: dict[str, Any] = {"buffer": buffer}
    block = "with buffer.array((16,)) as array: kept = array[:8]"
    with pytest.raises(KeptError):
        exec(f"exec({block!r}, globals())", names)
    assert names["kept"][5] == 5


def test_a_reader_that_is_collected_in_a_cycle_ends_its_block_on_memory_that_is_there() -> None:
    class Reader:
        def __init__(self, buffer: MemfdBuffer) -> None:
            self.buffer = buffer
            self.views = self.read()
            self.view = next(self.views)

        def read(self) -> Iterator[memoryview]:
            with self.buffer.cpu_access("rw") as view:
                yield view

    with MemfdBuffer.holding(bytes(SIZE)) as buffer:
        Reader(buffer)
        gc.collect()
        with mmap.mmap(-1, SIZE) as other:
            with buffer.cpu_access("rw") as view:
                view[:4] = b"here"
            assert other[:4] == bytes(4) and os.pread(buffer.fd, 4, 0) == b"here"
    assert mappings() == 0


def test_blocks_side_by_side_do_not_blame_each_other(buffer: MemfdBuffer) -> None:
    with buffer.cpu_access("rw") as outer:
        with buffer.cpu_access("rw") as inner:
            inner[0] = 1
        part = outer[:8]
        with buffer.array((16,)) as array:
            assert array[0] == 1
        part.release()
    assert len(buffer._idle) == 2


class Lives:
    """One buffer, the blocks that are open on it, and what was made in each and is kept."""

    def __init__(self) -> None:
        self.buffer = MemfdBuffer.holding(bytes(SIZE))
        self.blocks: list[tuple[Any, Any, list[Any]]] = []
        self.left: list[Any] = []

    def open(self, array: bool) -> None:
        block = self.buffer.array((ROWS, COLUMNS)) if array else self.buffer.cpu_access()
        self.blocks.append((block, block.__enter__(), []))

    def keep(self, number: int, way: int) -> None:
        if self.blocks:
            _, lent, kept = self.blocks[number % len(self.blocks)]
            ways = list((OF_A_VIEW if isinstance(lent, memoryview) else OF_AN_ARRAY).values())
            kept.append(ways[way % len(ways)](lent))

    def drop(self, number: int) -> None:
        if self.blocks:
            self.blocks[number % len(self.blocks)][2].clear()

    def end(self, number: int) -> None:
        if self.blocks:
            block, lent, kept = self.blocks.pop(number % len(self.blocks))
            try:
                block.__exit__(None, None, None)
            except KeptError:
                assert kept
                self.left += kept
            else:
                assert not kept
                with pytest.raises((ValueError, IndexError)):
                    lent[0]


STEP = st.one_of(
    st.tuples(st.just("open"), st.booleans()),
    st.tuples(st.just("keep"), st.integers(0, 7), st.integers(0, 99)),
    st.tuples(st.just("drop"), st.integers(0, 7)),
    st.tuples(st.just("end"), st.integers(0, 7)),
)


@given(st.lists(STEP, max_size=30))
def test_a_block_ends_with_an_error_exactly_when_something_of_it_is_kept(steps: list[Any]) -> None:
    lives = Lives()
    for verb, *words in steps:
        getattr(lives, verb)(*words)
    while lives.blocks:
        lives.end(0)
    lives.buffer.close()
    assert lives.buffer._idle == []
