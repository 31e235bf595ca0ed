# SPDX-License-Identifier: MIT
"""Fixtures of the tests that run on a board, and what every such test is checked for.

`board`, `agent`, `module` and `shell` are one board in different states; a test that asks for
`module` or `shell` gets the board brought down to it, all others get it with the agent running.
Tests are sorted by state, so that the board changes it three times and not at every file.
After each test the kernel's log must not have gained a complaint, and every context must have as
many free bytes as before. `@pytest.mark.kernel_log("pattern", ...)` declares complaints a test
provokes.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from boards.remote import RemoteBoard
from hil import assignment, harm, report
from hil.assignment import NOWHERE, able_boards, board_of
from labgrid import Environment, Target
from labgrid.factory import target_factory
from labgrid.pytestplugin.hooks import LABGRID_ENV_KEY

BOARDS = pytest.StashKey[dict[str | None, RemoteBoard]]()
"""By name; that of the environment by None."""
STATES = ("module", "agent", "shell")
"""In the order they are tested in."""
METRICS_PORT = 28877


# -- the board and its states


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest) -> RemoteBoard:
    """The board under test, with the agent running unless the test asks for another state."""
    return _board(request.config, getattr(request, "param", None))


@pytest.fixture
def shell(board: RemoteBoard) -> RemoteBoard:
    """The board without the module."""
    return board


@pytest.fixture
def module(board: RemoteBoard) -> RemoteBoard:
    """The board with the module loaded and no agent running."""
    return board


@pytest.fixture
def agent(board: RemoteBoard) -> RemoteBoard:
    """The board with the module loaded and the agent running."""
    return board


@pytest.fixture(scope="session")
def page_size(board: RemoteBoard) -> int:
    """The bytes of a page of the board's kernel."""
    return board.call(size_of_a_page)


@pytest.fixture(scope="session")
def banks(board: RemoteBoard) -> dict[str, str]:
    """The names of the banks that the device tree gives to the contexts of these names."""
    return board.call(banks_of_contexts)


@pytest.fixture(scope="session")
def linear(board: RemoteBoard) -> dict[str, bool]:
    """Whether the kernel's linear mapping reaches a context's bank: not if that is high memory.

    Where it does, the witness `pattern` proves contiguity, elsewhere it only matches.
    """
    return board.call(linearly_mapped, contexts=["shared", "private"])


@pytest.fixture
def vivid(module: RemoteBoard) -> Iterator[RemoteBoard]:
    """The board with a camera driver that takes dma-bufs and allocates contiguous buffers."""
    module.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1 multiplanar=1")
    yield module
    module.check("modprobe -r vivid")


@pytest.fixture
def leaks(request: pytest.FixtureRequest, board: RemoteBoard) -> Callable[[], list[str]]:
    """A function that lists what the module leaked so far; nothing where there is no kmemleak."""
    features = request.config.stash[LABGRID_ENV_KEY].get_target_features()
    return lambda: board.call(leaked) if "kmemleak" in features else []


@pytest.fixture
def metrics_url(agent: RemoteBoard) -> Iterator[str]:
    """Where the board's /metrics can be reached from this machine."""
    with agent.forwarded(METRICS_PORT) as port:
        yield f"http://127.0.0.1:{port}/metrics"


