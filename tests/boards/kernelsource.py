# SPDX-License-Identifier: MIT
"""The few files in use of a suite's kernel source package, which its kernels are built of."""

from pathlib import Path

from . import cache
from .apt import HOST, Archive, unpack
from .error import run
from .progress import step

CHECKPATCH = tuple(
    f"scripts/{name}" for name in ("checkpatch.pl", "spelling.txt", "const_structs.checkpatch")
)
VICODEC = tuple(
    f"drivers/media/test-drivers/vicodec/{name}"
    for name in (
        "codec-fwht.c", "codec-fwht.h", "codec-v4l2-fwht.c", "codec-v4l2-fwht.h", "vicodec-core.c",
    )
)  # fmt: skip
VIM2M = ("drivers/media/test-drivers/vim2m.c",)
S5P_JPEG = tuple(
    f"drivers/media/platform/samsung/s5p-jpeg/{name}"
    for name in (
        "jpeg-core.c", "jpeg-core.h", "jpeg-hw-exynos3250.c", "jpeg-hw-exynos3250.h",
        "jpeg-hw-exynos4.c", "jpeg-hw-exynos4.h", "jpeg-hw-s5p.c", "jpeg-hw-s5p.h", "jpeg-regs.h",
    )
)  # fmt: skip
EXYNOS_DRM = tuple(
    f"drivers/gpu/drm/exynos/exynos_drm_{name}"
    for name in (
        "crtc.c", "crtc.h", "dma.c", "dpi.c", "drv.c", "drv.h", "fb.c", "fb.h", "fbdev.h", "fimd.c",
        "g2d.h", "gem.c", "gem.h", "ipp.h", "plane.c", "plane.h", "vidi.h",
    )
)  # fmt: skip
HEAPS_SELFTEST = (
    "tools/testing/selftests/dmabuf-heaps/dmabuf-heap.c",
    "tools/testing/selftests/kselftest.h",
)
FILES = (*CHECKPATCH, *VICODEC, *VIM2M)
# No other suite has a board for Samsung's, and before 5.18 the JPEG codec had another place.
FILES_OF = {"trixie": (*FILES, *S5P_JPEG, *EXYNOS_DRM, *HEAPS_SELFTEST)}


def make(suite: str) -> Path:
    """Return the cache entry with the files, each at its place; fetched first when missing."""
    inputs = {
        "suite": suite,
        "files": FILES_OF.get(suite, FILES),
        "sources": cache.sources("kernelsource.py", "apt.py"),
    }
    return cache.entry(f"kernel-source-{suite}", inputs, lambda path: _fill(suite, path))


def _fill(suite: str, into: Path) -> None:
    archive, scratch = Archive(suite, (HOST,)), into / "scratch"
    files = FILES_OF.get(suite, FILES)
    (package,) = archive.dependencies("linux-source", scratch)
    with step(f"downloading {package}"):
        debs = archive.download_only([package], scratch)
    with step(f"unpacking {len(files)} files of {package}"):
        unpack(debs, scratch)
        packed = scratch / f"usr/src/{package}.tar.xz"
        members = [f"{package}/{name}" for name in files]
        # --occurrence=1: each is there once, so tar may stop when it has them all.
        take = ["tar", "-C", into, "--strip-components=1", "--occurrence=1", "-xf", packed]
        run([*take, *members], doing=f"unpacking {packed.name}")
    cache.remove(scratch)
