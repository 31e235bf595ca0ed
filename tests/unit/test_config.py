# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The configuration: what it means, and what every mistake says."""

from __future__ import annotations

from pathlib import Path

import pytest
from cm_agent import config
from cm_agent.config import Config, ConfigError, MetricsConfig, VerificationConfig

MISTAKES = [
    ("[metrics", "line 1, column 9: Expected ']' at the end of a table declaration at the end"),
    ('a = 1\nb = "x\n', "line 2, column 7: Illegal character '\\n'"),
    ("metrcs = {}", "metrcs: unknown key; did you mean 'metrics'?"),
    ("[storage]", "storage: unknown key; known here: metrics, verification"),
    ("metrics = 3", "metrics: must be a table: write [metrics]"),
    ("[metrics]\nlisten = 80", "metrics.listen: 80 is not a string; write address and port"),
    ("[metrics]\nlisten = '127.0.0.1'", "metrics.listen: '127.0.0.1' is not ADDRESS:PORT"),
    ("[metrics]\nlisten = '::1:80'", "metrics.listen: '::1:80' is not ADDRESS:PORT"),
    ("[metrics]\nlisten = ':80'", "metrics.listen: '' is not an IP address (all of them"),
    ("[metrics]\nlisten = 'board:80'", "metrics.listen: 'board' is not an IP address"),
    ("[metrics]\nlisten = '0.0.0.0:x'", "metrics.listen: 'x' is not a port from 0"),
    ("[metrics]\nlisten = '0.0.0.0:65536'", "metrics.listen: '65536' is not a port from 0"),
    ("[metrics]\nlisten = '0.0.0.0:\u0663'", "metrics.listen: '\u0663' is not a port from 0"),
    ("[metrics]\nport = 1", "metrics.port: unknown key; known here: listen"),
    ("[verification]\nintervall = 1", "verification.intervall: unknown key; did you mean 'inte"),
    ("[verification]\ninterval = '5m'", "verification.interval: '5m' is not a number of seconds"),
    ("[verification]\ninterval = true", "verification.interval: True is not a number of seconds"),
    ("[verification]\ninterval = -1", "verification.interval: -1 is neither 0 (off) nor from 1"),
    ("[verification]\ninterval = 0.5", "verification.interval: 0.5 is neither 0 (off) nor from"),
    ("[verification]\ninterval = nan", "verification.interval: nan is neither 0 (off) nor from"),
    ("[verification]\ninterval = 86401", "verification.interval: 86401 is neither 0 (off) nor"),
    ("[verification]\nsize = 1.5", "verification.size: 1.5 is not a size: write bytes or"),
    ("[verification]\nsize = true", "verification.size: True is not a size: write bytes or"),
    ("[verification]\nsize = '1 MB'", "verification.size: '1 MB' has the unknown unit 'MB'"),
    ("[verification]\nsize = 0", "verification.size: '0' is out of range"),
    ("[verification]\ncontexts = 'a'", "verification.contexts: 'a' is not a list of context"),
    ("[verification]\ncontexts = [1]", "verification.contexts: [1] is not a list of context"),
    ("[verification]\ncontexts = []", "verification.contexts: is empty: leave it out for every"),
    ("[verification]\ncontexts = ['a/b']", "verification.contexts: 'a/b' cannot be a context's"),
    (f"[verification]\ncontexts = ['{'a' * 32}']", "cannot be a context's name: 1 to 31 of"),
    ("[verification]\ncontexts = ['control']", "verification.contexts: 'control' is not a"),
    ("[verification]\ncontexts = ['a', 'a']", "verification.contexts: 'a' is listed more than"),
]


@pytest.mark.parametrize(("text", "mistake"), MISTAKES)
def test_names_file_key_and_reason(text: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "a.toml")
    (problem,) = caught.value.problems
    assert problem.startswith("a.toml: ")
    assert mistake in problem


def test_names_all_mistakes_at_once() -> None:
    text = "extra = 1\n[metrics]\nlisten = 1\n[verification]\nsize = 'x'\ninterval = -1\n"
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "a.toml")
    keys = [problem.split(": ")[1] for problem in caught.value.problems]
    assert keys == ["extra", "metrics.listen", "verification.interval", "verification.size"]


def test_reads_everything(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[metrics]\nlisten = "[::]:0"\n'
        '[verification]\ninterval = 60\nsize = "64 KiB"\ncontexts = ["left", "r_2-x"]\n'
    )
    assert config.load(file) == Config(
        MetricsConfig("::", 0), VerificationConfig(60.0, 65536, ("left", "r_2-x"))
    )


def test_an_empty_file_is_the_defaults() -> None:
    assert config.parse("", "a.toml") == Config()
    assert Config().metrics == MetricsConfig("127.0.0.1", 28877)
    assert Config().verification == VerificationConfig(300.0, 1 << 20, None)


def test_no_file_is_the_defaults_only_when_none_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "absent.toml"
    monkeypatch.setattr(config, "DEFAULT_PATH", absent)
    assert config.load() == Config()
    with pytest.raises(ConfigError, match=r"absent\.toml: there is no such file"):
        config.load(absent)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)
    file = tmp_path / "latin1.toml"
    file.write_bytes(b"# fine\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin1\.toml: line 2: is not UTF-8"):
        config.load(file)


def test_the_schedule_covers_what_it_says() -> None:
    every, some = VerificationConfig(), VerificationConfig(contexts=("left",))
    assert every.covers("left") and every.interval_of("right") == 300
    assert some.covers("left") and some.interval_of("right") == 0
    assert not VerificationConfig(interval=0).covers("left")
