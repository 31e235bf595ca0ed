# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The interactive tester on a board: what each command does, and how a session ends."""

from __future__ import annotations

from typing import Any

import pytest

MIB = 1 << 20
CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])


def session(words: list[str], lines: list[str]) -> dict[str, Any]:
    """Give lines to a command, in a Python that runs already; return how it ended."""
    import contextlib
    import io
    import sys

    from cm_agent.cli import main

    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.StringIO("".join(f"{line}\n" for line in lines))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    finally:
        sys.stdin = before
    return {
        "code": code,
        "out": out.getvalue().splitlines(),
        "err": err.getvalue().splitlines(),
    }


class Bench:
    """`cm-agent shell` of one context of a board."""

    def __init__(self, board: Any, context: str = "shared") -> None:
        self._board, self._context = board, context

    def __call__(self, *lines: str) -> dict[str, Any]:
        """Give lines to the prompt, as a program does."""
        words = ["shell", self._context]
        return self._board.call(session, words=words, lines=list(lines))

    def right(self, *lines: str) -> list[str]:
        """Give lines that must all succeed, and return what was shown."""
        got = self(*lines)
        assert (got["code"], got["err"]) == (0, []), got
        return got["out"]

    def wrong(self, *lines: str) -> str:
        """Give lines of which one must fail, and return the sentence."""
        got = self(*lines)
        assert (got["code"], len(got["err"])) == (1, 1), got
        return got["err"][0]


@pytest.fixture
def bench(module: Any) -> Bench:
    """The tester of the shared context."""
    return Bench(module)


# -- chunks


def test_an_alignment_is_read(bench: Bench) -> None:
    """The tester of 2010 never read it."""
    told = bench.right("alloc 4KiB", "alloc 1MiB/4MiB camera", "info 2", "list")
    assert told[1].startswith("chunk 2 (id ") and told[1].endswith("): 1 MiB, aligned to 4 MiB")
    info = dict(line.split(maxsplit=1) for line in told[2:12])
    assert (info["size"], info["alignment"], info["name"]) == (str(MIB), str(4 * MIB), "camera")
    assert [line.split()[0] for line in told[12:15]] == ["CHUNK", "1", "2"]
    assert told[15].startswith("free: ")


def test_a_failure_has_the_numbers_and_the_session_goes_on(bench: Bench) -> None:
    got = bench("alloc 1MiB", "alloc 65MiB", "alloc much", "aloc 1MiB", "alloc 1MiB", "list")
    first, second, third = got["err"]
    assert first.startswith("context 'shared': allocation of 65 MiB failed: FULL; 63 MiB free,")
    assert second.startswith("alloc: 'much' is not a size")
    assert third == "'aloc' is not a command; `help` lists them"
    assert (got["code"], got["out"][-1]) == (2, "free: 62 MiB, largest hole 62 MiB")


def test_a_freed_chunk_is_stale_until_it_is_closed(bench: Bench) -> None:
    got = bench("alloc 2MiB", "write 1 7", "free 1", "list", "info 1", "write 1 7", "dump 1",
                "kernel-verify 1 7", "free 1", "close 1", "list")  # fmt: skip
    assert got["code"] == 1
    assert len(got["err"]) == 5
    assert all("it was freed; all that is left is to `close` it" in line for line in got["err"])
    assert got["out"][2:4] == ["chunk 1 is freed; its descriptor is stale",
                               "free: 64 MiB, largest hole 64 MiB"]  # fmt: skip
    assert got["out"][5].split()[-1] == "freed"
    assert got["out"][-2] == "this session has no chunks"


# -- pins


def test_a_pinned_chunk_tells_its_place_and_is_not_freed(bench: Bench) -> None:
    got = bench("alloc 2MiB/2MiB", "pin 1", "pin 1", "free 1", "unpin 1", "unpin 1", "unpin 1",
                "free 1")  # fmt: skip
    assert got["code"] == 1
    assert got["out"][1:3] == [got["out"][1]] * 2
    address = int(got["out"][1].split()[5].rstrip(","), 16)
    assert address and address % (2 * MIB) == 0
    busy, none = got["err"]
    assert busy.startswith("chunk 1 (id ") and "did not free it: " in busy
    assert "`unpin` it, or stop the driver" in busy
    assert none.startswith("chunk 1 (id ") and none.endswith("this session holds no pin on it")
    assert "chunk 1 is freed; its descriptor is stale" in got["out"]


def test_a_pin_outlives_the_descriptor_and_goes_with_the_session(bench: Bench) -> None:
    told = bench.right("alloc 2MiB", "pin 1", "close 1", "layout")
    assert told[2].endswith("; its memory stays until the session ends (pins: 1)")
    assert told[3] == "free: 62 MiB, largest hole 62 MiB"
    assert any("pinned" in line.split() for line in told[4:])
    assert bench.right("list")[-1] == "free: 64 MiB, largest hole 64 MiB"


