# SPDX-License-Identifier: MIT
"""Kernels of our own making, for what Debian's cannot do: `debug` and `bench`.

A kernel is arm64's defconfig without its modules and without foreign platforms, plus `virt.config`
and `<name>.config`, made of the suite's `linux-source` by the suite's compiler. That takes half an
hour, so ready ones are taken from $CM_KERNELS or from `shared/kernels` beside the project when they
are there. Either way the tree in the cache has a Debian kernel's layout, with the headers' build
programs among the headers.
"""

import hashlib
import lzma
import os
import re
import shutil
from pathlib import Path

from boards import cache, toolchain
from boards.apt import HOST, Archive, unpack
from boards.board import PROJECT, Board
from boards.error import BoardError, run
from boards.progress import say, step

HERE = Path(__file__).parent
SOURCES = {"trixie": "linux-source-6.12"}
PROGRAMS = ("bc", "bison", "flex", "libelf-dev", "libssl-dev", "tar")
READY = ("Image.xz", "modules.tar.xz", "headers.tar.xz", "config")
BESIDE = ("../shared/kernels", "../../shared/kernels")
LIMIT_SECONDS = 6 * 3600


def make(board: Board) -> Path:
    """Return the tree of the board's kernel from the cache; unpack or build it first if missing."""
    ready = _ready(board)
    inputs: dict[str, object] = {"sources": _digest(Path(__file__))}
    if ready:
        inputs |= {name: _digest(ready / name) for name in READY}
        return cache.entry(f"kernel-{board.name}", inputs, lambda path: _unpack(ready, path))
    inputs |= {"suite": board.kernel.suite, "package": SOURCES.get(board.kernel.suite)}
    inputs |= {path.name: path.read_text() for path in _fragments(board)}
    return cache.entry(f"kernel-{board.name}", inputs, lambda path: _build(board, path))


def _ready(board: Board) -> Path | None:
    """Return the directory of a ready kernel, or None."""
    chosen = os.environ.get("CM_KERNELS")
    places = [Path(chosen)] if chosen is not None else [PROJECT / place for place in BESIDE]
    for place in places:
        found = place / f"{board.architecture}-{board.kernel.own}"
        if all((found / name).is_file() for name in READY):
            return found.resolve()
    return None


def _unpack(ready: Path, into: Path) -> None:
    """Bring a ready kernel into the layout of the cache."""
    with step(f"unpacking the ready kernel {ready}"):
        for name in ("modules", "headers"):
            (into / name).mkdir()
            run(
                ["tar", "-C", into / name, "-xf", ready / f"{name}.tar.xz"],
                doing=f"unpacking {name}",
            )
        with lzma.open(ready / "Image.xz") as packed, (into / "Image").open("wb") as image:
            shutil.copyfileobj(packed, image)
        shutil.copyfile(ready / "config", into / "config")
        (into / "headers/headers").rename(into / "own-headers")
        (into / "headers").rmdir()
        _arrange(into, into / "modules", into / "own-headers")


