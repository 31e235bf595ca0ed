# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Alerts and dashboard speak of metrics that exist, and promtool finds nothing to say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.exporter.test_metrics import board_of_three, scrape

MONITORING = Path(__file__).parents[3] / "agent" / "monitoring"
ALERTS, ALERTS_TEST = MONITORING / "alerts.yml", MONITORING / "alerts_test.yml"
DASHBOARD = MONITORING / "dashboard.json"
NOT_ON_THE_DASHBOARD: frozenset[str] = frozenset()
FROM_OTHERS = {"up", "process_resident_memory_bytes", "process_open_fds"}
VARIABLES = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$size_class": "1MiB",
    "$instance": "b",
    "$context": "left",
    "$job": "cm-agent",
}


def promtool() -> str:
    """Return the path of promtool: $PROMTOOL, the PATH, or what the prerequisites unpacked."""
    chosen = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if chosen:
        return chosen
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("CM_CACHE") or Path(base) / "cm-agent")
    found = sorted(cache.rglob("promtool")) if cache.is_dir() else []
    if not found:
        pytest.fail(
            f"no promtool in $PROMTOOL, $PATH or below {cache}: run `make test`, "
            "or install Debian's package prometheus"
        )
    return str(found[0])


def check(*words: str | Path, text: str | None = None) -> None:
    """Run promtool and fail with its output when it objects."""
    done = subprocess.run(
        [promtool(), *map(str, words)], input=text, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr


@pytest.fixture
def exposition(tmp_path: Path) -> str:
    """Return a scrape of data contexts."""
    return scrape(board_of_three(tmp_path)[1])


@pytest.fixture
def exported(exposition: str) -> dict[str, str]:
    """Return the names of all metrics in the scrape with their kind."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", exposition, re.MULTILINE))


def unquoted(expression: str) -> str:
    """Return a PromQL expression without its strings."""
    return re.sub(r'"[^"]*"', '""', expression)


def metrics_in(expression: str, exported: dict[str, str]) -> set[str]:
    """Return the metrics of ours that an expression reads, histograms by their family's name."""
    names = set(re.findall(r"\bcm_\w+", unquoted(expression)))
    families = set()
    for name in names:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        families.add(family if exported.get(family) == "histogram" else name)
    return families


def rules() -> list[dict[str, str]]:
    """Return alert and expression of every rule, from the file as text.

    The file keeps one shape, so that no YAML parser is needed; promtool checks that it is YAML.
    """
    found = []
    for block in ALERTS.read_text().split("      - alert: ")[1:]:
        name, _, rest = block.partition("\n")
        expression = re.split(r"\n        (?:for|labels):", rest)[0]
        found.append({"alert": name, "expr": expression.partition("expr:")[2], "text": rest})
    return found


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels without its rows."""
    return [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]


def expressions() -> Iterator[str]:
    """Yield every query of the dashboard, its variables among them."""
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"]
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        yield variable.get("definition", "")


def test_promtool_has_no_objection_to_the_metrics(exposition: str) -> None:
    check("check", "metrics", text=exposition)


def test_promtool_has_no_objection_to_the_rules() -> None:
    check("check", "rules", ALERTS)


def test_the_alerts_pass_their_tests() -> None:
    check("test", "rules", ALERTS_TEST)


def test_every_alert_has_its_test() -> None:
    """Every alert is seen firing in one test and silent in another."""
    text = ALERTS_TEST.read_text()
    fired = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:", text))
    silent = set(re.findall(r"alertname: (\w+) }", text))
    names = {rule["alert"] for rule in rules()}
    assert len(names) == 14
    assert fired == names and silent == names


def test_every_alert_is_named_graded_and_explained() -> None:
    for rule in rules():
        assert re.fullmatch(r"Cm([A-Z][a-z]+)+", rule["alert"])
        assert re.search(r"\n          severity: (critical|warning|info)\n", rule["text"])
        assert "\n          summary: " in rule["text"]
        assert "\n          description: " in rule["text"]


def test_the_alerts_read_metrics_that_exist(exported: dict[str, str]) -> None:
    for rule in rules():
        used = metrics_in(rule["expr"], exported)
        assert used <= exported.keys(), rule["alert"]
        assert used or "up{" in rule["expr"]


def test_the_labels_in_alerts_have_values_that_exist(exposition: str) -> None:
    text = ALERTS.read_text()
    for label in ("reason", "verdict"):
        known = set(re.findall(rf'{label}="(\w+)"', exposition))
        for values in re.findall(rf'{label}[=!]~?"([^"]+)"', text):
            assert set(values.split("|")) <= known


def test_the_dashboard_reads_metrics_that_exist_and_all_of_them(exported: dict[str, str]) -> None:
    used: set[str] = set()
    for expression in expressions():
        here = metrics_in(expression, exported)
        assert here <= exported.keys(), expression
        used |= here
    unused = {name for name in exported if name.startswith("cm_")} - used
    assert unused == NOT_ON_THE_DASHBOARD


def test_the_dashboard_reads_nothing_else_but_what_is_known() -> None:
    for expression in expressions():
        for name in re.findall(r"([a-z_]\w*)\{", unquoted(expression)):
            assert name.startswith("cm_") or name in FROM_OTHERS, expression


def test_promtool_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = []
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in VARIABLES.items():
                query = query.replace(variable, value)
            assert "$" not in query, query
            queries.append(query)
    records = [{"record": f"query:n{n}", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": records}]}))
    check("check", "rules", file)


def test_every_panel_is_explained_and_has_a_unit() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "job", "instance", "context", "size_class"]


def test_no_two_panels_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
