# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Who holds what: `cm-agent chunks`, and the error of an allocation that fails; and `exec`.

The users here are numbers without a name.
"""

from __future__ import annotations

from typing import Any

import pytest
from unit.cli.schema import check as document

MIB = 1 << 20
CONTEXTS = pytest.mark.parametrize("context", ["shared", "private"])
ALICE, BOB, CAROL = 61041, 61042, 61043
# Name, user, MiB; the last one closes its descriptors, and keeps a mapping.
PROCESSES = [
    ["camera", ALICE, 16],
    ["encoder", ALICE, 8],
    ["display", BOB, 20],
    ["tool", CAROL, 4],
    ["mapping", CAROL, 2],
]
GUEST = "setpriv --reuid guest --regid guest --groups cm"


def hold(channel: Any, context: str, processes: list[Any]) -> None:
    """Have each process allocate for its user; answer `pids`, and `run COMMAND`.

    One of the name `mapping` has no descriptor then, but a mapping; one of the name `ended` has
    ended, and a child of it has the chunk.
    """
    import grp
    import os
    import signal
    import subprocess
    import time
    from contextlib import suppress
    from pathlib import Path

    from cm_agent.core.context import Context
    from cm_agent.core.lending import Mapping

    def allocate(name: str, uid: int, size: int) -> None:
        Path("/proc/self/comm").write_text(name)
        os.setgroups([grp.getgrnam("cm").gr_gid])
        os.setresuid(uid, uid, uid)
        with Context(context) as pool:
            chunk = pool.alloc(size, name=f"of {name}")
        mapping = Mapping(chunk.fd, size, writable=True) if name == "mapping" else None
        if mapping:
            chunk.close()
        if name == "ended" and os.fork():
            os._exit(0)
        os.write(ready, name.encode())
        signal.pause()

    def end(child: int) -> None:
        """Kill a process with its child, and wait until neither has a chunk."""
        with suppress(ProcessLookupError):
            while True:
                os.killpg(child, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(child, 0)
                time.sleep(0.01)

    children, (heard, ready) = [], os.pipe()
    try:
        for name, uid, mib in processes:
            if not (child := os.fork()):
                try:
                    os.setpgid(0, 0)
                    allocate(name, uid, mib << 20)
                finally:
                    os.write(ready, b"failed")
                    os._exit(1)
            children.append(child)
            assert os.read(heard, 64).decode() == name
            if name == "ended":
                os.waitpid(child, 0)
        while words := channel.receive():
            if words[0] == "pids":
                channel.send(children)
                continue
            done = subprocess.run(words[1], shell=True, capture_output=True, text=True)
            channel.send([done.stdout, done.stderr, done.returncode])
    finally:
        for child in children:
            end(child)
        os.close(heard)
        os.close(ready)


@CONTEXTS
@pytest.mark.two_kernels
def test_all_who_hold_something_are_named(module: Any, context: str, banks: dict[str, str]) -> None:
    """Also the one that has closed its descriptors."""
    with module.talk(hold, context=context, processes=PROCESSES) as ask:
        pids = ask("pids")
        text, _, _ = ask("run", f"cm-agent chunks {context} --json")
        shown = document(text)["result"]
        table, _, code = ask("run", f"cm-agent chunks {context}")
    assert [
        [it["comm"], it["uid"], it["size"], it["pid"], it["name"], it["gone"], it["bank"]]
        for it in sorted(shown["chunks"], key=lambda it: pids.index(it["pid"]))
    ] == [
        [name, uid, mib * MIB, pid, f"of {name}", False, banks[context]]
        for (name, uid, mib), pid in zip(PROCESSES, pids, strict=True)
    ]
    sums = {it["uid"]: (it["chunks"], it["bytes"]) for it in shown["users"]}
    assert sums == {ALICE: (2, 24 * MIB), BOB: (1, 20 * MIB), CAROL: (2, 6 * MIB)}
    assert code == 0 and "gone" not in table
    assert all(f"{name}[{pid}]" in table for (name, *_), pid in zip(PROCESSES, pids, strict=True))


@CONTEXTS
@pytest.mark.two_kernels
def test_an_allocation_that_does_not_fit_names_the_largest_holders(
    module: Any, context: str
) -> None:
    with module.talk(hold, context=context, processes=PROCESSES) as ask:
        camera, encoder, display, tool, mapping = ask("pids")
        text, _, _ = ask("run", f"cm-agent alloc {context} 16MiB --json")
        _, hidden, _ = ask("run", f"{GUEST} cm-agent alloc {context} 16MiB")
    (error,) = document(text)["errors"]
    assert error["reason"] == "FULL"
    assert error["message"].endswith(
        f"; largest holders: {ALICE} 24 MiB (camera {camera}, encoder {encoder}), "
        f"{BOB} 20 MiB (display {display}), {CAROL} 6 MiB (tool {tool}, mapping {mapping})"
    )
    assert [it["uid"] for it in error["holders"]] == [ALICE, BOB, CAROL]
    assert hidden.rstrip().endswith(
        f"; largest holders: {ALICE} 24 MiB, {BOB} 20 MiB, {CAROL} 6 MiB"
    )


def test_others_see_sizes_and_users_and_no_more(module: Any) -> None:
    with module.talk(hold, context="shared", processes=PROCESSES) as ask:
        text, _, _ = ask("run", f"{GUEST} cm-agent chunks shared --json")
        layout, _, code = ask("run", f"{GUEST} cm-agent layout shared")
    shown = document(text)["result"]
    assert {it["uid"] for it in shown["chunks"]} == {ALICE, BOB, CAROL}
    assert all(it["hidden"] and it["gone"] is None for it in shown["chunks"])
    assert {it["offset"] for it in shown["chunks"]} == {None}
    assert (code, layout.count("hidden"), "0x" in layout) == (0, len(PROCESSES), False)


def test_a_process_that_has_ended_is_said_to_be_gone(module: Any) -> None:
    with module.talk(hold, context="shared", processes=[["ended", ALICE, 2]]) as ask:
        (pid,) = ask("pids")
        text, _, _ = ask("run", "cm-agent chunks shared --json")
        table, _, _ = ask("run", "cm-agent chunks")
    (chunk,) = document(text)["result"]["chunks"]
    assert (chunk["pid"], chunk["gone"]) == (pid, True)
    assert f"ended[{pid}], gone" in table


def test_a_layout_shows_chunks_and_holes_in_proportion(module: Any) -> None:
    with module.talk(hold, context="private", processes=PROCESSES) as ask:
        text, _, _ = ask("run", "cm-agent layout private --json")
        picture, _, _ = ask("run", "cm-agent layout private")
    shown = document(text)["result"]
    sizes = [it["size"] for it in (*shown["chunks"], *shown["holes"])]
    assert sum(sizes) == shown["state"]["size"] == 64 * MIB
    rows = [line.partition("|")[2].rstrip("|") for line in picture.splitlines()[1:5]]
    drawn = "".join(rows)
    assert sorted(drawn.count(sign) * MIB // 4 for sign in "abcde") == sorted(
        mib * MIB for _, _, mib in PROCESSES
    )


def compact(channel: Any) -> None:
    """Leave holes of 8 MiB around a chunk, pinned or not, and answer commands."""
    import subprocess

    from cm_agent.core.context import Context

    with Context("private") as pool:
        chunks = [pool.alloc(8 << 20) for _ in range(8)]
        for chunk in chunks[::2]:
            chunk.close()
        while words := channel.receive():
            if words[0] == "pin":
                channel.send([pool.pin(it).size for it in chunks[1::2]])
                continue
            done = subprocess.run(words[1], shell=True, capture_output=True, text=True)
            channel.send([done.stdout, done.stderr, done.returncode])
        for chunk in chunks[1::2]:
            chunk.close()


def test_compact_makes_a_hole_or_says_why_not(module: Any) -> None:
    with module.talk(compact) as ask:
        ask("pin")
        _, why, failed = ask("run", "cm-agent compact private 16MiB")
    with module.talk(compact) as ask:
        text, _, _ = ask("run", "cm-agent compact private 32MiB --json")
    assert failed == 1 and "hole of 16 MiB failed: FRAGMENTED; 32 MiB free" in why
    assert "; largest holders: root 32 MiB (" in why
    done = document(text)["result"]
    assert (done["free"], done["largest_hole"] >= 32 * MIB, done["moves"] > 0) == (
        32 * MIB, True, True,
    )  # fmt: skip


# -- exec


def test_a_command_has_chunks_by_its_descriptors(module: Any, page_size: int) -> None:
    shown = module.check(
        "cm-agent exec --context shared --alloc 1MiB/2MiB,name=frames --alloc 1B -- "
        "sh -c 'echo $CM_FDS; readlink /proc/self/fd/*; true'"
    ).splitlines()
    (frames, fd, size), (second, _, least) = (it.split(":") for it in shown[0].split(","))
    assert (frames, size, second, least) == ("frames", str(MIB), "2", str(page_size))
    assert int(fd) > 2 and "/dmabuf:frames" in shown
    assert not [line for line in shown if line.startswith("/dev/cm")]


def test_a_commands_chunks_are_its_own_and_go_with_it(module: Any) -> None:
    """It is not gone, though its name is another by then; its exit code is that of exec."""
    got = module.run(
        "cm-agent exec --context private --alloc 8MiB -- "
        "env sh -c 'cm-agent chunks private --json; exit 7'"
    )
    (chunk,) = document(got.stdout)["result"]["chunks"]
    assert (got.code, chunk["comm"], chunk["size"], chunk["gone"]) == (7, "env", 8 * MIB, False)
    assert document(module.check("cm-agent chunks --json"))["result"]["chunks"] == []


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        ("--context shared --alloc 1MiB -- nosuch", 2, "there is no command 'nosuch'"),
        ("--context shared --alloc 1MiB -- /etc/passwd", 1, "cannot be run: Permission denied"),
        ("--context shared --alloc 65MiB -- true", 1, "failed: FULL; 64 MiB free"),
        ("--alloc 1MiB -- true", 2, "give --context: there is not one alone (there: private, sha"),
    ],
)
def test_a_command_that_cannot_run_is_an_error(
    module: Any, line: str, code: int, sentence: str
) -> None:
    got = module.run(f"cm-agent exec {line}")
    assert (got.code, sentence in got.stderr) == (code, True), got


# -- info


def test_info_names_the_features_and_where_a_context_lies(
    module: Any, banks: dict[str, str]
) -> None:
    known = document(module.check("cm-agent info --json"))["result"]["module"]
    assert (known["version"], known["contexts"]) == ("0.1.0", ["private", "shared"])
    assert {"LAYOUT", "DMA_HEAP"} <= set(known["features"])
    assert known["parameters"]["max_chunks"].isdecimal()
    shared = document(module.check("cm-agent info shared --json"))["result"]["context"]
    assert (shared["bank"], shared["offset"]) == (banks["shared"], 0)
    text = module.check(f"{GUEST} cm-agent info shared")
    assert "only root may know" in text
