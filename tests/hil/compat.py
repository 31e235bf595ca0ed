# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What compat.c, a program for 32-bit ARM, is told to do on a board, and what it was told there.

It inherits the descriptors of the Python that starts it, so both can speak of the same chunks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from boards import toolchain
from boards.board import PROJECT
from hil.test_ioctl import call, struct_of

SOURCE = PROJECT / "tests/hil/compat.c"
BUILT = PROJECT / "build/compat/cm-compat"
NOWHERE = (1 << 32) - 1


def build() -> Path:
    """Build the program by the compiler of the boards' suite, and return where it is."""
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    words = ["-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", str(BUILT), str(SOURCE)]
    toolchain.compile("trixie", "armhf", words)
    return BUILT


def request(
    name: str, argument: bytes | None = None, *, pointer: str = "", room: int = 0, **how: Any
) -> tuple[Any, ...]:
    """Describe a call like test_ioctl does, with an array of `room` bytes for a pointer member."""
    at = dict(struct_of(name).fields)[pointer].offset if pointer else NOWHERE
    return (*call(name, argument, **how), at, room)


def perform(
    program: str, context: str, other: str, node: str, calls: list[Any], twice: bool
) -> list[Any]:
    """Make calls on a scene by the program; if `twice`, make them by Python before.

    Return whether the program left the scene as it was, and, of the program and of Python, lists
    of each call's errno, argument (without its pointer) and array.
    """
    import ctypes
    import fcntl
    import os
    import struct
    import subprocess
    from contextlib import ExitStack

    from cm_agent.core.context import Context

    def state() -> tuple[Any, ...]:
        return pool.query(), second.query(), len(os.listdir(f"/proc/{child.pid}/fd"))

    def by_python(number: int, argument: bytearray, pointer: int, room: int, *_: int) -> Any:
        array, failure = ctypes.create_string_buffer(room), 0
        if pointer != NOWHERE:
            struct.pack_into("=Q", argument, pointer, ctypes.addressof(array))
        try:
            fcntl.ioctl(fds[node], number, argument)
        except OSError as error:
            failure = error.errno
        return failure, argument, array.raw

    def by_program(
        number: int, argument: bytearray, pointer: int, room: int, beyond: int, *rest: int
    ) -> Any:
        words = (fds[node], number, len(argument), pointer, room, beyond, *rest)
        child.stdin.write(struct.pack("=8I", *words) + argument)
        child.stdin.flush()
        (failure,) = struct.unpack("=I", child.stdout.read(4))
        told = bytearray(child.stdout.read(len(argument) - beyond))
        return failure, told, child.stdout.read(room)

    def make(by: Any) -> list[Any]:
        answers = []
        for number, sent, at, kind, beyond, there, address, pointer, room in calls:
            argument = bytearray(sent)
            if kind != "new" and len(argument) >= at + 4:
                struct.pack_into("=i", argument, at, fds[kind])
            place = NOWHERE if address is None else address
            failure, told, array = by(number, argument, pointer, room, beyond, there, place)
            if kind == "new" and at is not None and not failure:
                (fds["allocated"],) = struct.unpack_from("=i", told, at)
                if by is by_python:
                    stack.callback(os.close, fds["allocated"])
            if pointer != NOWHERE:
                struct.pack_into("=Q", told, pointer, 0)
            answers.append([failure, bytes(told), array])
        return answers

    NOWHERE = (1 << 32) - 1
    with ExitStack() as stack:
        pool, second = (stack.enter_context(Context(it)) for it in (context, other))
        paths = ("/dev/null", "/dev/cm/control")
        opened = [*os.pipe(), os.memfd_create("it"), *[os.open(it, os.O_RDWR) for it in paths]]
        stack.callback(lambda: [os.close(fd) for fd in opened])
        chunks = [stack.enter_context(it.alloc(8 << 12, name="it")) for it in (pool, pool, second)]
        kinds = ("pipe", "pipe's end", "memfd", "null", "control", "chunk", "stale", "other")
        fds = dict(zip(kinds, [*opened, *[it.fd for it in chunks]], strict=True))
        fds |= {"node": pool.fileno(), "negative": -1, "closed": 1 << 16}
        pool.free(chunks[1])
        inherited = [fd for fd in fds.values() if 0 <= fd < 1 << 16]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([program], pass_fds=inherited, **pipes) as child:
            assert child.stdout.read(4) == b"\4\0\0\0", "a pointer has 32 bits"
            first = make(by_python) if twice else []
            before = state()
            answers = make(by_program)
            return [state() == before, answers, first]


def ask(
    board: Any,
    program: str,
    calls: list[Any],
    *,
    context: str = "shared",
    other: str = "private",
    node: str = "node",
    twice: bool = False,
) -> list[Any]:
    """Return what `perform` does."""
    scene = {"context": context, "other": other, "node": node, "twice": twice}
    return board.call(perform, program=program, calls=calls, **scene)
