# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Policies and the map grammar of 2010: what matches, what is refused, and where."""

from __future__ import annotations

import errno
import string
from fnmatch import fnmatchcase

import pytest
from cm_agent.policy.rules import COMMON, MapError, NoRuleError, Pattern, Policy, Rule
from hypothesis import given
from hypothesis import strategies as st

# The maps of the CMA patch series and of the boards that used it (shared/facts/cma-patchset.md,
# sections 2 and 4; the facts' "s5p-mfc-v6/*" is short for the types f, a and b). What a device is
# given for a type is in the order to try; None: no rule.
DOCUMENTED: list[tuple[str, dict[tuple[str, str], str | None]]] = [
    (
        "video,camera=region;*=common",
        {
            ("video", COMMON): "region",
            ("camera", "frames"): "region",
            ("camera2", COMMON): "common",
        },
    ),
    ("*=region", {("anything", COMMON): "region", ("video", "a"): "region"}),
    (
        "video=v;camera=c;*=common",
        {("video", COMMON): "v", ("camera", COMMON): "c", ("dsp", COMMON): "common"},
    ),
    (
        "foo/a=a;foo/b=b;*=a,b",
        {("foo", "a"): "a", ("foo", "b"): "b", ("foo", COMMON): "a,b", ("bar", "b"): "a,b"},
    ),
    (
        "foo/a=a,b;foo/b=b,a;*=a,b",
        {("foo", "a"): "a,b", ("foo", "b"): "b,a", ("bar", COMMON): "a,b"},
    ),
    (
        "baz?/a,baz?/b=r3",
        {
            ("baz1", "a"): "r3",
            ("bazx", "b"): "r3",
            ("baz", "a"): None,
            ("baz12", "a"): None,
            ("baz1", "c"): None,
        },
    ),
    (
        "foo/quaz=r1;/other=r2",
        {("foo", "quaz"): "r1", ("foo", "other"): "r2", ("bar", "other"): None},
    ),
    (
        "s3c-mfc5/f=fw;s3c-mfc5/a=b1;s3c-mfc5/b=b2",
        {
            ("s3c-mfc5", "f"): "fw",
            ("s3c-mfc5", "a"): "b1",
            ("s3c-mfc5", "b"): "b2",
            ("s3c-mfc5", COMMON): None,
        },
    ),
    (
        "s5p-mfc5/f=fw;s5p-mfc5/a=b1;s5p-mfc5/b=b2;*=b1,b2",
        {("s5p-mfc5", "f"): "fw", ("s5p-mfc5", COMMON): "b1,b2", ("s5p-fimc", "f"): "b1,b2"},
    ),
    ("s3c-mfc5/f=fw;*=r", {("s3c-mfc5", "f"): "fw", ("s3c-mfc5", "a"): "r"}),
    (
        "s3cfb.0=fimd;s3c-fimc.0=fimc0;s3c-fimc.3=fimc3;exynos4210-fimc.0=fimc0;"
        "s3c-mfc/A=mfc0,mfc-secure;s3c-mfc/B=mfc1,mfc-normal;s3c-mfc/AB=mfc;"
        "s5p-mfc/f=fw;s5p-mfc/a=b1;s5p-mfc/b=b2;samsung-rp=srp;s5p-jpeg=jpeg;s5p-mixer=tv;"
        "s5p-fimg2d=fimg2d;exynos4-fimc-is/f=fimc_is;ion-exynos=ion,fimd,fimc0",
        {
            ("s3cfb.0", COMMON): "fimd",
            ("s3cfb.1", COMMON): None,
            ("s3c-mfc", "A"): "mfc0,mfc-secure",
            ("s3c-mfc", "AB"): "mfc",
            ("s3c-mfc", "a"): None,
            ("s5p-jpeg", "anything"): "jpeg",
            ("exynos4-fimc-is", "f"): "fimc_is",
            ("exynos4-fimc-is", COMMON): None,
            ("ion-exynos", COMMON): "ion,fimd,fimc0",
        },
    ),
    (
        "s5p-mfc-v6/f=fw;s5p-mfc-v6/a=b1;s5p-mfc-v6/b=b2;",
        {("s5p-mfc-v6", "b"): "b2", ("s5p-mfc", "b"): None},
    ),
    (
        "s5p-mfc/f=fw;s5p-mfc/a=left;*=left,right",
        {("s5p-mfc", "f"): "fw", ("s5p-mfc", "a"): "left", ("s5p-mfc", "b"): "left,right"},
    ),
    ("", {("video", COMMON): None}),
]


