# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The configuration: TOML files of one folder, all keys that have an error named at once."""

from __future__ import annotations

import ipaddress
import math
import os
import tomllib
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cm_agent.config.contexts import (
    CONTEXT_KEYS,
    QUOTA_KEYS,
    ContextEntry,
    QuotaEntry,
    read_context,
    read_quota,
    read_size,
)
from cm_agent.config.section import Section
from cm_agent.core.errors import Error
from cm_agent.core.name import check_name
from cm_agent.policy.rules import Pattern, Policy, Rule

DEFAULT_PATH: Final = Path("/etc/cm-agent")
_TABLES: Final = {
    "metrics": ("listen",),
    "verification": ("interval", "size", "contexts"),
    "policy": ("map", "rules"),
}
_ADDED: Final = "policy.rules"
"""The one key of a table that several files may have."""
_RULE: Final = ("devices", "types", "contexts")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Say where the metrics are served.

    The default port lies outside Prometheus' list of default ports, whose range 9100-9999 is
    taken, and below Linux' ephemeral ports, which begin at 32768.
    """

    host: str = "127.0.0.1"
    port: int = 28877


@dataclass(frozen=True, slots=True)
class VerificationConfig:
    """Say how often (seconds, 0 = never) a probe of how many bytes is verified, and where.

    `contexts` None means every context.
    """

    interval: float = 300.0
    size: int = 1 << 20
    contexts: tuple[str, ...] | None = None

    def covers(self, context: str) -> bool:
        """Return whether the schedule includes this context."""
        return self.interval > 0 and (self.contexts is None or context in self.contexts)

    def interval_of(self, context: str) -> float:
        """Return the seconds between two probes of this context, 0 when there are none."""
        return self.interval if self.covers(context) else 0.0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured. `contexts` and `quotas` are what `cm-agent apply` makes."""

    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    verification: VerificationConfig = field(default_factory=VerificationConfig)
    policy: Policy = field(default_factory=Policy)
    contexts: tuple[ContextEntry, ...] = ()
    quotas: tuple[QuotaEntry, ...] = ()


