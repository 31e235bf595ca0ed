# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The module's parameters: contexts where the device tree cannot be changed, and its limits."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.lg_feature("device-tree")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "expected NAME=BANK"),
        ("it={bank}/sise=4M", '"sise=4M" is none of'),
    ],
)
def test_an_error_in_the_parameter_is_named(
    module: Any, banks: dict[str, str], text: str, said: str
) -> None:
    """And nothing is loaded."""
    module.check("rmmod cm")
    loaded = module.run(f"modprobe cm 'contexts={text.format(bank=banks['shared'])}'")
    log = module.check("dmesg | tail -20")
    module.check("modprobe cm && udevadm settle --timeout=30")
    assert loaded.code != 0 and said in log


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (
            "it={bank}/offset=32M",
            r"it was not made: error -16: bank \S+ \d+ bytes from 0 on already belong to another",
        ),
        ("it={bank}/align=12K", r"it was not made: error -22: minimum alignment .* is 12288: must"),
        (
            "It={bank}",
            r'It was not made: error -22: label "It": must be 1 to 31 of a-z, 0-9, - and',
        ),
        (
            "caf\u00e9={bank}",
            r'was not made: error -22: label "caf.*": must be 1 to 31 of a-z, 0-9',
        ),
        ("it=nobody@0", r"it was not made: there is no /reserved-memory/nobody@0"),
    ],
)
def test_a_context_that_cannot_be_made_is_missing_and_the_kernel_log_has_the_reason(
    module: Any, banks: dict[str, str], spec: str, error: str
) -> None:
    """The device tree's contexts come first, and stay."""
    spec = spec.format(bank=banks["shared"])
    module.check("rmmod cm")
    module.check(f"modprobe cm 'contexts={spec}' && udevadm settle --timeout=30")
    assert module.check("ls /dev/cm").split() == ["control", "private", "shared"]
    log = module.check("dmesg | tail -20")
    module.check("rmmod cm && modprobe cm && udevadm settle --timeout=30")
    assert re.search(f"cm: contexts: .*{error}", log), log


NUMBERS = {"linger_ms": (1000, 0, 60000), "max_chunks": (4096, 1, 8192)}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_out_of_range_is_refused_and_changes_nothing(module: Any, name: str) -> None:
    default, least, most = NUMBERS[name]
    path = f"/sys/module/cm/parameters/{name}"
    assert module.check(f"cat {path}") == str(default)
    try:
        for number in (least, most):
            module.check(f"echo {number} > {path}")
            assert module.check(f"cat {path}") == str(number)
        for wrong in (least - 1, most + 1, 1 << 32, "x", "1.5"):
            assert module.run(f"echo {wrong} > {path}").code != 0
            assert module.check(f"cat {path}") == str(most)
    finally:
        module.check(f"echo {default} > {path}")


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_out_of_range_keeps_the_module_from_loading(module: Any, name: str) -> None:
    number = NUMBERS[name][2] + 1
    module.check("rmmod cm")
    loaded = module.run(f"modprobe cm {name}={number}")
    log = module.check("dmesg | tail -20")
    module.check("modprobe cm && udevadm settle --timeout=30")
    assert loaded.code != 0
    assert re.search(rf"cm: `{number}' invalid for parameter `{name}'", log), log
