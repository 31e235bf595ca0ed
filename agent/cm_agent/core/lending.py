# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Memory lent for the length of a block, and how its end learns what outlives it.

Python has no way to take memory back from a view or an array. But all views of a block refer to one
object of it, and references are counted: so the end of a block knows, and raises KeptError. What
was kept has a copy from then on, so that the chunk is free all the same.

What nobody can know of is a bare address, as in ndarray.__array_interface__ or ndarray.ctypes.data.
"""

from __future__ import annotations

import gc
import inspect
import math
import mmap
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from cm_agent.core.errors import KeptError
from cm_agent.core.uapi import ffi, libc

if TYPE_CHECKING:
    from numpy import ndarray

    Array: TypeAlias = ndarray[Any, Any]

_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
_PRIVATE_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_MAY_MOVE_FIXED = 1 | 2
_PATIENCE = 20


class Mapping:
    """The memory of a dma-buf in this process, lent to one block at a time.

    Not Python's mmap, which has a descriptor of its own, and with it the chunk, for as long as
    something is kept.
    """

    def __init__(self, fd: int, size: int, *, writable: bool) -> None:
        protection = _READ_WRITE if writable else mmap.PROT_READ
        address = _map(size, protection, mmap.MAP_SHARED, fd)
        self._size = size
        # All views refer to this, which the garbage collector does not track: it would have what is
        # in a cycle finalized before the end of an abandoned block, which still needs the memory.
        self._memory: Any = ffi.cast("char *", address)
        weakref.finalize(self._memory, libc.munmap, address, size).atexit = False
        self._block: Callable[[], object | None] = lambda: None

    @contextmanager
    def lend(self, of: str, *, writable: bool) -> Iterator[memoryview]:
        """Lend a view; KeptError when something made of it outlives the block.

        of: whose memory it is, for that error. An error in the block goes before that one;
        is_kept() knows all the same.
        """
        block = ffi.buffer(self._memory, self._size)
        self._block = weakref.ref(block)
        view = memoryview(block)
        shown = view if writable else view.toreadonly()
        try:
            yield shown
        finally:
            for it in (shown, view):
                with suppress(BufferError):
                    it.release()
            del it, shown, view, block
        if self.is_kept():
            raise KeptError(of)

    def is_kept(self) -> bool:
        """Return whether something made of the view of the last block is still there."""
        return self._block() is not None

    def copy(self) -> None:
        """Put a copy of the content in place of the memory, from one moment to the next.

        What is kept of the memory has the copy then. OSError: there is none, and it has the memory.
        """
        content = _map(self._size, _READ_WRITE, _PRIVATE_ANONYMOUS, -1)
        ffi.memmove(content, self._memory, self._size)
        place = ffi.cast("void *", self._memory)
        if libc.mremap(content, self._size, self._size, _MAY_MOVE_FIXED, place) != place:
            number = ffi.errno
            libc.munmap(content, self._size)
            raise OSError(number, os.strerror(number))

    def close(self) -> None:
        """Unmap the memory, though a traceback may still refer to this object."""
        self._memory = None


def _map(size: int, protection: int, flags: int, fd: int) -> Any:
    address = libc.mmap(ffi.NULL, size, protection, flags, fd, 0)
    if int(ffi.cast("intptr_t", address)) == -1:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return address


class Part(NamedTuple):
    """An array within one of several views: its number, and there bytes from the start."""

    view: int
    offset: int
    shape: tuple[int, ...]
    dtype: Any
    strides: tuple[int, ...] | None


class LentArrays:
    """NumPy arrays over the bytes that blocks lend; a context manager, to be used once.

    At the end of its block each array is emptied: using it then is an error. Local
    variables may still refer to it, in functions that are running; anything else that does, or was
    made of it, is a KeptError.
    """

    def __init__(
        self,
        accesses: Sequence[AbstractContextManager[memoryview]],
        parts: Sequence[Part],
        of: str = "",
    ) -> None:
        """Name whose memory it is, for a KeptError, before what the accesses call it."""
        self._accesses = accesses
        self._parts = parts
        self._of = of
        self._kept: list[str] = []
        self._held: list[Array] = []
        self._shown: list[Array] = []
        self._ends = ExitStack()

    def __enter__(self) -> list[Array]:
        with ExitStack() as stack:
            views = [stack.enter_context(access) for access in self._accesses]
            self._held += [_array(views[part.view], part) for part in self._parts]
            self._ends = stack.pop_all()
        self._shown += self._held
        return self._shown

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shown.clear()
        try:
            while self._held:
                self._end_last()
                self._held.pop()
        finally:
            try:
                self._ends.__exit__(kind, error, traceback)
            except KeptError as found:
                of = f"{self._of}, {found.of}" if self._of else found.of
                raise KeptError(of, ", ".join(self._kept) or found.kept) from None

    def _end_last(self) -> None:
        """Empty the last array, or note that it is kept."""
        what = "an array of shape {0.shape} and dtype {0.dtype}".format(self._held[-1])
        if not _is_referred_to(self._held, inspect.currentframe()):
            memory = self._held[-1].base
            _empty(self._held[-1])
            # Between the two, another thread may have begun to read it, by a cell of a function.
            if _outsiders(self._held, inspect.currentframe()) <= 0:
                return
            weakref.finalize(self._held[-1], _let_go, memory).atexit = False
        self._kept.append(what)


def _let_go(memory: object) -> None:
    """Be the last to refer to the memory of an array that was emptied in use."""


def _array(view: memoryview, part: Part) -> Array:
    numpy = import_numpy()
    shape, dtype = part.shape, numpy.dtype(part.dtype)
    try:
        _check_bounds(part, dtype, view.nbytes)
        # Over frombuffer()'s array, which asks the view whether it may be made writable; ndarray()
        # would ask what is below the view, and that may.
        whole = numpy.frombuffer(view, numpy.uint8)
        # Slices of it refer to that one below, too, so that emptying this one leaves them whole.
        array: Array = numpy.ndarray(shape, dtype, whole, part.offset, part.strides)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"no array of shape {shape}, dtype {dtype} and strides {part.strides} "
            f"at byte {part.offset} of {view.nbytes:,}: {error}"
        ) from None
    return array


def _check_bounds(part: Part, dtype: Any, size: int) -> None:
    """Raise ValueError unless all of an array is in the buffer; NumPy's own check overflows."""
    if part.offset < 0 or min(part.shape, default=0) < 0 or dtype.hasobject:
        raise ValueError("neither offset nor shape may be below 0, nor objects be in it")
    strides = part.strides
    if strides is None:
        strides = tuple(
            dtype.itemsize * math.prod(part.shape[at + 1 :]) for at in range(len(part.shape))
        )
    if len(strides) != len(part.shape):
        raise ValueError("as many strides as dimensions")
    spans = [(count - 1) * stride for count, stride in zip(part.shape, strides, strict=True)]
    first = part.offset + sum(min(span, 0) for span in spans)
    end = part.offset + sum(max(span, 0) for span in spans) + dtype.itemsize
    if 0 not in part.shape and not 0 <= first <= end <= size:
        raise ValueError(f"its bytes would be {first:,} to {end:,}")


