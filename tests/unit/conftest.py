# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Hypothesis without a time limit per example: other jobs run on the same machine."""

from hypothesis import settings

settings.register_profile("cm-agent", deadline=None)
settings.load_profile("cm-agent")
