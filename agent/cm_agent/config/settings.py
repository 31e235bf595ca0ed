# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The service's configuration: one TOML file, all keys that have an error named at once."""

from __future__ import annotations

import ipaddress
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cm_agent.config.section import Section
from cm_agent.core.errors import Error
from cm_agent.core.name import check_name
from cm_agent.core.size import parse_size
from cm_agent.policy.rules import Pattern, Policy, Rule

DEFAULT_PATH: Final = Path("/etc/cm-agent/config.toml")
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
    """Everything that the service is configured with."""

    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    verification: VerificationConfig = field(default_factory=VerificationConfig)
    policy: Policy = field(default_factory=Policy)


class ConfigError(Error):
    """The configuration cannot be used; `problems` has a line for each error.

    It is `file: policy.rules[2].contexts: reason`, where arrays count from 0. Of a text that is not
    TOML it is `file: reason`, with line and column.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path | None = None) -> Config:
    """Read the file, or the default one when it exists; ConfigError with one problem a key.

    Nothing is opened but the file, and nothing is changed.
    """
    chosen = path or DEFAULT_PATH
    try:
        text = chosen.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if path is None:
            return Config()
        raise ConfigError((f"{chosen}: there is no such file",)) from None
    except OSError as error:
        raise ConfigError((f"{chosen}: cannot be read: {error.strerror}",)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError((f"{chosen}: line {line}: is not UTF-8",)) from None
    return parse(text, str(chosen))


def parse(text: str, source: str) -> Config:
    """Return the configuration written in a TOML text; `source` names it in problems."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError((f"{source}: {error}",)) from None
    problems: list[str] = []
    top = Section(document, "", ("metrics", "verification", "policy"), problems)
    config = Config(
        _metrics(top.section("metrics", ("listen",))),
        _verification(top.section("verification", ("interval", "size", "contexts"))),
        _policy(top.section("policy", ("map", "rules"))),
    )
    if problems:
        raise ConfigError(tuple(f"{source}: {problem}" for problem in problems))
    return config


def _metrics(section: Section) -> MetricsConfig:
    default = MetricsConfig()
    host, port = section.read("listen", _listen, (default.host, default.port))
    return MetricsConfig(host, port)


def _verification(section: Section) -> VerificationConfig:
    default = VerificationConfig()
    return VerificationConfig(
        interval=section.read("interval", _interval, default.interval),
        size=section.read("size", _size, default.size),
        contexts=section.read("contexts", _contexts, default.contexts),
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


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not a size: write bytes or a string such as '1 MiB'")
    return parse_size(str(value))


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
