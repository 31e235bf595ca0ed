# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The way of a buffer reads downhill, and every file says whose it is and fits one sitting."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).resolve().parents[2]
AGENT = PROJECT / "agent"

# From the top to the bottom. Whoever is not named here may stand anywhere on the way.
WAY_OF_A_BUFFER = (
    "__main__",
    "cli",
    "cli.alloc",
    "context",
    "buffer",
    "descriptor",
    "errors",
    "uapi",
    "_cm_abi",
)
SERVING = {"service", "exposition", "metrics", "cli.serve"}
ONLY_IN = {
    "cm_agent.cli": {"__main__", "cli"},
    "cm_agent.service": {"cli.serve"},
    "cm_agent.metrics": SERVING,
    "cm_agent.exposition": SERVING,
    "cm_agent._cm_abi": {"uapi"},
    "cm_agent._v4l2_abi": {"v4l2.uapi"},
    "prometheus_client": SERVING,
    "pyudev": {"udev"},
    "PIL": {"v4l2.picture", "v4l2.psnr"},
    "asyncio": SERVING,
}
# What a command in a shell must not wait for.
SLOW = {"prometheus_client", "pyudev", "asyncio", "PIL", "cm_agent.service", "cm_agent.metrics"}

# Files that have no place for a line of ours.
WITHOUT_LICENSE_LINE = {
    "agent/cm_agent/py.typed",
    "tests/boards/root/etc/machine-id",
    "tests/unit/golden/metrics.txt",
}
LICENSES = {
    "MIT": ["MIT"],
    "GPL-2.0": ["GPL-2.0-only"],
    "GPL-2.0-only": ["GPL-2.0-only"],
    "GPL-2.0 WITH Linux-syscall-note": ["GPL-2.0-only", "Linux-syscall-note"],
}
LONG_DATA = {"agent/monitoring/dashboard.json", "kmod/include/uapi/linux/cm.h"}
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


def reached_from(module: str) -> set[str]:
    """Return every module that a module brings along."""
    ways, found, left = graph(), set[str](), [module]
    while left:
        new = ways.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def test_no_imports_in_circles() -> None:
    TopologicalSorter(graph()).prepare()


@pytest.mark.parametrize(("upper", "lower"), [*pairwise(WAY_OF_A_BUFFER[1:])])
def test_way_of_a_buffer_reads_downhill(upper: str, lower: str) -> None:
    if upper != "cli":  # which imports the verb that was asked for by its name
        assert lower in reached_from(upper)
    above = set(WAY_OF_A_BUFFER[: WAY_OF_A_BUFFER.index(lower)])
    assert not reached_from(lower) & above


def test_policy_is_above_the_context_and_knows_nothing_of_it() -> None:
    assert {"policy", "context"} <= reached_from("allocator")
    assert reached_from("policy") == {"name"}


@pytest.mark.parametrize("what", ONLY_IN)
def test_is_imported_by_nobody_else(what: str) -> None:
    by = {item.by for item in IMPORTS if f"{item.what}.".startswith(f"{what}.")}
    if what == "cm_agent.cli":
        by = {name for name in by if not name.startswith("cli.")}
    assert by <= ONLY_IN[what]


def test_verbs_share_nothing_but_their_arguments() -> None:
    shared = {item.what for item in IMPORTS if item.what.startswith("cm_agent.cli.")}
    assert all(what.startswith("cm_agent.cli._") for what in shared)


def test_frames_are_decoded_without_pillow_until_somebody_wants_an_image() -> None:
    assert all(item.lazy for item in IMPORTS if item.what.split(".")[0] == "PIL")


def test_serving_is_loaded_when_it_is_asked_for() -> None:
    top = {item.what for item in IMPORTS if item.by.startswith("cli") and not item.lazy}
    assert not top & {"cm_agent.service", "cm_agent.exposition", "cm_agent.metrics"}


@pytest.mark.parametrize("verb", ["list", "alloc", "bench", "doctor", "policy", "verify"])
def test_command_loads_nothing_slow(verb: str, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from cm_agent.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('\\n'.join(sys.modules))\n"
    )
    words = [verb, "--dev", str(tmp_path)] if verb == "list" else [verb, "--help"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(AGENT)},
    )
    loaded = set(done.stdout.splitlines())
    assert f"cm_agent.cli.{verb}" in loaded
    assert not loaded & SLOW


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
