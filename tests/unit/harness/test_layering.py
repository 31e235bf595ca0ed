# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Rooms import downhill; every file says its license and fits one sitting."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from cm_agent.cli import VERBS

PROJECT = Path(__file__).resolve().parents[3]
AGENT = PROJECT / "agent"

# From the top to the bottom: a room imports from itself and from those below it.
ROOMS = (
    "cli",
    "daemon",
    "exporter",
    "diagnose",
    "selftest",
    "video",
    "config",
    "policy",
    "contiguity",
    "core",
)
ONLY_IN = {
    "cm_agent.daemon": {"daemon", "cli.serve"},
    "cm_agent.exporter": {"exporter", "daemon"},
    "cm_agent.core._abi": {"core.uapi"},
    "cm_agent.video._abi": {"video.uapi"},
    "prometheus_client": {"exporter"},
    "pyudev": {"daemon.udev"},
    "PIL": {"video.image", "selftest.psnr"},
    "asyncio": {"daemon", "video.device", "video.feed", "video.stream"},
}
# What a command in a shell must not wait for.
SLOW = {"prometheus_client", "pyudev", "asyncio", "PIL", "cm_agent.daemon", "cm_agent.exporter"}

# Files that have no place for a line of ours.
WITHOUT_LICENSE_LINE = {
    "agent/cm_agent/py.typed",
    "tests/boards/root/etc/machine-id",
    "tests/unit/exporter/golden/metrics.txt",
}
LICENSES = {
    "MIT": ["MIT"],
    "GPL-2.0": ["GPL-2.0-only"],
    "GPL-2.0-only": ["GPL-2.0-only"],
    "GPL-2.0 WITH Linux-syscall-note": ["GPL-2.0-only", "Linux-syscall-note"],
}
LONG_DATA = {
    "agent/command.schema.json",
    "agent/monitoring/dashboard.json",
    "kmod/include/uapi/linux/cm.h",
}
MOST_LINES = 500


class Import(NamedTuple):
    """That one module of the package imports another, which may be anybody's."""

    by: str
    what: str
    lazy: bool


def imports() -> Iterator[Import]:
    """Yield every import in the package, those in functions and for type checkers too."""
    for path in sorted((AGENT / "cm_agent").rglob("*.py")):
        by = name_of(path)
        tree = ast.parse(path.read_text(), str(path))
        at_import = set(map(id, eager(tree)))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: imports are absolute"
                targets = [submodule_or_module(node.module or "", alias) for alias in node.names]
            else:
                continue
            for target in targets:
                yield Import(by, target, id(node) not in at_import)


