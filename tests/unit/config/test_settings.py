# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The configuration: what it means, and what every error says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from cm_agent.config import settings as config
from cm_agent.config.contexts import ContextEntry
from cm_agent.config.settings import Config, ConfigError, MetricsConfig, VerificationConfig
from cm_agent.policy.rules import NoRuleError, Pattern, Policy, Rule

EXAMPLES = Path(__file__).parents[3] / "agent/examples"

ERRORS = [
    ("[metrics\n", "Expected ']' at the end of a table declaration (at line 1, column 9)"),
    ('a = 1\nb = "x\n', "Illegal character '\\n' (at line 2, column 7)"),
    (f"a = {'1' * 5000}", "Exceeds the limit (4300 digits)"),
    (f"a = {'[' * 9999}", ""),
    ("metrcs = {}", "metrcs: unknown key; did you mean 'metrics'?"),
    ("[storage]", "storage: unknown key; known here: metrics, verification, policy"),
    ('[metrics]\n"a.b\\u001b" = 1', r"metrics.'a.b\x1b': unknown key; known here: listen"),
    ("metrics = 3", "metrics: 3 is not a table: write [metrics]"),
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
    ("[verification]\ncontexts = 'a'", "verification.contexts: 'a' is not a list of strings"),
    ("[verification]\ncontexts = [1]", "verification.contexts: [1] is not a list of strings"),
    ("[verification]\ncontexts = []", "verification.contexts: [] is empty: leave it out for every"),
    ("[verification]\ncontexts = ['a/b']", "verification.contexts: 'a/b' cannot be a context's"),
    (
        f"[verification]\ncontexts = ['{'a' * 32}']",
        f"verification.contexts: '{'a' * 32}' cannot be a context's name: 1 to 31 of",
    ),
    ("[verification]\ncontexts = ['control']", "verification.contexts: 'control' is not a"),
    ("[verification]\ncontexts = ['a', 'a']", "verification.contexts: 'a' is listed more than"),
    ("policy = '*=a'", "policy: '*=a' is not a table: write [policy]"),
    ("[policy]\nmap = 3", "policy.map: 3 is not a string; write rules, as in '*=CONTEXT'"),
    ("[policy]\nmap = '*=a;b'", "policy.map: character 5 of the map: 'b' is not a rule: write"),
    ("[policy]\nrule = 3", "policy.rule: unknown key; did you mean 'rules'?"),
    ("[policy]\nrules = 3", "policy.rules: 3 is not a list of tables: write [[policy.rules]]"),
    ("[policy]\nrules = [3]", "policy.rules: [3] is not a list of tables: write [[policy.rules"),
    (
        "[policy]\nmap = '*=a'\n[[policy.rules]]\ndevices = ['*']\ncontexts = ['a']",
        "policy.map: cannot stand beside rules",
    ),
    ("[[policy.rules]]\ncontexts = ['a']", "policy.rules[0].devices: is missing"),
    ("[policy]\nrules = [{devices = ['*']}]", "policy.rules[0].contexts: is missing"),
    (
        "[[policy.rules]]\ndevices = ['a']\ncontexts = ['b']\n"
        "[[policy.rules]]\ndevice = ['a']\ndevices = ['a']\ncontexts = ['b']",
        "policy.rules[1].device: unknown key; did you mean 'devices'?",
    ),
    (
        "[[policy.rules]]\ndevices = ['a', 'b*c']\ncontexts = ['a']",
        "policy.rules[0].devices: device 'b*c': '*' can only be its last character",
    ),
    (
        "[[policy.rules]]\ndevices = ['a']\ntypes = ['f', '*']\ncontexts = ['a']",
        "policy.rules[0].types: type '*': a type has no wildcards",
    ),
    (
        "[[policy.rules]]\ndevices = ['a']\ntypes = []\ncontexts = ['a']",
        "policy.rules[0].types: [] is empty: list one string or more",
    ),
    (
        "[[policy.rules]]\ndevices = 'a'\ncontexts = ['a']",
        "policy.rules[0].devices: 'a' is not a list of strings",
    ),
    (
        "[[policy.rules]]\ndevices = ['a']\ncontexts = ['a', 'B']",
        "policy.rules[0].contexts: 'B' cannot be a context's name",
    ),
]


