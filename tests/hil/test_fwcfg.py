# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""DMA by an address that user space was told: QEMU's fw_cfg device writes and reads our chunks.

A DSP or an FPGA that the kernel has no driver for does the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from boards.emulator import FILE_BYTES
from hil.scene import RAMFB, SHOWN, Ask, serve

PAGE = 4096
NO_FORMAT = 0
"""Of pixels: the display goes on showing what it did."""
pytestmark = [pytest.mark.two_kernels, pytest.mark.lg_feature("fw-cfg")]


@pytest.fixture(params=["shared", "private"])
def ask(module: Any, request: pytest.FixtureRequest) -> Iterator[Ask]:
    """What does as told in a context of the board."""
    with module.talk(serve, context=request.param) as asked:
        yield asked


def fetch(module: Any, ask: Ask, name: str, offset: int) -> bytes:
    """Have the device write the host's file to a place in a chunk; return the file's bytes."""
    emulator = module.strategy.power.emulator
    item, size = ask("find", emulator.board.qemu.fw_cfg)
    assert size == FILE_BYTES
    ask("fetch", item, ask("pin", name) + offset, size)
    return emulator.file.read_bytes()


def test_a_device_writes_a_file_of_this_machine_into_a_chunk(module: Any, ask: Ask) -> None:
    size = ask("alloc", "chunk", FILE_BYTES)
    sent = fetch(module, ask, "chunk", 0)
    assert ask("read", "chunk", 0, size) == sent.ljust(size, b"\0")


def test_a_device_writes_no_byte_beside_what_it_was_told(module: Any, ask: Ask) -> None:
    """From an odd address on, with chunks beside it."""
    ask("alloc", "before", PAGE)
    size = ask("alloc", "chunk", FILE_BYTES + 3 * PAGE)
    ask("alloc", "after", PAGE)
    sent = fetch(module, ask, "chunk", PAGE + 3)
    got = ask("read", "chunk", 0, size)
    assert got == (bytes(PAGE + 3) + sent).ljust(size, b"\0")
    assert ask("read", "before", 0, PAGE) == ask("read", "after", 0, PAGE) == bytes(PAGE)


def test_a_device_reads_what_the_cpu_wrote(module: Any, ask: Ask) -> None:
    """The one file that can be written is where the display's picture is; it is read again."""
    told = SHOWN.pack(secrets.randbits(64), NO_FORMAT, 0, 0, 0, 0)
    item, size = ask("find", RAMFB)
    assert size == len(told)
    ask("alloc", "from", PAGE)
    ask("alloc", "to", PAGE)
    ask("write", "from", 100, told)
    ask("store", item, ask("pin", "from") + 100, size)
    ask("fetch", item, ask("pin", "to"), size)
    assert ask("read", "to", 0, size) == told


def test_a_chunk_that_moved_is_not_where_the_device_was_told(module: Any, ask: Ask) -> None:
    """An address is good for as long as the pin: what is written there afterwards is elsewhere."""
    emulator = module.strategy.power.emulator
    item, _ = ask("find", emulator.board.qemu.fw_cfg)
    ask("alloc", "below", 2 << 20)
    ask("alloc", "chunk", FILE_BYTES)
    address = ask("pin", "chunk")
    ask("unpin", "chunk")
    ask("close", "below")
    assert ask("compact") > 0
    size = ask("alloc", "above", ask("largest"))
    offset = address - ask("pin", "above")
    assert 0 <= offset <= size - FILE_BYTES
    ask("fetch", item, address, FILE_BYTES)
    assert ask("read", "above", offset, FILE_BYTES) == emulator.file.read_bytes()
    assert ask("read", "chunk", 0, FILE_BYTES) == bytes(FILE_BYTES)