def test_who_may_not_see_addresses_is_told_what_he_lacks(module: Any) -> None:
    got = module.run(
        r"printf 'alloc 1MiB\npin 1\nverify 1\n'"
        " | setpriv --bounding-set -sys_rawio cm-agent shell shared"
    )
    assert got.code == 1
    assert got.stderr.startswith("chunk 1 (id ")
    assert "): context 'shared' did not pin it: Operation not permitted" in got.stderr
    assert got.stderr.endswith("; run as root, or with CAP_SYS_RAWIO")
    assert "1 MiB: CONTIGUOUS" in got.stdout


# -- patterns


@CONTEXTS
@pytest.mark.parametrize(
    ("write", "verify"), [("write", "kernel-verify"), ("kernel-write", "verify")]
)
def test_each_verifies_what_the_other_wrote(
    module: Any, context: str, write: str, verify: str
) -> None:
    told = Bench(module, context).right("alloc 3MiB", f"{write} 1 0xabc", f"{verify} 1 0xabc")
    writer, reader = ("kernel", "user") if write == "kernel-write" else ("user", "kernel")
    assert told[1:] == [
        f"chunk 1: the {writer} wrote 3 MiB with seed 0xabc",
        f"chunk 1: all 3 MiB hold the pattern of seed 0xabc, reads the {reader}",
    ]


@pytest.mark.parametrize(("verify", "reader"), [("verify", "user"), ("kernel-verify", "kernel")])
def test_another_seed_is_noticed(bench: Bench, verify: str, reader: str) -> None:
    assert bench.wrong("alloc 1MiB", "write 1 5", f"{verify} 1 6") == (
        f"chunk 1: at byte 0x0 of 0x100000 the {reader} reads 0x5 instead of 0x6, "
        "the pattern of seed 0x6; look at it with `dump 1 0x0`"
    )


@CONTEXTS
def test_without_a_seed_three_witnesses_are_heard_and_nothing_changes(
    module: Any, linear: dict[str, bool], context: str
) -> None:
    told = Bench(module, context).right("alloc 1MiB", "write 1 9", "verify 1", "verify 1 9")
    assert told[2] == f"context '{context}': 1 MiB: CONTIGUOUS"
    said = [line.split()[:2] for line in told[3:6]]
    assert said == [
        ["attestation", "CONTIGUOUS"],
        ["pagemap", "CONTIGUOUS"],
        ["pattern", "CONTIGUOUS" if linear[context] else "matches"],
    ]


def test_a_dump_shows_the_bytes(bench: Bench) -> None:
    told = bench.right("alloc 8KiB", "kernel-write 1 0x4847464544434241", "dump 1 0xff0 32")
    low, high = "41 42 43 44 45 46 47 48", "42 42 43 44 45 46 47 48"
    assert told[2:] == [
        f"00000ff0  {low}  {low}  |ABCDEFGHABCDEFGH|",
        f"00001000  {high}  {high}  |BBCDEFGHBBCDEFGH|",
        "00001010",
    ]


def test_a_dump_beyond_the_end_is_told_the_end(bench: Bench, page_size: int) -> None:
    assert bench.wrong(f"alloc {page_size}", f"dump 1 {page_size}") == (
        f"chunk 1 has {page_size:#x} bytes, so there is none at {page_size:#x}"
    )


# -- compaction


@CONTEXTS
def test_compaction_leaves_one_hole_and_the_bytes(module: Any, context: str) -> None:
    fill = [line for n in range(1, 5) for line in ("alloc 8MiB", f"write {n} {n}")]
    told = Bench(module, context).right(
        *fill, "close 1", "close 3", "compact", "layout", "kernel-verify 2 2", "verify 4 4"
    )
    rows = [line.split() for line in told if line.strip().startswith("0x")]
    assert sorted(row[3] for row in rows) == ["2", "4", "free"]
    assert "free: 48 MiB, largest hole 48 MiB" in told
    assert "chunks moved: 1, copied: 8 MiB" in told or "chunks moved: 2, copied: 16 MiB" in told


def test_compaction_around_a_pinned_chunk_says_fragmented(bench: Bench) -> None:
    lines = ["alloc 16MiB", "alloc 16MiB", "alloc 16MiB", "pin 2", "close 1", "close 3"]
    assert ": FRAGMENTED; 48 MiB free" in bench.wrong(*lines, "compact 48MiB")


# -- recorded sequences