@pytest.mark.parametrize(
    ("text", "device", "type", "contexts"),
    [(text, *who, got) for text, answers in DOCUMENTED for who, got in answers.items()],
)
def test_a_documented_map_gives_what_is_documented(
    text: str, device: str, type: str, contexts: str | None
) -> None:
    policy = Policy.parse(text)
    if contexts is None:
        with pytest.raises(NoRuleError):
            policy.match(device, type)
    else:
        assert policy.match(device, type).contexts == tuple(contexts.split(","))


def test_who_gives_no_type_asks_for_common() -> None:
    policy = Policy.parse("foo/common=a;foo=b")
    assert policy.match("foo").contexts == ("a",)


def test_the_first_rule_that_matches_holds() -> None:
    policy = Policy.parse("foo=a;foo/quaz=b;*=c")
    assert policy.match("foo", "quaz") == policy.rules[0]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("fimc.?", ["fimc.0", "fimc.x", "fimc.?"], ["fimc.", "fimc.10", "fimcx"]),
        ("fimc*", ["fimc", "fimc.0", "fimc0.1"], ["fim", "xfimc", "FIMC"]),
        ("f?mc*", ["fimc", "fxmc.1"], ["fmc", "fimx"]),
        ("??", ["ab"], ["a", "abc"]),
        ("*", ["a", "anything at all"], []),
        ("a.c", ["a.c"], ["abc"]),
        ("[ab]", ["[ab]"], ["a"]),
    ],
)
def test_question_mark_is_one_character_and_asterisk_the_rest(
    pattern: str, yes: list[str], no: list[str]
) -> None:
    assert [name for name in yes + no if Pattern(pattern).matches(name, COMMON)] == yes


def test_a_pattern_of_a_type_alone_is_for_the_device_before_it() -> None:
    policy = Policy.parse("foo?/a,/b,bar=x;/c=y")
    assert [policy.match(*who).contexts for who in (("foo1", "b"), ("bar", "c"))] == [("x",)] * 2
    assert policy.rules[1].patterns == (Pattern("bar", "c"),)


def test_no_rule_names_device_type_and_the_rules_that_were_looked_at() -> None:
    with pytest.raises(NoRuleError) as caught:
        Policy.parse("s5p-mfc/f=fw;s5p-mfc/a=left,right").match("s5p-mfc", "b")
    assert caught.value.errno == errno.ENOENT
    assert caught.value.strerror == (
        "no rule of the policy matches device 's5p-mfc', type 'b': "
        "looked at 's5p-mfc/f=fw', 's5p-mfc/a=left,right'"
    )


def test_no_rules_at_all_says_where_to_write_some() -> None:
    with pytest.raises(NoRuleError, match=r"device 'x', type 'common': there are no rules; write"):
        Policy().match("x")


