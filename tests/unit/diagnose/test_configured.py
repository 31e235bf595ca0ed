# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the doctor says about contexts and quotas of the configuration."""

from __future__ import annotations

import mmap

import pytest
from cm_agent.config.contexts import ContextEntry, QuotaEntry
from cm_agent.config.settings import Config
from cm_agent.core.place import Place
from cm_agent.core.reports import Quota
from cm_agent.diagnose.configured import findings
from cm_agent.diagnose.finding import Finding

MIB = 1 << 20
BANKS = {"bank@1": 64 * MIB}
PLACE = Place("left", "bank@1", 0, 64 * MIB, False, mmap.PAGESIZE)
LEFT = ContextEntry("left", "bank@1", where="c.toml: contexts[0]")
LIMIT = QuotaEntry("left", None, MIB, 7, where="c.toml: quotas[0]")
AS_CONFIGURED = Quota(MIB, 7, 0, 0)
READY = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}


def judge(
    config: Config,
    *there: Place,
    quota: Quota | None = AS_CONFIGURED,
    state: dict[str, str] | None = READY,
) -> list[Finding]:
    places = {it.name: it for it in there}
    return list(findings(config, places, BANKS, lambda *_: quota, state))


def only(found: list[Finding]) -> Finding:
    (finding,) = [it for it in found if not it.ok]
    return finding


BOTH = Config(contexts=(LEFT,), quotas=(LIMIT,))


def test_what_is_as_configured_is_fine() -> None:
    assert [it.ok for it in judge(BOTH, PLACE)] == [True, True, True]


def test_without_contexts_and_quotas_there_is_nothing_to_say() -> None:
    assert judge(Config(), state=None) == []


def test_a_context_that_is_missing_must_be_applied() -> None:
    finding = only(judge(Config(contexts=(LEFT,))))
    assert finding.ok is False
    assert finding.what == "c.toml: contexts[0]: context 'left' is not there"
    assert finding.fix.startswith("run `cm-agent apply`")


def test_a_context_that_differs_is_shown_with_both() -> None:
    other = Place("left", "bank@1", 0, MIB, False, mmap.PAGESIZE)
    finding = only(judge(Config(contexts=(LEFT,)), other))
    assert finding.ok is False and "size 1 MiB instead of 64 MiB" in finding.what


@pytest.mark.parametrize(
    ("quota", "text"),
    [
        (Quota(None, None, 0, 0), "is no limit instead of 1 MiB in 7 chunks"),
        (Quota(MIB, 8, 0, 0), "is 1 MiB in 8 chunks instead of 1 MiB in 7 chunks"),
    ],
)
def test_a_quota_that_is_not_set_must_be_applied(quota: Quota, text: str) -> None:
    finding = only(judge(BOTH, PLACE, quota=quota))
    assert finding.ok is False
    assert finding.what.endswith(f"user anybody for context 'left' {text}")
    assert finding.fix.startswith("run `cm-agent apply`")


def test_a_quota_of_a_context_that_is_not_there_is_found() -> None:
    finding = only(judge(Config(quotas=(LIMIT,))))
    assert finding.ok is False and "has no context" in finding.what


def test_a_quota_of_a_user_who_does_not_exist_is_found() -> None:
    entry = QuotaEntry("left", "no-such-user", MIB, where="c.toml: quotas[0]")
    finding = only(judge(Config(quotas=(entry,)), PLACE))
    assert finding.ok is False
    assert finding.what == "c.toml: quotas[0].user: there is no user 'no-such-user'"
    assert finding.fix.startswith("correct the name")


def test_quotas_are_not_judged_by_others_than_root() -> None:
    finding = only(judge(BOTH, PLACE, quota=None))
    assert finding.ok is None and "that needs root" in finding.what


@pytest.mark.parametrize(
    ("state", "what", "fix"),
    [
        ({"LoadState": "not-found"}, "is not installed", "install it"),
        (READY | {"UnitFileState": "disabled"}, "is not enabled", "systemctl enable cm-agent-con"),
        (READY | {"ActiveState": "failed"}, "has failed", "systemctl restart cm-agent-contexts"),
    ],
)
def test_what_would_be_gone_after_a_reboot_is_found(
    state: dict[str, str], what: str, fix: str
) -> None:
    finding = only(judge(BOTH, PLACE, state=state))
    assert finding.ok is False and what in finding.what
    assert finding.fix.startswith(fix)


def test_without_systemd_the_next_boot_is_not_judged() -> None:
    assert only(judge(BOTH, PLACE, state=None)).ok is None
