# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The module's parameter `contexts`, for boards whose device tree cannot be changed."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.lg_feature("device-tree")


@pytest.mark.kernel_log("cm: contexts", "cm-context")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "expected NAME=BANK"),
        ("it={bank}/sise=4M", '"sise=4M" is none of'),
    ],
)
def test_a_mistake_in_the_parameter_names_itself(
    module: Any, banks: dict[str, str], text: str, said: str
) -> None:
    """And nothing is loaded."""
    module.check("rmmod cm")
    loaded = module.run(f"modprobe cm 'contexts={text.format(bank=banks['shared'])}'")
    log = module.check("dmesg | tail -5")
    module.check("modprobe cm && udevadm settle --timeout=30")
    assert loaded.code != 0 and said in log


@pytest.mark.kernel_log("cm: contexts", "cm-context")
@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("it={bank}/offset=32M", "it was not made: error -16"),
        ("it=nobody@0", "it was not made: there is no /reserved-memory/nobody@0"),
    ],
)
def test_a_context_that_cannot_be_made_is_missing_and_said_to_be(
    module: Any, banks: dict[str, str], wish: str, said: str
) -> None:
    """The device tree's contexts come first, and stay."""
    wish = wish.format(bank=banks["shared"])
    module.check("rmmod cm")
    module.check(f"modprobe cm 'contexts={wish}' && udevadm settle --timeout=30")
    assert module.check("ls /dev/cm").split() == ["control", "private", "shared"]
    log = module.check("dmesg | tail -5")
    module.check("rmmod cm && modprobe cm && udevadm settle --timeout=30")
    assert f"cm: contexts: {said}" in log
