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
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from boards import board as descriptions
from boards.remote import RemoteBoard
from cm_agent import uapi
from labgrid.factory import target_factory
from labgrid.pytestplugin.hooks import LABGRID_ENV_KEY

BOARD = pytest.StashKey[RemoteBoard]()
DESELECTED = pytest.StashKey[set]()
STATES = ("module", "agent", "shell")
"""In the order they are tested in."""
METRICS_PORT = 28877
SETTLE_SECONDS = 3
COMPLAINT = re.compile(
    r"WARNING:|BUG:|Oops|Bad page|alloc failed|cut here|possible .* deadlock|Call trace"
    r"|refcount_t:|kmemleak: \d+ new|KASAN|UBSAN|soft lockup|rcu: INFO|hung task|Kernel panic"
    r"|Internal error|Unable to handle kernel|INFO: task .* blocked"
)


# -- the board and its states


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest) -> RemoteBoard:
    """The board under test, with the agent running unless the test asks for another state."""
    return _board(request.config)


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

    Overlays are paths below the project; the board comes in the state `shell`.
    """
    env = request.config.stash[LABGRID_ENV_KEY]

    @contextmanager
    def boot(overlays: list[str], state: str = "shell") -> Iterator[RemoteBoard]:
        config = copy.deepcopy(env.config.get_targets()["main"])
        config["drivers"]["EmulatedBoardDriver"]["overlays"] = overlays
        target = target_factory.make_target("other", config, env=env)
        extra = RemoteBoard(target)
        try:
            yield extra.need(state)
            _check_log(extra, request.node)
        finally:
            extra.disconnect()
            target.cleanup()

    return boot


def _board(config: pytest.Config) -> RemoteBoard:
    """Return the run's one board; skip when no environment names one."""
    if BOARD not in config.stash:
        env = config.stash.get(LABGRID_ENV_KEY, None)
        if env is None:
            pytest.skip("no board: use LG_BOARD=... --lg-env tests/hil/env/emulated.yaml")
        config.stash[BOARD] = RemoteBoard(env.get_target())
    return config.stash[BOARD]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Add what an emulated board's kernel has to the features of its environment."""
    env = session.config.stash.get(LABGRID_ENV_KEY, None)
    for target in env.config.get_targets().values() if env else ():
        driver = target["drivers"].get("EmulatedBoardDriver")
        if driver:
            target["features"] += descriptions.read(driver["board"]).features


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Bring the board to the state this test wants before any fixture looks at it."""
    names = item.fixturenames
    if "board" not in names or item.get_closest_marker("skip"):
        return
    handle = _board(item.config)
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
    items[:] = sorted(wanted, key=lambda item: (None, *STATES).index(_state(item)))


def _state(item: pytest.Item) -> str | None:
    """Return the state a test wants the board in: the lowest it names; None without a board."""
    if "board" not in item.fixturenames:
        return None
    return next((state for state in ("shell", "module") if state in item.fixturenames), "agent")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of the board, also after an interrupted run."""
    if BOARD in config.stash:
        config.stash[BOARD].disconnect()
        config.stash[BOARD].target.cleanup()


# -- what every test is checked for


@pytest.fixture(autouse=True)
def unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that made the kernel complain or changed what is free in a context."""
    if "board" not in request.fixturenames:
        yield
        return
    handle = request.getfixturevalue("board")
    before = _fill_before(handle)
    yield
    if handle.strategy.status == "off":
        return
    _check_log(handle, request.node)
    _check_fill(handle, before)


def kernel_log(boot: str, last: int) -> tuple[str, int, list[str]]:
    """Return what the kernel has said since message `last` of `boot`, and where that ends now."""
    import os
    from pathlib import Path

    now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    last = last if boot == now else -1
    device = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    messages = []
    try:
        while True:
            try:
                record = os.read(device, 8192)
            except BrokenPipeError:
                continue
            except BlockingIOError:
                break
            priority, sequence, _ = record.split(b",", 2)
            if int(sequence) <= last:
                continue
            last = int(sequence)
            if int(priority) < 8:
                text = record.partition(b";")[2].decode(errors="replace")
                messages.append(text.splitlines()[0])
    finally:
        os.close(device)
    return now, last, messages


def banks_of_contexts() -> dict[str, str]:
    from cm_agent.devicetree import context_nodes

    return {node.name: node.bank for node in context_nodes() if node.bank}


def linearly_mapped(contexts: list[str]) -> dict[str, bool]:
    """Tell of each context whether its first chunk lies below the kernel's zone of high memory."""
    import re
    from pathlib import Path

    from cm_agent.context import Context

    zones = Path("/proc/zoneinfo").read_text()
    found = re.search(r"zone +HighMem\n.*?start_pfn: +(\d+)", zones, re.DOTALL)
    end, linear = int(found[1]) << 12 if found else 1 << 64, {}
    for name in contexts:
        with Context(name) as pool, pool.alloc(4096) as chunk:
            linear[name] = pool.pin(chunk).address < end
    return linear