def test_what_was_recorded_is_replayed(module: Any, bench: Bench) -> None:
    module.check("rm -f /tmp/recorded")
    lines = ["alloc 4MiB/1MiB camera", "record /tmp/recorded", "write 1 7", "alloc 65MiB",
             "alloc 1MiB", "close 1", "write 3 8", "kernel-verify 3 8"]  # fmt: skip
    first = bench(*lines)
    assert (first["code"], len(first["err"])) == (1, 1)
    assert module.check("cat /tmp/recorded").splitlines()[1:] == [
        "alloc 4MiB/1MiB camera  # chunk 1", "write 1 7", "-alloc 65MiB  # chunk 2",
        "alloc 1MiB  # chunk 3", "close 1", "write 3 8", "kernel-verify 3 8",
    ]  # fmt: skip
    for context in ("shared", "private"):
        told = module.check(f"cm-agent shell {context} --replay /tmp/recorded").splitlines()
        assert told[0] == f"{context}> alloc 4MiB/1MiB camera"
        assert any(line.startswith("failed, which it may: context ") for line in told)
        assert told[-1] == "/tmp/recorded: all 7 commands done"


def test_all_commands_are_recorded_to_the_file_that_is_named(module: Any) -> None:
    module.check("rm -f /tmp/recorded")
    module.check(r"printf 'alloc 1MiB\nclose 1\n' | cm-agent shell shared --record /tmp/recorded")
    assert module.check("cat /tmp/recorded").splitlines()[1:] == [
        "alloc 1MiB  # chunk 1",
        "close 1",
    ]
    got = module.run("cm-agent shell shared --record /tmp/recorded </dev/null")
    assert got.code == 1 and "/tmp/recorded: there is a file already" in got.stderr


def test_a_replay_ends_with_1_where_a_command_fails(module: Any) -> None:
    module.check(r"printf '# two\nalloc 1MiB\n\nfree 2\nalloc 2MiB\n' > /tmp/sequence")
    for words in ("--replay /tmp/sequence", "--replay - < /tmp/sequence"):
        got = module.run(f"cm-agent shell shared {words}")
        source = "standard input" if "-" in words.split() else "/tmp/sequence"
        failed = f"cm-agent shell: {source}: line 4: free 2: this session has no chunk 2 (there: 1 "
        assert (got.code, got.stderr.startswith(failed)) == (1, True), got
        assert "alloc 2MiB" not in got.stdout


def test_a_replay_with_a_mistake_ends_with_2_and_does_nothing(module: Any) -> None:
    module.check(r"printf 'alloc 1MiB\nfre 1\n' > /tmp/sequence")
    got = module.run("cm-agent shell shared --replay /tmp/sequence")
    assert (got.code, got.stdout, got.stderr) == (
        2, "", "cm-agent shell: /tmp/sequence: line 2: 'fre' is not a command; `help` lists them",
    )  # fmt: skip


def test_a_replay_at_the_prompt_counts_from_its_chunks(module: Any, bench: Bench) -> None:
    module.check(r"printf 'alloc 2MiB\nwrite 1 7\n' > /tmp/sequence")
    told = bench.right("alloc 1MiB", "replay /tmp/sequence", "verify 2 7", "close 1")
    assert told[1:3] == ["shared> alloc 2MiB", told[2]] and told[2].startswith("chunk 2 (id ")


# -- the terminal


def at_terminal(end: bytes) -> dict[str, Any]:
    """Type at `cm-agent shell shared` on a terminal, and end it; return how that went.

    The end is typed again each second: of a Ctrl-C that comes after the prompt was shown and
    before CPython's readline waits for keys, Python only learns at the next key.
    """
    import os
    import pty
    import select
    import signal
    import time

    child, terminal = pty.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvp("cm-agent", ["cm-agent", "shell", "shared"])
    shown, until = b"", time.monotonic() + 60
    lines, typed, last = [b"alloc 4MiB\n", b"aloc\n", b"dum\t1 0 16\n", end], 0, 0.0
    while time.monotonic() < until:
        if typed < len(lines) and shown.count(b"shared> ") > typed:
            os.write(terminal, lines[typed])
            typed, last = typed + 1, time.monotonic()
        elif typed == len(lines) and time.monotonic() > last + 1:
            os.write(terminal, end)
            last = time.monotonic()
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
    else:
        os.kill(child, signal.SIGKILL)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"code": code, "shown": shown.decode(errors="replace"), "typed": typed}


@pytest.mark.parametrize("end", [b"\x04", b"\x03", b"quit\n"], ids=["Ctrl-D", "Ctrl-C", "quit"])
def test_a_person_is_prompted_and_ends_it(module: Any, end: bytes) -> None:
    got = module.call(at_terminal, end=end)
    assert (got["code"], got["typed"]) == (0, 4), got
    assert "chunk 1 (id " in got["shown"] and "'aloc' is not a command" in got["shown"]
    assert "00000000  00 00" in got["shown"]
    assert "Traceback" not in got["shown"]
