# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Hatchling's hook: every build, editable ones too, begins by generating the ABI bindings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class AbiBuildHook(BuildHookInterface[Any]):
    """Run generate_abi.py in the source tree before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        subprocess.run(
            [sys.executable, str(Path(self.root, "agent", "generate_abi.py"))], check=True
        )
