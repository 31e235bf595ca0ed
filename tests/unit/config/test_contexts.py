# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""[[contexts]] and [[quotas]], and a configuration that is in several files."""

from __future__ import annotations

from pathlib import Path

import pytest
from cm_agent.config import settings
from cm_agent.config.contexts import ContextEntry, QuotaEntry
from cm_agent.config.settings import ConfigError

MIB = 1 << 20
CONTEXT = "[[contexts]]\nname = 'a'\nbank = 'b@1'\n"
QUOTA = "[[quotas]]\ncontext = 'a'\nuser = 'u'\n"
SIZED = f"{QUOTA}size = 1\n"
ERRORS = [
    ("contexts = 3", "contexts: 3 is not a list of tables: write [[contexts]]"),
    ("[[contexts]]\nbank = 'b@1'", "contexts[0].name: is missing"),
    ("[[contexts]]\nname = 'a'", "contexts[0].bank: is missing"),
    (f"{CONTEXT}banks = 1", "contexts[0].banks: unknown key; did you mean 'bank'?"),
    ("[[contexts]]\nname = 'A'\nbank = 'b'", "contexts[0].name: 'A' cannot be a context's name"),
    ("[[contexts]]\nname = 1\nbank = 'b'", "contexts[0].name: 1 is not a string: write the name"),
    ("[[contexts]]\nname = 'a'\nbank = 1", "contexts[0].bank: 1 is not a string: write a bank"),
    ("[[contexts]]\nname = 'a'\nbank = ''", "contexts[0].bank: '' cannot be a bank: write"),
    ("[[contexts]]\nname = 'a'\nbank = '/b'", "contexts[0].bank: '/b' cannot be a bank: write"),
    (
        f"[[contexts]]\nname = 'a'\nbank = '{'b' * 64}'",
        f"contexts[0].bank: '{'b' * 64}' cannot be a bank",
    ),
    (f"{CONTEXT}size = '8MB'", "contexts[0].size: '8MB' has the unknown unit 'MB'"),
    (f"{CONTEXT}size = 0", "contexts[0].size: '0' is out of range"),
    (f"{CONTEXT}size = 1.5", "contexts[0].size: 1.5 is not a size"),
    (f"{CONTEXT}offset = -1", "contexts[0].offset: '-1' is not a size"),
    (f"{CONTEXT}offset = false", "contexts[0].offset: False is not a size"),
    (f"{CONTEXT}private = 1", "contexts[0].private: 1 is neither true nor false"),
    (f"{CONTEXT}min_alignment = '3KiB'", "contexts[0].min_alignment: '3KiB' is not an alignment"),
    ("[[quotas]]\nuser = 'u'\nsize = 1", "quotas[0].context: is missing"),
    ("[[quotas]]\ncontext = 'a'\nsize = 1", "quotas[0].user: is missing"),
    (QUOTA, "quotas[0].size: is missing, and chunks, too: write one of them, or both"),
    (f"{QUOTA}chunks = '1'", "quotas[0].chunks: '1' is not a number of chunks from 0 to"),
    (f"{QUOTA}chunks = true", "quotas[0].chunks: True is not a number of chunks from 0 to"),
    (f"{QUOTA}chunks = 4294967295", "quotas[0].chunks: 4294967295 is not a number of chunks"),
    (f"{QUOTA}size = -1", "quotas[0].size: '-1' is not a size"),
    ("[[quotas]]\ncontext = 'a'\nuser = ''\nsize = 1", "quotas[0].user: '' is not a user: write"),
    ("[[quotas]]\ncontext = 'a'\nuser = []\nsize = 1", "quotas[0].user: [] is not a user: write"),
    ("[[quotas]]\ncontext = 'a'\nuser = -1\nsize = 1", "quotas[0].user: -1 is not a number of"),
    (
        "[[quotas]]\ncontext = 'a'\nuser = 4294967295\nsize = 1",
        "quotas[0].user: 4294967295 is not a number of a user from 0 to 4294967294",
    ),
    (CONTEXT + CONTEXT, "contexts[1]: context 'a' is in a.toml: contexts[0], too: keep one"),
    (
        SIZED + SIZED,
        "quotas[1]: quota of user u for context 'a' is in a.toml: quotas[0], too: keep one",
    ),
]


