# SPDX-License-Identifier: MIT
"""Drivers that Debian's kernels come without, built of Debian's kernel sources.

vicodec is a codec and vim2m a converter without hardware; the kernel documents its interface for
such devices by them. s5p_jpeg drives the JPEG codec of Samsung's Exynos. It takes its buffers from
videobuf2, which can import dma-bufs, and up to 6.12 does not say so: that word is added.
exynosdrm_dpi is exynosdrm with the one display controller and the output that the emulated Exynos
has; Debian's kernels have its driver without that output.
dma_importer is the tests' own: it copies between dma-bufs by a DMA engine.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import cache, kernelsource, module, toolchain
from . import kernel as kernels
from .board import PROJECT, Board
from .error import BoardError, run
from .progress import step

FILES = {
    "vicodec": kernelsource.VICODEC,
    "vim2m": kernelsource.VIM2M,
    "s5p_jpeg": kernelsource.S5P_JPEG,
    "exynosdrm_dpi": kernelsource.EXYNOS_DRM,
}
OWN = {"dma_importer": PROJECT / "tests/hil/importer/dma_importer.c"}
# What the kernel's configuration has otherwise.
ON = {"exynosdrm_dpi": ("DRM_EXYNOS_DPI",)}
OFF = {
    "exynosdrm_dpi": (
        "DRM_FBDEV_EMULATION", "DRM_EXYNOS_DP", "DRM_EXYNOS_DSI", "DRM_EXYNOS_FIMC",
        "DRM_EXYNOS_G2D", "DRM_EXYNOS_GSC", "DRM_EXYNOS_HDMI", "DRM_EXYNOS_IPP", "DRM_EXYNOS_MIC",
        "DRM_EXYNOS_MIXER", "DRM_EXYNOS_ROTATOR", "DRM_EXYNOS_SCALER", "DRM_EXYNOS_VIDI",
        "DRM_EXYNOS5433_DECON", "DRM_EXYNOS7_DECON",
    )
}  # fmt: skip
CHANGES = {"s5p_jpeg": ("VB2_MMAP | VB2_USERPTR;", "VB2_MMAP | VB2_USERPTR | VB2_DMABUF;")}


@dataclass(frozen=True)
class Drivers:
    """Modules that were built for a kernel, and what they need of the kernel's own."""

    files: tuple[Path, ...]
    needs: tuple[str, ...]


def make(board: Board, kernel: kernels.Kernel, names: Iterable[str]) -> Drivers:
    """Return these drivers from the cache, built first when they are missing."""
    built = [_make(board, kernel, name) for name in names]
    needs = {word for file in built for word in _depends(file)}
    return Drivers(tuple(built), tuple(sorted(needs)))


def _make(board: Board, kernel: kernels.Kernel, name: str) -> Path:
    sources = _sources(board, kernel, name)
    inputs = {
        "kernel": kernel.tree.name,
        "files": {path.name: path.read_text() for path in sources},
        "sources": cache.sources("kerneldriver.py", "module.py"),
    }
    return (
        cache.entry(
            f"driver-{name}-{board.name}",
            inputs,
            lambda path: _fill(board, kernel, name, sources, path),
        )
        / f"{name}.ko"
    )


def _sources(board: Board, kernel: kernels.Kernel, name: str) -> list[Path]:
    if name in OWN:
        return [OWN[name]]
    if name in FILES:
        return [kernelsource.make(board.kernel.suite) / file for file in FILES[name]]
    raise BoardError(
        f"kernel {kernel.release} has no module {name}, and {__name__} has no sources for it; "
        f"they are known for {', '.join((*FILES, *OWN))}"
    )


def _fill(board: Board, kernel: kernels.Kernel, name: str, sources: list[Path], into: Path) -> None:
    work = into / "work"
    work.mkdir()
    for path in sources:
        shutil.copy(path, work)
    if name in CHANGES:
        _change(work, *CHANGES[name])
    (work / "Kbuild").write_text(_kbuild(name, sources))
    (work / "configuration.h").write_text(_configuration(name))
    with step(f"building {name} for kernel {kernel.release}"):
        toolchain.make(board.kernel.suite).run(
            module.command(board, kernel),
            doing=f"building {name} for {board.name} (kernel {kernel.release})",
            binds=module.binds(kernel, work),
            directory="/module",
        )
    (work / f"{name}.ko").rename(into / f"{name}.ko")
    cache.remove(work)


def _change(work: Path, old: str, new: str) -> None:
    """Replace words of the sources, which must be there."""
    changed = [path for path in work.glob("*.c") if old in path.read_text()]
    if not changed:
        raise BoardError(f"no source in {work} has {old!r} any more: is its change still needed?")
    for path in changed:
        path.write_text(path.read_text().replace(old, new))


def _kbuild(name: str, sources: list[Path]) -> str:
    """Return a Kbuild for a module of these sources; one of its own name is all of it."""
    objects = [path.with_suffix(".o").name for path in sources if path.suffix == ".c"]
    parts = f"{name}-y := {' '.join(objects)}\n" if objects != [f"{name}.o"] else ""
    return f"obj-m := {name}.o\nccflags-y := -include $(src)/configuration.h\n{parts}"


def _configuration(name: str) -> str:
    """Return a header that changes the kernel's configuration for a driver."""
    lines = [f"#define CONFIG_{word} 1\n" for word in ON.get(name, ())]
    lines += [f"#undef CONFIG_{word}\n" for word in OFF.get(name, ())]
    lines += [f"#undef CONFIG_{word}_MODULE\n" for word in OFF.get(name, ())]
    return "".join(lines)


def _depends(file: Path) -> list[str]:
    said = run(["modinfo", "-F", "depends", file], doing=f"reading what {file.name} needs")
    return [word.replace("-", "_") for word in said.strip().split(",") if word]