def _build(board: Board, into: Path) -> None:
    """Build the kernel from Debian's sources."""
    source = _source(board, into / "work")
    result = into / "result"
    result.mkdir()
    with step("making the compilers ready"):
        compilers = toolchain.make(board.kernel.suite, PROGRAMS)

    def inside(doing: str, *words: str) -> None:
        compilers.run(
            words,
            doing=doing,
            binds={source: "/kernel", result: "/result"},
            directory="/kernel",
            timeout=LIMIT_SECONDS,
        )

    kbuild = (
        "make", f"-j{os.cpu_count()}", f"ARCH={board.kernel_arch}", f"CROSS_COMPILE={board.cross}",
        "KBUILD_BUILD_USER=cm-agent", "KBUILD_BUILD_HOST=cm-agent",
    )  # fmt: skip
    with step(f"configuring {source.name}"):
        _configure(board, source, kbuild, inside)
    say(f"building {source.name} takes half an hour; CM_KERNELS= names a directory of ready ones")
    with step(f"building {source.name} ({board.kernel.own})"):
        inside("building the kernel", *kbuild, "Image", "modules")
    with step("collecting the kernel"):
        to_result = ("INSTALL_MOD_PATH=/result", "DEPMOD=true", "modules_install")
        inside("installing the kernel's modules", *kbuild, *to_result)
        # Two equal compilers: the headers' programs are to run here, not on the board.
        headers = (
            "srctree=.",
            f"SRCARCH={board.kernel_arch}",
            "KCONFIG_CONFIG=.config",
            "CC=",
            "HOSTCC=",
        )
        script = "scripts/package/install-extmod-build"
        inside("collecting the headers", "env", *headers, "sh", script, "/result/headers")
        shutil.copyfile(source / ".config", result / "headers/.config")
        shutil.copyfile(source / ".config", into / "config")
        shutil.copyfile(source / f"arch/{board.kernel_arch}/boot/Image", into / "Image")
        _arrange(into, result, result / "headers")
    cache.remove(into / "result")
    cache.remove(into / "work")


def _source(board: Board, work: Path) -> Path:
    """Download and unpack the suite's kernel sources."""
    suite = board.kernel.suite
    if suite not in SOURCES:
        raise BoardError(f"no kernel sources known for {suite}: add them to {__name__}.SOURCES")
    with step(f"downloading {SOURCES[suite]}"):
        debs = Archive(suite, (HOST,)).download_only([SOURCES[suite]], work / "debs")
    with step(f"unpacking {SOURCES[suite]}"):
        unpack(debs, work / "deb")
        packed = work / f"deb/usr/src/{SOURCES[suite]}.tar.xz"
        run(["tar", "-C", work, "-xf", packed], doing="unpacking the kernel's sources")
    return work / SOURCES[suite]


def _configure(board: Board, source: Path, kbuild: tuple[str, ...], inside) -> None:
    """Write `.config`, and raise when an option that a fragment asks for did not take."""
    platforms = (source / f"arch/{board.kernel_arch}/Kconfig.platforms").read_text()
    off = [
        f"# CONFIG_{name} is not set\n"
        for name in re.findall(r"^config (ARCH_\w+)", platforms, re.M)
    ]
    (source / "platforms.config").write_text("".join(off))
    fragments = [shutil.copy(path, source) for path in _fragments(board)]
    names = [Path(path).name for path in fragments]
    inside("configuring the kernel", *kbuild, "defconfig")
    inside("configuring the kernel", *kbuild, "mod2noconfig")
    merge = ("sh", "scripts/kconfig/merge_config.sh", "-m", ".config", "platforms.config")
    inside("configuring the kernel", *merge, *names)
    inside("configuring the kernel", *kbuild, "olddefconfig")
    got = set((source / ".config").read_text().splitlines())
    asked = [line for path in _fragments(board) for line in path.read_text().splitlines()]
    lost = [line for line in asked if line.startswith("CONFIG_") and line not in got]
    if lost:
        raise BoardError(f"{source.name} has no {', '.join(lost)}; see {HERE}/*.config")


def _arrange(into: Path, modules: Path, headers: Path) -> None:
    """Put image, modules and headers where Debian's packages put them; index the modules."""
    (installed,) = (modules / "lib/modules").iterdir()
    release = installed.name
    for place in ("boot", "usr/lib/modules", "usr/src"):
        (into / place).mkdir(parents=True)
    (into / "Image").rename(into / f"boot/vmlinuz-{release}")
    installed.rename(into / "usr/lib/modules" / release)
    headers.rename(into / f"usr/src/linux-headers-{release}")
    cache.remove(into / "modules")
    for link in ("build", "source"):
        (into / "usr/lib/modules" / release / link).unlink(missing_ok=True)
    run(["depmod", "-b", into / "usr", release], doing="indexing the modules")
    (into / "release").write_text(f"{release}\n")


def _fragments(board: Board) -> list[Path]:
    return [HERE / "virt.config", HERE / f"{board.kernel.own}.config"]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
