# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What ran before this file leaked nothing: the last one on a kernel with kmemleak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.lg_feature("kmemleak")


def test_the_loaded_module_leaked_nothing(module: Any, leaks: Callable[[], list[str]]) -> None:
    assert leaks() == []


def test_the_unloaded_module_leaked_nothing(shell: Any, leaks: Callable[[], list[str]]) -> None:
    """What only its own data referred to is a leak from now on."""
    assert leaks() == []