@pytest.mark.parametrize(("text", "problem"), ERRORS, ids=[problem for _, problem in ERRORS])
def test_an_error_names_file_path_value_and_what_is_right(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "a.toml")
    (found,) = caught.value.problems
    assert found.startswith(f"a.toml: {problem}")


def test_every_key_with_an_error_is_named() -> None:
    text = "extra = 1\n[metrics]\nlisten = 1\n[verification]\nsize = 'x'\ninterval = -1\n"
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "a.toml")
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [
        "extra",
        "metrics.listen",
        "verification.interval",
        "verification.size",
    ]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[metrics]\nlisten = '127.0.0.1:1'\n", "utf-8-sig")
    assert config.load(file).metrics.port == 1


def test_reads_everything(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[metrics]\nlisten = "[::]:0"\n'
        '[verification]\ninterval = 60\nsize = "64 KiB"\ncontexts = ["left", "r_2-x"]\n'
        '[policy]\nmap = "foo=a"\n'
    )
    assert config.load(file) == Config(
        MetricsConfig("::", 0),
        VerificationConfig(60.0, 65536, ("left", "r_2-x")),
        Policy((Rule((Pattern("foo"),), ("a",)),)),
    )


def test_tables_are_the_rules_of_a_map() -> None:
    tables = """
        [[policy.rules]]
        devices = ["baz?", "bar*"]
        types = ["a", "b"]
        contexts = ["r3"]

        [[policy.rules]]
        devices = ["*"]
        contexts = ["left", "right"]
    """
    policy = config.parse(tables, "a.toml").policy
    assert str(policy) == "baz?/a,baz?/b,bar*/a,bar*/b=r3;*=left,right"


def example() -> tuple[str, str]:
    """Return the example with all that it has behind # switched on, and its map by itself."""
    text = re.sub(r"(?m)^#(?! \S|$)", "", (EXAMPLES / "config.toml").read_text())
    tables, policy, policy_map = text.partition("[policy]")
    return tables, policy + policy_map


def test_the_example_changes_nothing_and_names_the_defaults() -> None:
    assert config.load(EXAMPLES / "config.toml") == Config()
    switched_on = config.parse(example()[0], "example")
    assert switched_on.metrics == MetricsConfig()
    assert replace(switched_on.verification, contexts=None) == VerificationConfig()


def test_the_example_writes_one_policy_in_both_ways() -> None:
    tables, policy_map = (config.parse(text, "example").policy for text in example())
    assert tables == policy_map
    assert len(tables.rules) == 2


def test_the_codec_with_two_banks_has_one_context_for_each_type() -> None:
    policy = config.load(EXAMPLES / "s5p-mfc.toml").policy
    given = [policy.match("s5p-mfc", type).contexts for type in ("f", "a", "b")]
    assert given == [("fw",), ("left",), ("right",)]
    for who in (("s5p-mfc", "common"), ("s5p-jpeg", "a")):
        with pytest.raises(NoRuleError):
            policy.match(*who)


def test_the_codec_with_two_banks_has_its_contexts_in_them() -> None:
    config_of_codec = config.load(EXAMPLES / "s5p-mfc.toml")
    assert config_of_codec.contexts == (
        ContextEntry("fw", "left@60000000", 0, 8 << 20, min_alignment=128 << 10),
        ContextEntry("left", "left@60000000", 8 << 20),
        ContextEntry("right", "right@74000000"),
    )
    tree = (EXAMPLES.parents[1] / "dts/exynos4210-smdkc210.dtso").read_text()
    assert all(f"{it.bank} {{" in tree for it in config_of_codec.contexts)


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
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.toml: cannot be read: Is a directory"):
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
