# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Physically contiguous memory for ARM boards."""

__version__ = "0.1.0"
