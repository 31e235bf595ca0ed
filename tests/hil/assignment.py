# SPDX-License-Identifier: MIT
"""Which test runs on which board, by the features that it wants and the marks that it has.

$LG_BOARD is the main board, $LG_OTHER_BOARDS are the others of this run, emulated ones. A test runs
on the first that has all it wants; one that is marked `two_kernels` or `every_board` on more.
"""

import os
from typing import Any

import pytest
from boards import board as descriptions
from labgrid.pytestplugin.hooks import LABGRID_ENV_KEY
from xdist.scheduler import LoadFileScheduling

MAIN = os.environ.get("LG_BOARD", "")
OTHERS = [name for name in os.environ.get("LG_OTHER_BOARDS", "").split() if name != MAIN]
NOWHERE = "no board of this run has all the features that it wants"


def board_of(item: pytest.Item) -> str | None:
    """Return the name of a test's board if that is not the main one."""
    return item.callspec.params.get("board") if hasattr(item, "callspec") else None


def able_boards(test: pytest.Item) -> list[str]:
    """Return the boards that have all that a test wants; the only one, whatever it has.

    Where there is one, labgrid looks at its features.
    """
    if not OTHERS:
        return [MAIN]
    wanted = {name for mark in test.iter_markers("lg_feature") for name in mark.args}
    return [name for name in (MAIN, *OTHERS) if wanted <= set(descriptions.read(name).features)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the boards that it is for."""
    if OTHERS and "board" in metafunc.fixturenames:
        boards = [_parameter(name) for name in _assigned(metafunc.definition)]
        metafunc.parametrize("board", boards or [_nowhere()], indirect=True, scope="session")


def _assigned(test: pytest.Item) -> list[str]:
    able = able_boards(test)
    if test.get_closest_marker("every_board"):
        return able
    both = {MAIN, OTHERS[0]} if test.get_closest_marker("two_kernels") else set()
    return [name for name in able if name in both] or able[:1]


def _parameter(name: str) -> Any:
    return pytest.param(None, id=pytest.HIDDEN_PARAM) if name == MAIN else name


def _nowhere() -> Any:
    return pytest.param(None, id=pytest.HIDDEN_PARAM, marks=pytest.mark.skip(reason=NOWHERE))


class OneProcessForEachOtherBoard(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A file is one process' work, as with `--dist loadfile`, and so is every other board."""

    def _split_scope(self, nodeid: str) -> str:
        return next((name for name in OTHERS if name in nodeid), super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Boot the other boards once, however many processes the tests run in."""
    return OneProcessForEachOtherBoard(config, log) if OTHERS else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Give an emulated board's environment the features of its description, and of the others'.

    labgrid skips what wants another one: it looks at the environment, not at a test's board.
    """
    env = session.config.stash.get(LABGRID_ENV_KEY, None)
    for target in env.config.get_targets().values() if env else ():
        driver = target["drivers"].get("EmulatedBoardDriver")
        if driver:
            boards = map(descriptions.read, (driver["board"], *OTHERS))
            target["features"] = sorted({name for board in boards for name in board.features})


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "two_kernels: runs on the first of $LG_OTHER_BOARDS, too")
    config.addinivalue_line("markers", "every_board: runs on all of $LG_OTHER_BOARDS, too")
