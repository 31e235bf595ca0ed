# SPDX-License-Identifier: MIT
"""Overlays with banks and contexts: merged into a board's device tree, and judged."""
