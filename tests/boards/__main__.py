# SPDX-License-Identifier: MIT
"""The command line: `python3 -m boards <verb>`, with tests/ on PYTHONPATH.

make's targets call it. Verbs that need the virtual environment start themselves in it.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from . import board as descriptions
from . import dkms, dtbs, image, lint, module, prerequisites, toolchain
from .board import PROJECT
from .error import BoardError
from .progress import say


def main() -> int:
    """Run one verb; 1 with a sentence on stderr when it failed."""
    arguments = _parser().parse_args()
    try:
        return arguments.run(arguments) or 0
    except BoardError as error:
        print(f"boards: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def prepare(arguments: argparse.Namespace) -> None:
    """Install and build all that a demo or a test run needs, slow steps side by side."""
    prerequisites.programs()
    boards = [descriptions.read(name) for name in arguments.boards]
    jobs = [partial(make, board) for board in boards for make in (module.make, image.make)]
    jobs.append(prerequisites.environment)
    if arguments.promtool:
        jobs.append(prerequisites.promtool)
    if arguments.dtbs:
        jobs += [partial(dtbs.make, architecture) for architecture in dtbs.PACKAGES]
    with ThreadPoolExecutor() as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()


def install(arguments: argparse.Namespace) -> None:
    """Install what this machine lacks, and make the virtual environment."""
    prerequisites.programs()
    prerequisites.environment()
    say("all prerequisites are there")


def build_module(arguments: argparse.Namespace) -> None:
    """Build the kernel module for a board and print its path."""
    prerequisites.programs()
    print(module.make(descriptions.read(arguments.board)))


def check(arguments: argparse.Namespace) -> None:
    """Run all tools that judge sources: sparse, checkpatch, kernel-doc, ruff, mypy."""
    prerequisites.programs()
    lint.make()


def check_dkms(arguments: argparse.Namespace) -> None:
    """Build, install and remove the module by DKMS in a clean arm64 tree."""
    prerequisites.programs()
    dkms.test()


def build_stage(arguments: argparse.Namespace) -> None:
    """Fill build/stage and print its path."""
    _in_environment()
    from . import stage

    print(stage.make())


def compile_c(arguments: argparse.Namespace) -> None:
    """Run the suite's C compiler for an architecture."""
    said = toolchain.compile(arguments.suite, arguments.arch, arguments.words)
    print(said, end="")


def interact(arguments: argparse.Namespace) -> int:
    """Boot a board and give a shell on it."""
    _in_environment()
    from . import shell

    return shell.interact(arguments.board, arguments.state, arguments.packages, arguments.files)


def check_overlay(arguments: argparse.Namespace) -> int:
    """Say what is wrong with overlays for a board's device tree."""
    _in_environment()
    from overlays import report

    return report.show(arguments.dtb, arguments.overlays)


def show_promtool(arguments: argparse.Namespace) -> None:
    """Print where promtool is, fetching it first when it is missing."""
    print(prerequisites.promtool())


def _in_environment() -> None:
    """Start over in the virtual environment's Python unless this is it."""
    if sys.prefix == str(prerequisites.ENVIRONMENT):
        return
    prerequisites.programs()
    python = str(prerequisites.environment())
    search = os.pathsep.join(filter(None, [str(PROJECT / "tests"), os.environ.get("PYTHONPATH")]))
    os.execve(python, [python, "-m", "boards", *sys.argv[1:]], {**os.environ, "PYTHONPATH": search})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="boards", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        return added

    verb("prerequisites", install)
    verb("stage", build_stage)
    verb("lint", check)
    verb("dkms", check_dkms)
    verb("promtool", show_promtool)
    preparing = verb("prepare", prepare)
    preparing.add_argument("boards", nargs="+", choices=descriptions.names(), metavar="BOARD")
    preparing.add_argument("--promtool", action="store_true", help="fetch promtool, too")
    preparing.add_argument("--dtbs", action="store_true", help="fetch Debian's device trees, too")
    with_board = [verb("module", build_module), verb("shell", interact)]
    for added in with_board:
        added.add_argument("board", nargs="?", default="arm64-virt", choices=descriptions.names())
    shell = with_board[1]
    shell.add_argument("--state", default="agent", choices=("shell", "module", "agent"))
    shell.add_argument("--packages", nargs="*", default=[], help="Debian packages to be unpacked")
    shell.add_argument("--files", nargs="*", default=[], type=Path, help="copied to root's home")
    overlay = verb("overlay", check_overlay)
    overlay.add_argument("dtb", help="a file, or the name of a tree that Debian ships")
    overlay.add_argument("overlays", nargs="*", type=Path, help=".dtso or .dtbo, merged in order")
    compiler = verb("cc", compile_c)
    compiler.add_argument("--arch", required=True, choices=sorted(toolchain.COMPILERS))
    compiler.add_argument("--suite", default="trixie")
    compiler.add_argument("words", nargs="+", help="the compiler's own arguments, after --")
    return parser


sys.exit(main())
