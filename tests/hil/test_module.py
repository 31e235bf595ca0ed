# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The module as a whole: what it says of itself, and that nothing of it is left once it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cm_agent
import pytest

ROUNDS, THOROUGH = 20, 200


def describe() -> dict[str, Any]:
    """Return what modinfo tells, a list where it tells several, and what the loaded module says."""
    import os
    import subprocess

    from cm_agent.core.context import Context

    told: dict[str, Any] = {"alias": [], "parm": []}
    text = subprocess.run(["modinfo", "cm"], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if isinstance(told.get(key), list):
            told[key].append(value.strip())
        else:
            told[key] = value.strip()
    with Context("shared") as pool:
        told["queried"] = pool.query().version
    return told | {"parameters": os.listdir("/sys/module/cm/parameters")}


def test_modinfo_says_what_it_is(module: Any) -> None:
    """By its name and its alias it is loaded, by its licence it may use the kernel's symbols."""
    got = module.call(describe)
    said = {key: got[key] for key in ("name", "version", "license", "description")}
    assert said == {
        "name": "cm",
        "version": cm_agent.__version__,
        "license": "GPL",
        "description": "Contiguous memory for user space",
    }
    assert got["queried"] == got["version"]
    assert "of:N*T*Ccm-agent,context" in got["alias"]


def test_modinfo_explains_every_parameter(module: Any) -> None:
    got = module.call(describe)
    explained = dict(line.split(":", 1) for line in got["parm"])
    assert sorted(explained) == sorted(got["parameters"])
    assert sorted(explained) == ["contexts", "linger_ms", "max_chunks"]
    assert explained["contexts"].startswith("NAME=BANK")


def load_and_unload(rounds: int) -> dict[str, Any]:
    """Remove and insert the module; tell what was left of it, what it said, what its banks hold."""
    import os
    import subprocess
    from collections import Counter
    from contextlib import suppress
    from pathlib import Path

    from cm_agent.core.context import Context

    def traces() -> list[str]:
        found = [str(path) for path in Path("/dev/cm").glob("*")]
        for place in ("bus/platform/devices", "bus/platform/drivers", "class", "class/misc"):
            there = Path("/sys", place).iterdir()
            found += [str(path) for path in there if path.name.split("-")[0] == "cm"]
        found += [str(path) for path in (Path("/sys/module/cm"), Path("/dev/cm")) if path.exists()]
        for table in ("modules", "devices", "misc"):
            words = Path("/proc", table).read_text().split()
            found += [f"/proc/{table}: {word}" for word in words if word in ("cm", "cm-control")]
        return found

    for command in ("rmmod", "modprobe"):  # the kernel says once that a module is not signed
        subprocess.run([command, "cm"], check=True)
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(log, 0, os.SEEK_END)
    left, said, whole = set(), Counter(), {}
    for _ in range(rounds):
        subprocess.run(["rmmod", "cm"], check=True)
        left.update(traces())
        subprocess.run(["modprobe", "cm"], check=True)
    with suppress(BlockingIOError):
        while text := os.read(log, 8192).decode().partition(";")[2]:
            said[text.splitlines()[0]] += text.startswith("cm")
    os.close(log)
    subprocess.run(["udevadm", "settle", "--timeout=120"], check=True)
    for name in ("shared", "private"):
        with Context(name) as pool, pool.alloc(pool.query().size, deadline=60) as chunk:
            whole[name] = chunk.size == pool.query().size
    return {"left": sorted(left), "said": dict(+said), "whole": whole}


def test_rounds_of_loading_leave_nothing(
    module: Any, leaks: Callable[[], list[str]], request: pytest.FixtureRequest
) -> None:
    """The private context takes its bank anew each time: one page leaked would make it fail."""
    rounds = THOROUGH if request.config.getoption("--thorough") else ROUNDS
    got = module.call(load_and_unload, timeout=900, rounds=rounds)
    assert got["left"] == []
    said = {line.split(": ")[1]: times for line, times in got["said"].items()}
    assert said == {'private context "private"': rounds, 'shared context "shared"': rounds}
    assert got["whole"] == {"shared": True, "private": True}
    assert leaks() == []
