# SPDX-License-Identifier: MIT
"""The kernel's own selftest of dma-heaps, built of Debian's kernel sources."""

import shutil
from pathlib import Path

from . import kernelsource, toolchain
from .board import PROJECT

BUILT = PROJECT / "build/selftest"


def dma_heaps(suite: str, architecture: str) -> Path:
    """Build tools/testing/selftests/dmabuf-heaps as it is in a suite's linux-source."""
    program = BUILT / f"dmabuf-heap-{architecture}"
    source, _ = (_copy(suite, name) for name in kernelsource.HEAPS_SELFTEST)
    # But for warnings, as its Makefile has it: a size_t is printed as a long, which armhf has not.
    words = ["-static", "-O3", "-o", str(program), str(source)]
    toolchain.compile(suite, architecture, words)
    return program


def _copy(suite: str, name: str) -> Path:
    """Copy a file of the sources to where compilers see it, and its place beside others with it."""
    copy = BUILT / "source" / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kernelsource.make(suite) / name, copy)
    return copy