@pytest.mark.parametrize(("text", "problem"), ERRORS, ids=[problem for _, problem in ERRORS])
def test_an_error_names_file_path_value_and_what_is_right(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.parse(text, "a.toml")
    (found,) = caught.value.problems
    assert found.startswith(f"a.toml: {problem}")


def test_everything_is_read() -> None:
    text = (
        f"{CONTEXT}offset = '8 MiB'\nsize = '16MiB'\nprivate = true\nmin_alignment = 65536\n"
        "[[contexts]]\nname = 'c'\nbank = 'b@1'\noffset = 0\n"
        "[[quotas]]\ncontext = 'a'\nuser = 'anybody'\nsize = '0'\n"
        "[[quotas]]\ncontext = 'a'\nuser = 1000\nchunks = 0\n"
        "[[quotas]]\ncontext = 'c'\nuser = '1000'\nsize = 4096\nchunks = 7\n"
        f"{SIZED}"
    )
    config = settings.parse(text, "a.toml")
    assert config.contexts == (
        ContextEntry("a", "b@1", 8 * MIB, 16 * MIB, True, 65536),
        ContextEntry("c", "b@1"),
    )
    assert config.quotas == (
        QuotaEntry("a", None, 0),
        QuotaEntry("a", 1000, None, 0),
        QuotaEntry("c", 1000, 4096, 7),
        QuotaEntry("a", "u", 1),
    )
    assert [it.where for it in config.contexts] == ["a.toml: contexts[0]", "a.toml: contexts[1]"]


# -- several files


def load(folder: Path, **files: str) -> settings.Config:
    """Write files of these names, and read the folder."""
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return settings.load(folder)


def problems(folder: Path, **files: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, **files)
    return [it.replace(f"{folder}/", "") for it in caught.value.problems]


OTHER = CONTEXT.replace("'a'", "'c'")
RULE = "[[policy.rules]]\ndevices = ['{}']\ncontexts = ['a']\n"


def test_files_add_up_in_the_order_of_their_names(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        b=f"[verification]\ninterval = 60\n{RULE.format('second')}{OTHER}",
        a=f"[verification]\nsize = 4096\n{RULE.format('first')}{CONTEXT}{SIZED}",
    )
    assert (config.verification.interval, config.verification.size) == (60, 4096)
    assert str(config.policy) == "first=a;second=a"
    assert [it.name for it in config.contexts] == ["a", "c"]
    assert config.quotas[0].where == f"{tmp_path}/a.toml: quotas[0]"


def test_only_toml_files_that_are_not_hidden_are_read(tmp_path: Path) -> None:
    for name in ("a.toml~", ".#b.toml", "README"):
        (tmp_path / name).write_text("nonsense")
    assert load(tmp_path, a=CONTEXT).contexts[0].name == "a"
    assert settings.load(tmp_path / "a.toml").contexts[0].name == "a"


CLASHES = {
    "[metrics]\nlisten = '127.0.0.1:1'": "b.toml: metrics.listen: a.toml sets metrics.listen: keep",
    "[policy]\nmap = '*=a'": "b.toml: policy.map: a.toml sets policy.map: keep one of the two",
    CONTEXT: "b.toml: contexts[0]: context 'a' is in a.toml: contexts[0], too: keep one of the two",
    SIZED: "b.toml: quotas[0]: quota of user u for context 'a' is in a.toml: quotas[0], too: keep",
}


@pytest.mark.parametrize("text", CLASHES)
def test_what_two_files_set_is_an_error_that_names_both(tmp_path: Path, text: str) -> None:
    (found,) = problems(tmp_path, a=text, b=text)
    assert found.startswith(CLASHES[text])


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_a_map_in_one_file_and_rules_in_another_are_an_error(
    tmp_path: Path, first: str, second: str
) -> None:
    files = {first: "[policy]\nmap = '*=a'", second: RULE.format("x")}
    (found,) = problems(tmp_path, **files)
    assert found.startswith("b.toml: policy.") and "a.toml sets policy." in found


def test_errors_of_all_files_are_named(tmp_path: Path) -> None:
    found = problems(tmp_path, a="[", b="x = 1", c=f"{CONTEXT}size = 'x'")
    assert [it.split(": ")[0] for it in found] == ["a.toml", "b.toml", "c.toml"]


def test_a_folder_without_files_is_the_defaults(tmp_path: Path) -> None:
    assert settings.load(tmp_path) == settings.Config()
