# SPDX-License-Identifier: MIT
"""What tools have to say about the sources: the module's and the Python's. Silence is clean.

The kernel's own checkers come from Debian, into an entry of the cache beside the compilers': the
sparse that its kernels are checked with, and checkpatch from the kernel's source package, which is
the only one that has it. kernel-doc is among the headers' build programs.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import board as descriptions
from . import cache, kernelsource, module, prerequisites, toolchain
from . import kernel as kernels
from .apt import HOST, Archive, unpack
from .board import PROJECT, Board
from .error import BoardError
from .progress import say, step

BOARD = "arm64-virt"
STRICTLY = ("--strict", "--no-tree", "--terse", "--no-summary", "--show-types", "--color=never")
# What a file may do that checkpatch forbids, and why:
# - compat.h is there to tell kernels apart, which code inside the kernel tree has no reason to;
#   and LINUX_VERSION_CODE, being in capitals, is taken for a constant on the wrong side.
#   And what it replaces is deprecated where there is something better;
# - trace.h is written as all of the kernel's trace events are, an opening parenthesis at the end of
#   the line and fields on a stop of their own;
# - attributes.c makes functions by macros, whose argument is a name and no expression.
ALLOWED = {
    "compat.h": ("LINUX_VERSION_CODE", "CONSTANT_COMPARISON", "DEPRECATED_API"),
    "trace.h": ("OPEN_ENDED_LINE", "PARENTHESIS_ALIGNMENT"),
    "attributes.c": ("MACRO_ARG_REUSE",),
}


def make() -> None:
    """Run every tool and print a line for each; raise with all their complaints."""
    board = descriptions.read(BOARD)
    python = str(prerequisites.environment())
    complaints = [
        *_judge("sparse, W=1", lambda: _sparse(board)),
        *_judge("checkpatch --strict", lambda: _checkpatch(board)),
        *_judge("kernel-doc -Wall", lambda: _kernel_doc(board)),
        *_judge("ruff check", lambda: _python(python, "ruff", "check", "--output-format=concise")),
        *_judge("ruff format", lambda: _python(python, "ruff", "format", "--check")),
        *_judge("mypy --strict", lambda: _python(python, "mypy")),
    ]
    if complaints:
        raise BoardError(f"{len(complaints)} lines of complaints:\n" + "\n".join(complaints))


def _judge(tool: str, complain: Callable[[], Sequence[str]]) -> Sequence[str]:
    began = time.monotonic()
    complaints = complain()
    outcome = f"{len(complaints)} lines of complaints" if complaints else "clean"
    say(f"{tool}: {outcome} ({time.monotonic() - began:.1f} s)")
    return complaints


def _sparse(board: Board) -> list[str]:
    tools = _tools(board.kernel.suite)
    return module.check(board, ["C=2", "CHECK=/lint/usr/bin/sparse"], {tools: "/lint"})


def _checkpatch(board: Board) -> list[str]:
    usual = [name for name in _sources() if name not in ALLOWED]
    said = _run(board, "checkpatch.pl", [*STRICTLY, "-f", *usual])
    for name, types in ALLOWED.items():
        said += _run(board, "checkpatch.pl", [*STRICTLY, f"--ignore={','.join(types)}", "-f", name])
    return said


def _kernel_doc(board: Board) -> list[str]:
    documented = [name for name in _sources() if name.endswith((".c", ".h"))]
    return _run(board, "kernel-doc", ["-none", "-Wall", *documented])


def _run(board: Board, script: str, words: list[str]) -> list[str]:
    """Run one of the kernel's Perl scripts in kmod/; return all it says, which is complaints.

    It is run there because checkpatch knows by the name include/uapi/ what user space may see.
    """
    kernel = kernels.make(board)
    said = toolchain.make(board.kernel.suite).report(
        script,
        ["perl", f"/{'lint' if script == 'checkpatch.pl' else 'scripts'}/{script}", *words],
        binds={
            module.SOURCES: "/module",
            _tools(board.kernel.suite): "/lint",
            next((kernel.tree / "usr/lib").glob("linux-kbuild-*/scripts")): "/scripts",
        },
        directory="/module",
    )
    return [f"kmod/{line}" if line.startswith(tuple(_sources())) else line for line in said]


def _python(python: str, *words: str) -> list[str]:
    done = subprocess.run(
        [python, "-m", *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def _sources() -> list[str]:
    """Return the files in kmod/ that people write."""
    kmod = module.SOURCES
    written = [*kmod.rglob("*.[ch]"), kmod / "Kbuild", kmod / "Makefile"]
    names = [str(path.relative_to(kmod)) for path in written]
    return sorted(name for name in names if not name.endswith(".mod.c"))


def _tools(suite: str) -> Path:
    """Return the cache entry with the suite's sparse, checkpatch and what that reads."""
    scripts = [kernelsource.make(suite) / name for name in kernelsource.CHECKPATCH]
    inputs = {
        "suite": suite,
        "scripts": {path.name: path.read_text() for path in scripts},
        "sources": cache.sources("apt.py"),
    }
    return cache.entry(f"lint-tools-{suite}", inputs, lambda path: _fill(suite, scripts, path))


def _fill(suite: str, scripts: list[Path], into: Path) -> None:
    with step("downloading sparse"):
        unpack(Archive(suite, (HOST,)).download_only(["sparse"], into / "debs"), into)
    cache.remove(into / "debs")
    for path in scripts:
        shutil.copy(path, into)
