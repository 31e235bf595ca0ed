# SPDX-License-Identifier: MIT
"""What a run ends with: which tests ran where, their figures, and which did not run at all.

A test's figure is a line that it has recorded: `record_property("figure", "...")`.
"""

from collections import Counter
from typing import Any

import pytest

DESELECTED = pytest.StashKey[set]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing left out."""
    config.stash[DESELECTED] = set()


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember the tests that were left out, to name them at the end."""
    if items:
        items[0].config.stash[DESELECTED].update(item.nodeid for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell them to the process that writes the report, when tests run in several."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["deselected"] = sorted(session.config.stash[DESELECTED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what another process left out."""
    node.config.stash[DESELECTED].update(getattr(node, "workeroutput", {}).get("deselected", []))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell what ran where and what was measured, and name every test that did not run."""
    table: dict[str, Counter] = {}
    figures: dict[str, None] = {}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed"):
        for report in terminalreporter.stats.get(outcome, []):
            table.setdefault(_where(report), Counter())[outcome] += 1
            for figure in _properties(report, "figure"):
                figures[f"{_where(report)}: {figure}"] = None
    write = terminalreporter.write_line
    if figures:
        terminalreporter.section("figures")
        for figure in figures:
            write(figure)
    terminalreporter.section("what ran where")
    for where, counts in sorted(table.items()):
        counted = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        write(f"{where:40} {counted}")
    skipped = [
        (report.nodeid, str(report.longrepr[2] if report.longrepr else ""))
        for report in terminalreporter.stats.get("skipped", [])
    ]
    left_out = [(name, "deselected") for name in sorted(config.stash[DESELECTED])]
    write(f"{len(skipped) + len(left_out)} tests did not run")
    for name, reason in skipped + left_out:
        write(f"  {name}: {reason}")


def _where(report: Any) -> str:
    if "hil/" not in report.nodeid:
        return "this machine"
    boards = _properties(report, "board")
    return f"board {boards[0]}" if boards else "no board"


def _properties(report: Any, name: str) -> list[str]:
    return [value for key, value in report.user_properties if key == name]