def fill(request: int, length: int, size: int, free: int) -> dict[str, list[int]]:
    """Return the size and the free bytes of each context, from the kernel."""
    import fcntl
    import os
    from pathlib import Path

    contexts = {}
    for node in sorted(Path("/dev/cm").glob("*")):
        if node.name != "control":
            answer = bytearray(length)
            device = os.open(node, os.O_RDWR)
            try:
                fcntl.ioctl(device, request, answer)
            finally:
                os.close(device)
            contexts[node.name] = [
                int.from_bytes(answer[at : at + 8], "little") for at in (size, free)
            ]
    return contexts


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
    return [it for it in objects if re.search(r"\[cm\]|\] 0x[0-9a-f]+$", it, re.MULTILINE)]


def _check_log(handle: RemoteBoard, node: pytest.Item) -> None:
    """Fail when the kernel said something bad since this was last looked at in this boot."""
    boot, last = getattr(handle, "log_seen", ("", -1))
    *seen, new = handle.call(kernel_log, boot=boot, last=last)
    handle.log_seen = tuple(seen)
    expected = [word for mark in node.iter_markers("kernel_log") for word in mark.args]
    bad = [
        text
        for text in new
        if COMPLAINT.search(text) and not any(re.search(word, text) for word in expected)
    ]
    if bad:
        around = "\n".join(new[max(0, new.index(bad[0]) - 5) :][:60])
        pytest.fail(f"the kernel of {handle.name} complained: {bad[0]}\n{around}", pytrace=False)


def _fill(handle: RemoteBoard) -> dict[str, list[int]]:
    if handle.strategy.status not in ("module", "agent"):
        return {}
    return handle.call(
        fill,
        request=uapi.NUMBERS["CM_IOC_QUERY"],
        length=uapi.ffi.sizeof("struct cm_query"),
        size=uapi.ffi.offsetof("struct cm_query", "size"),
        free=uapi.ffi.offsetof("struct cm_query", "free"),
    )


def _fill_before(handle: RemoteBoard) -> dict[str, list[int]]:
    """Return what is free now: what the last test left, when the board kept its state."""
    left = getattr(handle, "left", None)
    if left and left[0] == handle.transitions:
        return left[1]
    return _fill(handle)


def _check_fill(handle: RemoteBoard, before: dict[str, list[int]]) -> None:
    """Fail when a context that was there before has another number of free bytes now.

    A context that is wholly free is right whatever it was before: the agent's own verification
    may have held a chunk when we looked first.
    """
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        after = _fill(handle)
        drifts = [
            f"{name}: {before[name][1]:,} bytes free before, {free:,} after"
            for name, (size, free) in sorted(after.items())
            if free != size and free != before.get(name, (size, free))[1]
        ]
        if not drifts:
            handle.left = (handle.transitions, after)
            return
        if time.monotonic() > until:
            pytest.fail("memory drifted in " + "; ".join(drifts), pytrace=False)
        time.sleep(0.2)


# -- the report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare our options."""
    parser.addoption("--states", help="only tests that want the board in these: shell,module,agent")
    parser.addoption(
        "--thorough", action="store_true", help="as many rounds and moves as were promised"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare our marker."""
    config.addinivalue_line(
        "markers", "kernel_log(*patterns): complaints of the kernel that this test provokes"
    )
    config.stash[DESELECTED] = set()


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember the tests that were left out, to name them at the end."""
    if items:
        items[0].config.stash[DESELECTED].update(item.nodeid for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell them to the process that writes the report, when tests run in several."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["deselected"] = sorted(session.config.stash[DESELECTED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what another process left out."""
    node.config.stash[DESELECTED].update(getattr(node, "workeroutput", {}).get("deselected", []))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell what ran where, and name every test that did not run."""
    table: dict[str, Counter] = {}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed"):
        for report in terminalreporter.stats.get(outcome, []):
            table.setdefault(_where(report), Counter())[outcome] += 1
    write = terminalreporter.write_line
    terminalreporter.section("what ran where")
    for where, counts in sorted(table.items()):
        counted = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        write(f"{where:40} {counted}")
    skipped = [
        (report.nodeid, str(report.longrepr[2] if report.longrepr else ""))
        for report in terminalreporter.stats.get("skipped", [])
    ]
    left_out = [(name, "deselected") for name in sorted(config.stash[DESELECTED])]
    write(f"{len(skipped) + len(left_out)} tests did not run")
    for name, reason in skipped + left_out:
        write(f"  {name}: {reason}")


def _where(report: Any) -> str:
    if "hil/" not in report.nodeid:
        return "this machine"
    boards = [value for name, value in report.user_properties if name == "board"]
    return f"board {boards[0]}" if boards else "no board"