class ConfigError(Error):
    """The configuration cannot be used; `problems` has a line for each error.

    It is `file: policy.rules[2].contexts: reason`, where arrays count from 0. Of a text that is not
    TOML it is `file: reason`, with line and column.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path | None = None) -> Config:
    """Read a file, or all *.toml of a folder in the order of their names; None: /etc/cm-agent.

    Later files add to earlier ones. ConfigError with one problem a key, such as one that two files
    set; also when there is no such file, but for None. Nothing is opened but the files, and nothing
    is changed.
    """
    chosen = path or DEFAULT_PATH
    documents: dict[str, str] = {}
    problems: list[str] = []
    for file in _files(chosen, optional=path is None):
        try:
            documents[str(file)] = _text(file)
        except ConfigError as error:
            problems += error.problems
    return _parse_all(documents, problems)


def parse(text: str, source: str) -> Config:
    """Return the configuration written in a TOML text; `source` names it in problems."""
    return _parse_all({source: text}, [])


def _files(chosen: Path, *, optional: bool) -> list[Path]:
    if not os.path.isdir(chosen):
        return [chosen] if os.path.exists(chosen) or not optional else []
    try:
        names = sorted(os.listdir(chosen))
    except OSError as error:
        raise ConfigError((f"{chosen}: cannot be read: {error.strerror}",)) from None
    return [chosen / it for it in names if it.endswith(".toml") and not it.startswith(".")]


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError((f"{file}: there is no such file",)) from None
    except OSError as error:
        raise ConfigError((f"{file}: cannot be read: {error.strerror}",)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError((f"{file}: line {line}: is not UTF-8",)) from None


def _parse_all(texts: dict[str, str], problems: list[str]) -> Config:
    """Return what all texts say together; ConfigError with these problems, and theirs."""
    config, setters = Config(), dict[str, str]()
    for source, text in texts.items():
        found: list[str] = []
        try:
            document = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            problems.append(f"{source}: {error}")
            continue
        config = _add(
            config, Section(document, "", (*_TABLES, "contexts", "quotas"), found), source
        )
        found += _set_before(document, source, setters)
        problems += [f"{source}: {problem}" for problem in found]
    problems += _twice((it.name, "context", it.where) for it in config.contexts if it.name)
    problems += _twice(
        ((it.context, it.user), f"quota of user {it.whose} for context", it.where)
        for it in config.quotas
        if it.context
    )
    if problems:
        raise ConfigError(tuple(problems))
    return config


def _add(config: Config, top: Section, source: str) -> Config:
    """Return the configuration with what one file says."""
    tables = {name: top.section(name, known) for name, known in _TABLES.items()}
    contexts = (read_context(it, source) for it in top.sections("contexts", CONTEXT_KEYS))
    quotas = (read_quota(it, source) for it in top.sections("quotas", QUOTA_KEYS))
    return Config(
        _metrics(tables["metrics"], config.metrics),
        _verification(tables["verification"], config.verification),
        Policy((*config.policy.rules, *_policy(tables["policy"]).rules)),
        (*config.contexts, *contexts),
        (*config.quotas, *quotas),
    )


def _set_before(document: dict[str, object], source: str, setters: dict[str, str]) -> list[str]:
    """Return an error for each key that an earlier file has set, and note which this one sets."""
    found = []
    for name in _TABLES:
        table = document.get(name)
        for key in table if isinstance(table, dict) else ():
            path = f"{name}.{key}"
            others = {"policy.map", "policy.rules"} if name == "policy" else {path}
            for other in sorted(others - ({_ADDED} if path == _ADDED else set())):
                if setters.get(other, source) != source:
                    found.append(f"{path}: {setters[other]} sets {other}: keep one of the two")
            setters.setdefault(path, source)
    return found


def _twice(entries: Iterable[tuple[Hashable, str, str]]) -> list[str]:
    """Return an error for each entry whose key another had before: key, what it is, where."""
    first: dict[Hashable, str] = {}
    found = []
    for key, what, where in entries:
        if key in first:
            name = key[0] if isinstance(key, tuple) else key
            found.append(f"{where}: {what} {name!r} is in {first[key]}, too: keep one of the two")
        first.setdefault(key, where)
    return found


def _metrics(section: Section, before: MetricsConfig) -> MetricsConfig:
    host, port = section.read("listen", _listen, (before.host, before.port))
    return MetricsConfig(host, port)


def _verification(section: Section, before: VerificationConfig) -> VerificationConfig:
    return VerificationConfig(
        interval=section.read("interval", _interval, before.interval),
        size=section.read("size", read_size, before.size),
        contexts=section.read("contexts", _contexts, before.contexts),
    )


def _listen(value: object) -> tuple[str, int]:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string; write address and port: '127.0.0.1:28877'")
    host, colon, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or (":" in host and bare == host):
        raise ValueError(f"{value!r} is not ADDRESS:PORT, as in '127.0.0.1:28877' or '[::1]:28877'")
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError(
            f"{bare!r} is not an IP address (all of them: '0.0.0.0' or '[::]')"
        ) from None
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ValueError(f"{port!r} is not a port from 0 (any free one) to 65535")
    return bare, int(port)


def _interval(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number of seconds")
    if value != 0 and not (math.isfinite(value) and 1 <= value <= 86400):
        raise ValueError(f"{value!r} is neither 0 (off) nor from 1 to 86400 seconds")
    return float(value)


def _contexts(value: object) -> tuple[str, ...]:
    if value == []:
        raise ValueError(
            "[] is empty: leave it out for every context, or set interval = 0 for none"
        )
    return _names(value)


def _strings(value: object, check: Callable[[str], object]) -> tuple[str, ...]:
    """Return a list of strings, none twice, that all pass `check`."""
    if not isinstance(value, list) or not all(isinstance(it, str) for it in value):
        raise ValueError(f"{value!r} is not a list of strings")
    if not value:
        raise ValueError("[] is empty: list one string or more")
    for it in value:
        check(it)
        if value.count(it) > 1:
            raise ValueError(f"{it!r} is listed more than once")
    return tuple(value)


def _policy(section: Section) -> Policy:
    rules = [_rule(entry) for entry in section.sections("rules", _RULE)]
    if "map" not in section:
        return Policy(tuple(rule for rule in rules if rule is not None))
    if "rules" in section:
        section.note("map", "cannot stand beside rules, as the first match wins: write one of them")
    return section.read("map", _map, Policy())


def _map(value: object) -> Policy:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string; write rules, as in '*=CONTEXT'")
    return Policy.parse(value)


def _rule(section: Section) -> Rule | None:
    """Return the rule of one table, None when it has an error, which is noted."""
    section.require("devices", "contexts")
    devices: tuple[str, ...] = section.read("devices", _devices, ())
    types: tuple[str | None, ...] = section.read("types", _types, (None,))
    contexts: tuple[str, ...] = section.read("contexts", _names, ())
    if not (devices and contexts):
        return None
    return Rule(tuple(Pattern(device, type) for device in devices for type in types), contexts)


def _devices(value: object) -> tuple[str, ...]:
    return _strings(value, Pattern)


def _types(value: object) -> tuple[str, ...]:
    return _strings(value, lambda type: Pattern("*", type))


def _names(value: object) -> tuple[str, ...]:
    return _strings(value, check_name)
