# SPDX-License-Identifier: MIT
"""The tree of files that the project installs on a board, as a package would."""

import shutil
import sys
from pathlib import Path

from . import module
from .board import PROJECT
from .cache import digest, lock, remove
from .error import BoardError, run

STAGE = PROJECT / "build/stage"
PACKAGES = "usr/lib/python3/dist-packages"
DOCUMENTS = "usr/share/doc/cm-agent"
FOLDERS_OF_DOCUMENTS = ("examples", "monitoring")
BUILT = ("__pycache__", "capture")
"""What is made in those folders by Python and by the Makefile of the examples."""
HEADER = "usr/include/linux/cm.h"
PKG_CONFIG = "usr/share/pkgconfig/cm.pc"
PLACES = {
    ".service": "usr/lib/systemd/system",
    ".socket": "usr/lib/systemd/system",
    ".rules": "usr/lib/udev/rules.d",
    ".sysusers.conf": "usr/lib/sysusers.d",
    ".tmpfiles.conf": "usr/lib/tmpfiles.d",
    ".modules-load.conf": "usr/lib/modules-load.d",
}
PROGRAM = """\
#!/usr/bin/python3
# SPDX-License-Identifier: MIT
import sys

try:
    from cm_agent.cli import main
except KeyboardInterrupt:  # the imports take seconds on a small board
    sys.exit(130)

sys.exit(main())
"""


def make(place: Path = STAGE) -> Path:
    """Fill a place anew and return it. Needs the cffi of the virtual environment."""
    with lock(f"stage-{digest({'place': place})}"):
        return _fill(place)


def _fill(stage: Path) -> Path:
    run(
        [sys.executable, PROJECT / "agent/generate_abi.py"],
        doing="generating the agent's binding of cm.h",
    )
    partial = stage.with_name("stage.partial")
    remove(partial)
    shutil.copytree(
        PROJECT / "agent/cm_agent",
        partial / PACKAGES / "cm_agent",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    program = partial / "usr/bin/cm-agent"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)
    _document(partial / DOCUMENTS)
    _prepare_for_c(partial)
    for path in sorted((PROJECT / "systemd").iterdir()):
        _place(path, partial)
    remove(stage)
    partial.rename(stage)
    return stage


def _document(documents: Path) -> None:
    for name in FOLDERS_OF_DOCUMENTS:
        built = shutil.ignore_patterns(*BUILT)
        shutil.copytree(PROJECT / "agent" / name, documents / name, ignore=built)
    shutil.copyfile(PROJECT / "README.md", documents / "README.md")


def _prepare_for_c(stage: Path) -> None:
    """Install the header of the ABI, and what pkg-config says about it."""
    header, description = stage / HEADER, stage / PKG_CONFIG
    for path in (header, description):
        path.parent.mkdir(parents=True)
    shutil.copyfile(module.SOURCES / "include/uapi/linux/cm.h", header)
    text = (module.SOURCES / "cm.pc.in").read_text()
    description.write_text(text.replace("@VERSION@", module.version()))


def _place(path: Path, stage: Path) -> None:
    """Copy one file of `systemd/` to the place that its name's ending calls for."""
    ending = next((ending for ending in PLACES if path.name.endswith(ending)), None)
    if ending is None:
        if path.suffix == ".md":
            return
        raise BoardError(f"{path}: no place known for such a file; see {__name__}.PLACES")
    suffix = ".conf" if ending.endswith(".conf") else ending
    target = stage / PLACES[ending] / (path.name.removesuffix(ending) + suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
