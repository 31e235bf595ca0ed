# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a program sees of the package: names, types, and what comes along with an import."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cm_agent
import pytest
from cm_agent import video

AGENT = Path(cm_agent.__file__).parents[1]
FACES = [cm_agent, video]
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(sys.path), "MYPYPATH": str(AGENT)}
HEAVY = {"numpy", "PIL", "pyudev", "prometheus_client", "asyncio", "multiprocessing", "cv2"}


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_all_is_sorted_and_complete(face: ModuleType) -> None:
    names = {
        name
        for name, it in vars(face).items()
        if name[0] != "_" and not inspect.ismodule(it) and name != "annotations"
    }
    assert face.__all__ == sorted(face.__all__) and set(face.__all__) == names


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_every_public_name_is_documented(face: ModuleType) -> None:
    missing = [where for where, what in documented(face) if not (what.__doc__ or "").strip()]
    assert missing == []


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_the_reference_has_every_public_name_and_no_warning(
    face: ModuleType, tmp_path: Path
) -> None:
    pages = ["-m", "pdoc", "--output-directory", str(tmp_path), face.__name__]
    words = [sys.executable, "-W", "error", *pages]
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / f"{face.__name__.replace('.', '/')}.html").read_text()
    assert [name for name in face.__all__ if f'<section id="{name}">' not in page] == []


def documented(face: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield what wants a docstring, by its name: the module, its names, members of its classes."""
    yield face.__name__, face
    for name in face.__all__:
        it = getattr(face, name)
        yield name, it
        for owner in it.__mro__ if inspect.isclass(it) else ():
            if owner.__module__.startswith("cm_agent."):
                yield from members(owner)


def members(owner: type) -> Iterator[tuple[str, Any]]:
    for name, it in vars(owner).items():
        it = it.__func__ if isinstance(it, classmethod | staticmethod) else it
        if name[0] != "_" and (inspect.isroutine(it) or isinstance(it, property)):
            yield f"{owner.__name__}.{name}", it


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_importing_it_loads_nothing_heavy_and_warns_of_nothing(face: ModuleType) -> None:
    program = f"import sys, {face.__name__}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    assert not HEAVY & set(done.stdout.split())
    assert done.stderr == ""


def test_a_program_that_imports_the_public_face_only_passes_a_strict_type_check() -> None:
    program = """
import cm_agent
from cm_agent import video


def first_bytes(name: str) -> bytes:
    with cm_agent.Context(name) as pool, pool.alloc(1 << 20, name="mine") as buffer:
        verdict: cm_agent.Verdict = cm_agent.verify(buffer, pool).verdict
        with buffer.array((16, 16), "uint8", "rw") as array:
            array[:] = 1
        with buffer.cpu_access("r") as view:
            return view[:16].tobytes() if verdict else b""


def sizes(error: cm_agent.AllocationError) -> tuple[int, int, cm_agent.Reason]:
    return error.free, error.largest_hole, error.reason


def take(pool: cm_agent.Context) -> list[bytes]:
    with (
        video.Camera("vivid", pool, size=(640, 480)) as camera,
        video.Encoder("vicodec", pool, format=camera.format, keyframes=5) as encoder,
    ):
        camera.controls["brightness"] = 100
        return [packet.data for packet in encoder.encode(camera.frames(3)) if packet.pts]
"""
    words = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--no-incremental",
        "-c",
        program,
    ]
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
