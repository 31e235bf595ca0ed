# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""An import names the module that defines what it imports; programs import the public faces."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
FACES = {"cm_agent", "cm_agent.video"}


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of what a file imports from the package's modules."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if not isinstance(node, ast.ImportFrom) or not node.module or node.module in FACES:
            continue
        if node.module.partition(".")[0] == "cm_agent":
            for alias in node.names:
                yield node.module, alias.name


def home(module: str, name: str) -> str:
    """Return the module that defines a class or a function of a module, or that module itself."""
    it = getattr(import_module(module), name, None)
    if inspect.isclass(it) or inspect.isfunction(it):
        return it.__module__
    return module


@pytest.mark.parametrize("folder", ["agent", "tests"])
def test_an_import_names_the_module_that_defines_it(folder: str) -> None:
    wrong = {
        f"{path.relative_to(PROJECT)}: {name} of {module} is defined in {home(module, name)}"
        for path in (PROJECT / folder).rglob("*.py")
        for module, name in imported(path)
        if home(module, name) != module
    }
    assert wrong == set()
