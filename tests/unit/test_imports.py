# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The way of a buffer reads downhill, and each dependency stays where it belongs."""

import ast
import subprocess
import sys
from pathlib import Path

import cm_agent
import pytest

PACKAGE = Path(cm_agent.__file__).parent
# From the ground up: a module imports only modules before it.
DOWNHILL = (
    "_cm_abi", "size", "uapi", "records", "errors", "descriptor", "buffer", "context", "pagemap",
    "pattern", "contiguity", "foreign", "devicetree", "doctor",
)  # fmt: skip


def imported(module: Path) -> set[str]:
    """Return the full names of what a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f"cm_agent.{node.module}" if node.level else str(node.module)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("name", DOWNHILL)
def test_module_imports_only_what_lies_below(name: str) -> None:
    ours = {
        full.split(".")[1]
        for full in imported(PACKAGE / f"{name}.py")
        if full.startswith("cm_agent.")
    }
    assert ours <= set(DOWNHILL[: DOWNHILL.index(name)])


@pytest.mark.parametrize(
    ("dependency", "users"),
    [("pyudev", {"udev"}), ("prometheus_client", {"metrics", "exposition", "service"})],
)
def test_dependency_is_imported_only_where_it_belongs(dependency: str, users: set[str]) -> None:
    found = {
        file.stem
        for file in PACKAGE.rglob("*.py")
        if any(full.split(".")[0] == dependency for full in imported(file))
    }
    assert found
    assert found <= users


def test_command_needs_no_more_than_cffis_backend() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from cm_agent.cli import main\n"
        "main(['list', '--json'])\n"
        "heavy = {'cffi', 'pycparser', 'prometheus_client', 'pyudev', 'PIL'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or None)\n"
    )
    command = [sys.executable, "-c", script, str(PACKAGE.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
