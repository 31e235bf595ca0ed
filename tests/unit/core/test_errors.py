# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Errors: one base class, and what is left of each after it was pickled."""

from __future__ import annotations

import errno
import pickle
import pkgutil
import sys
from importlib import import_module

import cm_agent
import pytest
from cm_agent.cli._output import MisuseError, OutputError
from cm_agent.config.settings import ConfigError
from cm_agent.core.errors import (
    AllocationError,
    ClosedError,
    CommandError,
    ContextGoneError,
    Error,
    KeptError,
    UnverifiableError,
    UsageError,
    explained,
)
from cm_agent.core.uapi import Reason
from cm_agent.policy.allocator import Refusal, RefusedError
from cm_agent.policy.rules import MapError, NoRuleError, Policy
from cm_agent.video.error import DeviceLookupError, VideoError

FULL = AllocationError(
    errno.ENOMEM,
    context="camera",
    size=8 << 20,
    alignment=4096,
    reason=Reason.FULL,
    free=1 << 20,
    largest_hole=4096,
)
RULE = Policy.parse("*=camera").rules[0]
REFUSED = RefusedError("vivid", "a", RULE, (Refusal("camera", FULL),))
EXAMPLES: list[Error] = [
    FULL,
    ContextGoneError(errno.ENODEV, "it was destroyed"),
    ClosedError("it is closed"),
    KeptError("chunk 12", "an array"),
    CommandError("it failed"),
    UnverifiableError("nothing can be seen"),
    UsageError("--size: too large"),
    ConfigError(("file: a: wrong", "file: b: wrong")),
    MisuseError("unknown option", usage="usage: cm-agent list"),
    OutputError(OSError(errno.ENOSPC, "No space left on device")),
    MapError(3, "has no context"),
    NoRuleError("vivid", "a", ()),
    REFUSED,
    VideoError(errno.EBUSY, "/dev/video0", "stream", "something else streams"),
    DeviceLookupError(errno.ENODEV, "nosuch", "no camera"),
    *(explained(OSError(number, ""), "open") for number in (1, 2, 3, 13, 17, errno.EIO)),
]


def all_errors() -> set[type[Error]]:
    """Return every error of the package."""
    for module in pkgutil.walk_packages(cm_agent.__path__, "cm_agent."):
        if module.name != "cm_agent.__main__":
            import_module(module.name)
    found, left = set[type[Error]](), [Error]
    while left:
        found.add(kind := left.pop())
        left += kind.__subclasses__()
    return found


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_a_pickled_error_is_the_same(error: Error) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert list(map(repr, vars(again).values())) == list(map(repr, vars(error).values()))
        assert getattr(again, "errno", None) == getattr(error, "errno", None)


def test_what_was_added_to_an_error_is_pickled_too() -> None:
    error = pickle.loads(pickle.dumps(FULL))
    error.add("2 of 4 buffers were had by then")
    assert "2 of 4" in str(pickle.loads(pickle.dumps(error)))


def test_every_error_has_an_example() -> None:
    bases = {kind for kind in all_errors() if kind.__subclasses__()}
    assert all_errors() - bases <= {type(error) for error in EXAMPLES}


def test_every_error_class_of_the_package_has_the_base() -> None:
    all_errors()
    kinds = {
        kind
        for name, module in list(sys.modules.items())
        if name.startswith("cm_agent")
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == name
    }
    assert {kind for kind in kinds if not issubclass(kind, Error)} == set()