@pytest.fixture
def other_board(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A function that boots one more emulated board: `with other_board(overlays=[...]) as it:`.

    It is the first of the run that has what the test wants. Overlays are paths below the project,
    and `memory_mib` is how much RAM it has instead of its own; it comes in the state `shell`.
    """
    env = request.config.stash[LABGRID_ENV_KEY]
    able = able_boards(request.node)
    if not able:
        pytest.skip(NOWHERE)

    @contextmanager
    def boot(
        overlays: list[str], state: str = "shell", memory_mib: int | None = None
    ) -> Iterator[RemoteBoard]:
        target = _target_with(env, "other", board=able[0], overlays=overlays, memory_mib=memory_mib)
        extra = RemoteBoard(target)
        try:
            yield extra.need(state)
            harm.check_log(extra, request.node)
        finally:
            extra.disconnect()
            target.cleanup()

    return boot


def _board(config: pytest.Config, name: str | None) -> RemoteBoard:
    """Return the environment's board or another one; skip when there is no environment."""
    boards = config.stash.setdefault(BOARDS, {})
    if name not in boards:
        env = config.stash.get(LABGRID_ENV_KEY, None)
        if env is None:
            pytest.skip("no board: use LG_BOARD=... --lg-env tests/hil/env/emulated.yaml")
        target = _target_with(env, name, board=name) if name else env.get_target()
        boards[name] = RemoteBoard(target)
    return boards[name]


def _target_with(env: Environment, name: str, **driver: Any) -> Target:
    """Make a target like the environment's but for these arguments of the emulated board."""
    config = copy.deepcopy(env.config.get_targets()["main"])
    config["drivers"]["EmulatedBoardDriver"] |= driver
    return target_factory.make_target(name, config, env=env)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Bring the board to the state this test wants before any fixture looks at it."""
    names = item.fixturenames
    if "board" not in names or item.get_closest_marker("skip"):
        return
    handle = _board(item.config, board_of(item))
    if handle.strategy.broken:
        pytest.skip(f"board {handle.name} broke earlier: {handle.strategy.broken}")
    handle.need(_state(item))
    item.user_properties.append(("board", handle.name))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that want other states than asked for, and sort the rest by their state."""
    asked = (config.getoption("--states") or ",".join(STATES)).split(",")
    wanted = [item for item in items if _state(item) in (None, *asked)]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    order = (None, *STATES)
    items[:] = sorted(wanted, key=lambda item: (board_of(item) or "", order.index(_state(item))))


def _state(item: pytest.Item) -> str | None:
    """Return the state a test wants the board in: the lowest it names; None without a board."""
    if "board" not in item.fixturenames:
        return None
    return next((state for state in ("shell", "module") if state in item.fixturenames), "agent")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of the boards, also after an interrupted run."""
    for board in config.stash.get(BOARDS, {}).values():
        board.disconnect()
        board.target.cleanup()


# -- what every test is checked for


@pytest.fixture(autouse=True)
def unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that made the kernel complain or changed what is free in a context."""
    if "board" not in request.fixturenames:
        yield
        return
    handle = request.getfixturevalue("board")
    before = harm.fill_before(handle)
    yield
    if handle.strategy.status == "off":
        return
    harm.check_log(handle, request.node)
    harm.check_fill(handle, before)


def size_of_a_page() -> int:
    import mmap

    return mmap.PAGESIZE


def banks_of_contexts() -> dict[str, str]:
    from cm_agent.core.devicetree import context_nodes

    return {node.name: node.bank for node in context_nodes() if node.bank}


def linearly_mapped(contexts: list[str]) -> dict[str, bool]:
    """Tell of each context whether its first chunk lies below the kernel's zone of high memory."""
    import mmap
    import re
    from pathlib import Path

    from cm_agent.core.context import Context

    zones = Path("/proc/zoneinfo").read_text()
    found = re.search(r"zone +HighMem\n.*?start_pfn: +(\d+)", zones, re.DOTALL)
    end, linear = int(found[1]) * mmap.PAGESIZE if found else 1 << 64, {}
    for name in contexts:
        with Context(name) as pool, pool.alloc(4096) as chunk:
            linear[name] = pool.pin(chunk).address < end
    return linear


def leaked() -> list[str]:
    """Look for memory that nobody refers to, and return what the module allocated of it.

    An object is reported when it is some seconds old and looks the same as in the scan before.
    Frames without a name are of a module that is unloaded.
    """
    import re
    import time
    from pathlib import Path

    kmemleak = Path("/sys/kernel/debug/kmemleak")
    for _ in range(2):
        time.sleep(6)
        kmemleak.write_text("scan")
    objects = kmemleak.read_text().split("unreferenced object ")[1:]
    ours = re.compile(r"\[cm\]$|^ {4}(\[<\w+>\] )?0x[0-9a-f]+$", re.MULTILINE)
    return [it for it in objects if ours.search(it)]


# -- options and markers


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare our options, and call the assignment of boards and the report in."""
    pluginmanager.register(assignment)
    pluginmanager.register(report)
    parser.addoption("--states", help="only tests that want the board in these: shell,module,agent")
    parser.addoption(
        "--thorough", action="store_true", help="as many rounds and moves as were promised"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of `unharmed`."""
    config.addinivalue_line(
        "markers", "kernel_log(*patterns): complaints of the kernel that this test provokes"
    )
