# SPDX-License-Identifier: MIT
"""Figures of the module, each beside a limit measured in the same run: `make bench`."""
