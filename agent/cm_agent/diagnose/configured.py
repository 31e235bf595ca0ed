# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whether contexts and quotas of the configuration are there, now and after the next boot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cm_agent.config.contexts import ContextEntry, QuotaEntry
from cm_agent.config.settings import Config
from cm_agent.config.setup import difference, find_user
from cm_agent.core.errors import UsageError
from cm_agent.core.place import Place
from cm_agent.core.reports import Quota
from cm_agent.core.size import format_size
from cm_agent.diagnose.finding import Finding, skipped

UNIT = "cm-agent-contexts.service"
_APPLY = "run `cm-agent apply`, which has the reason if that cannot be made"
_RESTART = f"systemctl restart {UNIT}; the reason is in journalctl -u {UNIT}"

QuotaOf = Callable[[str, int | None], Quota | None]
"""What applies to a user of a context, None when that cannot be read."""


def findings(
    config: Config,
    there: Mapping[str, Place],
    banks: Mapping[str, int | None],
    quota_of: QuotaOf,
    state: Mapping[str, str] | None,
) -> Iterator[Finding]:
    """Judge every entry, and the unit that makes them, which is in this state."""
    if not config.contexts and not config.quotas:
        return
    for context in config.contexts:
        yield _context(context, there.get(context.name), banks.get(context.bank))
    for quota in config.quotas:
        yield _quota(quota, there, quota_of)
    yield _unit(state)


def _context(entry: ContextEntry, place: Place | None, bank_size: int | None) -> Finding:
    if place is None:
        return Finding(False, f"{entry.where}: context {entry.name!r} is not there", _APPLY)
    if found := difference(entry, place, bank_size):
        return Finding(
            False,
            f"{entry.where}: context {entry.name!r} is there, but with {found}",
            f"change the configuration, or run `cm-agent destroy {entry.name}` and `cm-agent "
            "apply`",
        )
    return Finding(True, f"context {entry.name!r} is there as configured")


def _quota(entry: QuotaEntry, there: Mapping[str, Place], quota_of: QuotaOf) -> Finding:
    what = f"{entry.where}: the quota of user {entry.whose} for context {entry.context!r}"
    if entry.context not in there:
        return Finding(False, f"{what} has no context: it is not there", _APPLY)
    try:
        have = quota_of(entry.context, find_user(entry))
    except UsageError as error:
        text, _, fix = str(error).partition("; ")
        return Finding(False, text, fix)
    if have is None:
        return skipped(what, "it cannot be read (that needs root)")
    if (have.size, have.chunks) != (entry.size, entry.chunks):
        found = f"{_limits(have.size, have.chunks)} instead of {_limits(entry.size, entry.chunks)}"
        return Finding(False, f"{what} is {found}", _APPLY)
    return Finding(
        True, f"user {entry.whose} has the configured quota of context {entry.context!r}"
    )


def _limits(size: int | None, chunks: int | None) -> str:
    text = "no limit" if size is None else format_size(size)
    return text if chunks is None else f"{text} in {chunks} chunks"


def _unit(state: Mapping[str, str] | None) -> Finding:
    if state is None:
        return skipped(UNIT, "systemd does not run here, or does not answer you")
    lost = "contexts and quotas of the configuration are gone after a reboot"
    if state.get("LoadState") != "loaded":
        return Finding(
            False, f"{UNIT} is not installed: {lost}", "install it: README.md, 'Onto a real board'"
        )
    if state.get("UnitFileState") != "enabled":
        return Finding(False, f"{UNIT} is not enabled: {lost}", f"systemctl enable {UNIT}")
    if state.get("ActiveState") == "failed":
        return Finding(False, f"{UNIT} has failed", _RESTART)
    return Finding(True, f"{UNIT} makes contexts and quotas of the configuration at boot")