@pytest.mark.parametrize(
    ("text", "offset", "reason"),
    [
        (";", 0, "'' is not a rule: write DEVICE=CONTEXT"),
        ("a=b;;", 4, "'' is not a rule"),
        ("a=b;;c=d", 4, "'' is not a rule"),
        ("a=b;video", 4, "'video' is not a rule"),
        ("=a", 0, "there is no device"),
        ("a,=b", 2, "there is no device"),
        ("a=", 2, "'' cannot be a context's name"),
        ("a=b,", 4, "'' cannot be a context's name"),
        ("a=b=c", 2, "'b=c' cannot be a context's name"),
        ("a=b;c=d,E", 8, "'E' cannot be a context's name: 1 to 31 of a-z, 0-9, - and _"),
        ("a=" + "b" * 32, 2, "cannot be a context's name"),
        ("a=control", 2, "'control' is not a context"),
        ("a=../b", 2, "'../b' cannot be a context's name"),
        ("a/=b", 0, "there is no type"),
        ("/a=b", 0, "'/a' is for the device of the pattern before it: none is"),
        ("a=b;c,d/e/f=g", 6, "type 'e/f': '/' cannot be in it"),
        ("a*b=c", 0, "device 'a*b': '*' can only be its last character"),
        ("**=c", 0, "device '**': '*' can only be its last character"),
        ("a/*=c", 0, "type '*': a type has no wildcards; leave it out to match every type"),
        ("a/?=c", 0, "type '?': a type has no wildcards"),
        (" a=b", 0, "device ' a': ' ' cannot be in it"),
        ("a=b; c=d", 4, "device ' c': ' ' cannot be in it"),
        ("a=b;\nc=d", 4, r"device '\nc': '\n' cannot be in it"),
        ("a= b", 2, "' b' cannot be a context's name"),
    ],
)
def test_a_broken_map_is_refused_at_its_first_error(text: str, offset: int, reason: str) -> None:
    with pytest.raises(MapError) as caught:
        Policy.parse(text)
    assert caught.value.offset == offset
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"character {offset + 1} of the map: ")


@pytest.mark.parametrize(
    ("patterns", "contexts", "reason"),
    [
        ((), ("a",), "a rule without a pattern"),
        ((Pattern("a"),), (), "a rule without a context"),
        ((Pattern("a"),), ("A",), "'A' cannot be a context's name"),
    ],
)
def test_a_rule_that_is_none_cannot_be_made(
    patterns: tuple[Pattern, ...], contexts: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Rule(patterns, contexts)


WORDS = st.text(string.ascii_letters + string.digits + ".-_!:", min_size=1, max_size=8)
DEVICES = st.builds(
    lambda stem, end: stem + end, st.text("ab.?-", max_size=5), st.sampled_from(["", "*", "?", "z"])
).filter(bool)
PATTERNS = st.builds(Pattern, DEVICES, st.none() | WORDS)
CONTEXTS = st.from_regex(r"[a-z0-9_-]{1,31}", fullmatch=True).filter(lambda it: it != "control")
RULES = st.builds(
    Rule,
    st.lists(PATTERNS, min_size=1, max_size=3).map(tuple),
    st.lists(CONTEXTS, min_size=1, max_size=3).map(tuple),
)
POLICIES = st.builds(Policy, st.lists(RULES, max_size=4).map(tuple))


@given(POLICIES)
def test_a_policy_written_as_a_map_is_read_back_the_same(policy: Policy) -> None:
    assert Policy.parse(str(policy)) == policy


@given(POLICIES, st.text("ab.z-", min_size=1, max_size=6), WORDS)
def test_matching_is_that_of_the_first_rule_and_no_other(
    policy: Policy, device: str, type: str
) -> None:
    """Against a plain search with fnmatch, whose `?` and `*` are the same in these names."""
    expected = next(
        (
            rule
            for rule in policy.rules
            for pattern in rule.patterns
            if fnmatchcase(device, pattern.device) and pattern.type in (None, type)
        ),
        None,
    )
    if expected is None:
        with pytest.raises(NoRuleError):
            policy.match(device, type)
    else:
        assert policy.match(device, type) == expected


@given(st.text("ab*?/,=; \nA", max_size=12))
def test_whatever_is_read_is_a_policy_or_refused_inside_the_text(text: str) -> None:
    try:
        policy = Policy.parse(text)
    except MapError as error:
        assert 0 <= error.offset <= len(text)
    else:
        assert Policy.parse(str(policy)) == policy