def import_numpy() -> Any:
    """Import NumPy when an array is asked for; ImportError says how to have it."""
    try:
        import numpy
    except ImportError as error:
        raise ImportError(
            "arrays need NumPy: install python3-numpy (Debian) or cm-agent[numpy] (pip)"
        ) from error
    return numpy


def _empty(array: Array) -> None:
    """Take the memory from an array: what is left has no elements, and a dtype without arithmetic.

    __setstate__() is what unpickling an array ends with: it replaces all that an array is.
    """
    numpy = import_numpy()
    empty: Any = (1, (), numpy.dtype([("its block has ended", "V1")]), False, b"\0")
    array.__setstate__(empty)


def _references(held: list[Any]) -> int:
    it = held[-1]
    return sys.getrefcount(it)


_OUR_REFERENCES = _references([object()])


def _is_referred_to(held: list[Any], frame: FrameType | None) -> bool:
    """Return whether more than `held` and local variables of these frames refer to its last."""
    for _ in range(_PATIENCE):
        if _outsiders(held, frame) <= 0:
            return False
        # An executor's thread hands its result over first, and lets go of the arguments then. It
        # signals no end of that, so nothing but waiting shows whether it lets go at all.
        time.sleep(0.001)
    gc.collect()
    return _outsiders(held, frame) > 0


def _outsiders(held: list[Any], frame: FrameType | None) -> int:
    variables, seen = 0, set[int]()
    while (others := _references(held) - _OUR_REFERENCES) > variables and frame is not None:
        variables += _count_variables(held[-1], frame, seen)
        frame = frame.f_back
    return others - variables


def _count_variables(it: object, frame: FrameType, seen: set[int]) -> int:
    """Count the variables of a frame that refer to an object.

    Frames of a module share its namespace, which is counted once: `seen` has those that were.

    Parameters are not counted, whose references Python 3.14 may leave to the caller; nor are
    variables of an outer function, which that one has.
    """
    code, variables = frame.f_code, frame.f_locals
    if not code.co_flags & inspect.CO_OPTIMIZED:  # a module's or a class'
        if id(variables) in seen:
            return 0
        seen.add(id(variables))
        return sum(value is it for value in variables.values())
    names = {*code.co_varnames[_count_parameters(code) :], *code.co_cellvars}
    count = sum(variables.get(name) is it for name in names)
    # Before Python 3.13 that is a copy, which the frame keeps, with references of its own. One that
    # somebody else has, too, is what they called locals() for.
    if isinstance(variables, dict) and sys.getrefcount(variables) <= _REFERENCES_OF_A_COPY:
        variables.clear()
    return count


_REFERENCES_OF_A_COPY = 3  # the frame's, the variable's, and the argument's


def _count_parameters(code: CodeType) -> int:
    more = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_argcount + code.co_kwonlyargcount + more
