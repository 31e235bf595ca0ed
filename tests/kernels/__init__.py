# SPDX-License-Identifier: MIT
"""The module's tests on every kernel: `make test-kernels`."""