def eager(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from eager(child)


def name_of(path: Path) -> str:
    """Return a module's name below cm_agent; a package's own is the package's."""
    name = ".".join(path.relative_to(AGENT / "cm_agent").with_suffix("").parts)
    return name.removesuffix(".__init__")


def submodule_or_module(module: str, alias: ast.alias) -> str:
    """Return what `from module import alias` imports: a name in it may be a module."""
    path = AGENT.joinpath(*module.split("."), alias.name)
    is_module = path.with_suffix(".py").exists() or path.is_dir()
    return f"{module}.{alias.name}" if is_module else module


IMPORTS = list(imports())


def graph() -> dict[str, set[str]]:
    """Return which modules of the package each one imports, at once or later."""
    found: dict[str, set[str]] = {item.by: set() for item in IMPORTS}
    for item in IMPORTS:
        if item.what.startswith("cm_agent."):
            found[item.by].add(item.what.removeprefix("cm_agent."))
    return found


def room_of(name: str) -> str:
    return name.partition(".")[0]


def test_no_imports_in_circles() -> None:
    TopologicalSorter(graph()).prepare()


def test_every_folder_is_a_room() -> None:
    folders = {path.name for path in (AGENT / "cm_agent").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_from_itself_and_from_those_below(room: str) -> None:
    below = ROOMS[ROOMS.index(room) :]
    found = {what for by, whats in graph().items() if room_of(by) == room for what in whats}
    assert {what for what in found if room_of(what) not in below} == set()


@pytest.mark.parametrize("what", ONLY_IN)
def test_is_imported_by_nobody_else(what: str) -> None:
    by = {item.by for item in IMPORTS if f"{item.what}.".startswith(f"{what}.")}
    assert {name for name in by if not {name, room_of(name)} & ONLY_IN[what]} == set()


def test_a_verb_imports_no_other_verb() -> None:
    verbs = {f"cm_agent.cli.{module}" for module in VERBS.values()}
    assert {item.by for item in IMPORTS if item.what in verbs} == set()


def test_frames_are_decoded_without_pillow_until_somebody_wants_an_image() -> None:
    assert all(item.lazy for item in IMPORTS if item.what.split(".")[0] == "PIL")


def test_serving_is_loaded_when_it_is_asked_for() -> None:
    top = {item.what for item in IMPORTS if item.by.startswith("cli") and not item.lazy}
    assert not top & {
        "cm_agent.daemon.service",
        "cm_agent.exporter.http",
        "cm_agent.exporter.metrics",
    }


@pytest.mark.parametrize("verb", ["list", "alloc", "bench", "doctor", "policy", "size", "verify"])
def test_command_loads_nothing_slow(verb: str) -> None:
    program = (
        "import sys\n"
        "from cm_agent.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('\\n'.join(sys.modules))\n"
    )
    words = ["list"] if verb == "list" else [verb, "--help"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(AGENT)},
    )
    loaded = set(done.stdout.splitlines())
    assert f"cm_agent.cli.{VERBS[verb]}" in loaded
    assert not loaded & SLOW


TESTS = [*sorted(PROJECT.glob("tests/[!u]*/*.py")), PROJECT / "tests/demo.py"]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_what_a_function_imports_on_a_board_is_there(path: Path) -> None:
    """No type checker looks into functions that are sent to a board as text."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cm_agent"):
            module = import_module(node.module or "")
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or import_module(f"{node.module}.{name}")


def our_files() -> list[str]:
    """Return the files under version control; there are none where git or .git is not."""
    if not (PROJECT / ".git").exists():
        return []
    words = ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), "ls-files", "-z"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    paths = {name: PROJECT / name for name in done.stdout.split("\0") if name}
    return [name for name, path in paths.items() if path.is_file() and not path.is_symlink()]


OUR_FILES = our_files()
needs_git = pytest.mark.skipif(not OUR_FILES, reason="not a git working tree")


def license_of(name: str) -> str | None:
    """Return what the head of a file says about its license; of a picture, the file beside it."""
    path = PROJECT / (f"{name}.license" if name.endswith(".png") else name)
    head = path.read_text(errors="replace").splitlines()[:6]
    found = re.search(r"SPDX-License-Identifier: ([\w.+-]+(?: WITH [\w.-]+)?)", "\n".join(head))
    return found and found[1]


@needs_git
def test_every_file_says_its_license() -> None:
    named = {name for name in OUR_FILES if not name.startswith("LICENSES/")} - WITHOUT_LICENSE_LINE
    assert [name for name in sorted(named) if not license_of(name)] == []


@needs_git
def test_files_without_license_line_are_still_without() -> None:
    there = WITHOUT_LICENSE_LINE & set(OUR_FILES)
    assert [name for name in sorted(there) if license_of(name)] == []


@needs_git
def test_no_link_leads_out_of_the_tree() -> None:
    """But those of a board's root, which lead to places on the board."""
    words = ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), "ls-files", "-s"]
    words.append(":!tests/boards/root")
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    links = [PROJECT / line.partition("\t")[2] for line in listed if line.startswith("120000")]
    assert [link for link in links if not link.resolve().is_relative_to(PROJECT)] == []


@needs_git
def test_every_license_has_its_text_and_no_other_has() -> None:
    used = {license_of(name) for name in OUR_FILES if not name.startswith("LICENSES/")} - {None}
    texts = {text for name in used for text in LICENSES[str(name)]}
    assert {path.stem for path in (PROJECT / "LICENSES").iterdir()} == texts


@needs_git
def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    lengths = {
        name: len((PROJECT / name).read_bytes().splitlines())
        for name in OUR_FILES
        if name not in LONG_DATA
    }
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}
