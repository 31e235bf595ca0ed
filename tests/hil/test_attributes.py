# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Single values in /sys/class/cm/<context>/: those that kmod/sysfs-class-cm documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from boards.board import PROJECT

pytestmark = pytest.mark.parametrize("context", ["shared", "private"])
ENTRY = re.compile(r"What:\s+/sys/class/cm/<context>/(\w+)\n(?:\w+:.*\n)*Description:\s+(.*)")
OF_THE_DRIVER_CORE = {"dev", "device", "power", "subsystem", "uevent"}
ACCESS = {"Read-only by root": 0o400, "Read-only": 0o444}
PARAMETER = "/sys/module/cm/parameters/linger_ms"
SIZES = ("size", "free", "largest_hole", "pinned", "draining", "min_alignment")
NEVER_ZERO = (*SIZES, "held", "chunks", "attempts", "successes", "frees", "moves", "moved_bytes")


def documented() -> dict[str, str]:
    """Return the description of each attribute."""
    return dict(ENTRY.findall((PROJECT / "kmod/sysfs-class-cm").read_text()))


def access(description: str) -> int | None:
    """Return the mode that a file must have by its description."""
    return next((mode for word, mode in ACCESS.items() if word in description), None)


def modes(context: str) -> dict[str, int]:
    """Return the mode of each entry of a context's directory."""
    import os
    import stat

    with os.scandir(f"/sys/class/cm/{context}/") as entries:
        return {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in entries}


def test_every_documented_file_is_there_and_no_other(module: Any, context: str) -> None:
    there = module.call(modes, context=context)
    assert set(there) - OF_THE_DRIVER_CORE == set(documented())


def test_a_file_may_be_read_as_documented_and_written_by_nobody(module: Any, context: str) -> None:
    there = module.call(modes, context=context)
    described = documented()
    assert {name: there[name] for name in described} == {
        name: access(description) for name, description in described.items()
    }


def read_beside_the_calls(context: str, names: list[str]) -> list[dict[str, str]]:
    """Use a context in every way; return what its files say, and what QUERY and STATS do."""
    import ctypes
    import mmap
    import os
    from contextlib import ExitStack, suppress
    from dataclasses import asdict
    from pathlib import Path

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    def drain(chunk: Any, writer: int) -> None:
        with mmap.mmap(chunk.fd, chunk.size) as mapping:
            mapping[0] = 1
            page = ctypes.c_char.from_buffer(mapping)
            vector = (ctypes.c_size_t * 2)(ctypes.addressof(page), 4096)
            assert ctypes.CDLL(None).vmsplice(writer, vector, 1, 0) == 4096
            del page
        chunk.close()

    with Context(context) as pool, ExitStack() as stack:
        first, *chunks = [stack.enter_context(pool.alloc(n << 20)) for n in (1, 2, 3, 4)]
        first.close()
        pool.compact()
        chunks[1].close()
        pool.pin(chunks[0])
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        stack.callback(os.close, writer)
        drain(pool.alloc(5 << 16), writer)
        with suppress(AllocationError):
            pool.alloc(1 << 40)
        files = {name: Path(f"/sys/class/cm/{context}/{name}").read_text() for name in names}
        state = pool.query()
        numbers = asdict(state) | asdict(pool.stats())
    calls = {name: f"{numbers[name]}\n" for name in names if name != "kind"}
    return [files, calls | {"kind": "private\n" if state.private else "shared\n"}]


@pytest.fixture
def lingering(module: Any) -> Iterator[Any]:
    """The board, whose granules do not go back to the system while they are counted."""
    before = module.check(f"cat {PARAMETER}")
    module.check(f"echo 60000 >{PARAMETER}")
    yield module
    module.check(f"echo {before} >{PARAMETER}")


def test_a_value_is_what_the_calls_say(lingering: Any, context: str) -> None:
    names = sorted(set(documented()) - {"bank", "offset"})
    files, calls = lingering.call(read_beside_the_calls, context=context, names=names)
    assert files == calls
    assert "0\n" not in {files[name] for name in NEVER_ZERO}
    assert len({files[name] for name in SIZES}) == len(SIZES)
    assert files["attempts"] != files["successes"]


def test_bank_and_offset_are_those_of_the_device_tree(
    module: Any, context: str, banks: dict[str, str]
) -> None:
    """test_control.py and test_chunks.py have contexts that begin elsewhere in a bank."""
    shown = module.check(f"cd /sys/class/cm/{context} && cat bank offset")
    assert shown.splitlines() == [banks[context], "0"]
