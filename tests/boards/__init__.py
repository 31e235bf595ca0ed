# SPDX-License-Identifier: MIT
"""Emulated boards, made of Debian packages: kernel, root, device tree, toolchain, QEMU.

Standard library only: this package runs with the system's Python before any virtual
environment exists. `python3 -m boards` (with `tests/` on PYTHONPATH) is its command line.
A board is data: `tests/boards/<name>/board.toml`, read by `board.py`.
"""
