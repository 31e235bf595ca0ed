# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The service as a process: from start to READY, through signals, to its end.

No module is needed. A plain file stands where a node would be: it can be opened and answers no
ioctl, which is what a broken context looks like.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.daemon.test_udev import message, multicast

AGENT = Path(__file__).parents[3] / "agent"
START = 20.0


PROGRAM = """
import sys
from pathlib import Path
from cm_agent.cli import main
from cm_agent.core import context
context.DEV = Path(sys.argv.pop(1))
sys.exit(main())
"""


def agent(dev: Path, *words: str | Path) -> list[str]:
    """Return the command line of the agent of this checkout."""
    return [sys.executable, "-c", PROGRAM, str(dev), *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    """Return the environment, without what a service manager of this machine has put there."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")}
    return {**kept, "PYTHONPATH": str(AGENT), "PYTHONDEVMODE": "1", **more}


class Running:
    """A service and what it reports to its manager."""

    def __init__(self, root: Path, config: str, watchdog: str) -> None:
        self.dev, self.config, self.log = root / "cm", root / "config.toml", root / "log"
        self.dev.mkdir()
        self.config.write_text(config)
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(root / "notify"))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                agent(self.dev, "serve", "--config", self.config),
                env=environment(NOTIFY_SOCKET=str(root / "notify"), WATCHDOG_USEC=watchdog),
                stderr=log,
            )

    def sent(self, wanted: str, within: float = START) -> str:
        """Return the next message to the manager that begins like this."""
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0:
            self._manager.settimeout(left)
            try:
                message = self._manager.recv(4096).decode()
            except TimeoutError:
                break
            if message.startswith(wanted):
                return message
        raise AssertionError(f"not sent: {wanted} within {within} s; log:\n{self.log.read_text()}")

    def sent_nothing_like(self, wanted: str, within: float) -> bool:
        """Return whether no such message came for so long."""
        try:
            self.sent(wanted, within)
        except AssertionError:
            return True
        return False

    def forget(self) -> None:
        """Throw away the messages that have come so far."""
        self._manager.settimeout(0)
        try:
            while self._manager.recv(4096):
                pass
        except BlockingIOError:
            return

    def holds(self, path: Path) -> bool:
        """Return whether the process has this file open."""
        fds = Path(f"/proc/{self.process.pid}/fd")
        return any(os.path.realpath(fd) == str(path.resolve()) for fd in fds.iterdir())

    def logged(self, words: str) -> bool:
        """Return whether the log holds these words."""
        return words in self.log.read_text()

    def end(self) -> None:
        """Make sure that nothing is left."""
        self._manager.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def get(url: str) -> tuple[int, str]:
    """Return the status and text behind a URL."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    """Yield a service on any free port, without contexts, with a watchdog of 1.5 s."""
    running = Running(tmp_path, '[metrics]\nlisten = "127.0.0.1:0"\n', "1500000")
    yield running
    running.end()


def url_in(message: str) -> str:
    """Return the address that a status names."""
    return message.strip().rpartition(" ")[2]


def test_waits_for_contexts_serves_and_stops_on_sigterm(service: Running) -> None:
    ready = service.sent("READY=1")
    assert "STATUS=no context: cm-agent doctor, http://127.0.0.1:" in ready
    url = url_in(ready)
    assert get(url + "-/ready") == (200, "ready\n")
    assert get(url + "-/healthy") == (503, "no context: run cm-agent doctor\n")
    status, text = get(url + "metrics")
    assert status == 200 and "cm_agent_info{" in text and "cm_up{" not in text
    service.sent("WATCHDOG=1", within=3)
    service.sent("WATCHDOG=1", within=3)
    service.process.send_signal(signal.SIGTERM)
    service.sent("STOPPING=1")
    assert service.process.wait(10) == 0
    assert service.logged("stopped")
    assert not service.logged("Warning")


def test_interrupt_ends_it_as_well(service: Running) -> None:
    service.sent("READY=1")
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(10) == 0


def test_a_context_that_does_not_answer_keeps_the_watchdog_waiting(service: Running) -> None:
    url = url_in(service.sent("READY=1"))
    service.sent("WATCHDOG=1")
    node = service.dev / "left"
    node.touch()
    service.sent("STATUS=1 context, ")
    assert service.holds(node)
    service.forget()
    assert service.sent_nothing_like("WATCHDOG=1", within=2)
    status, text = get(url + "-/healthy")
    assert status == 503 and text.startswith("no context answers: run cm-agent doctor\nleft: ")
    assert 'cm_up{context="left"} 0.0' in get(url + "metrics")[1]
    assert service.logged("self-check failed, the watchdog is not notified: left: ")
    node.rename(service.dev.parent / "gone")
    service.sent("STATUS=no context")
    assert not service.holds(service.dev.parent / "gone")
    service.sent("WATCHDOG=1", within=3)


def test_an_event_of_udev_opens_a_context_without_waiting_for_the_tick(tmp_path: Path) -> None:
    running = Running(tmp_path, '[metrics]\nlisten = "127.0.0.1:0"\n', "60000000")
    try:
        running.sent("WATCHDOG=1")
        (running.dev / "left").touch()
        multicast(message("cm", "add", "left"))
        running.sent("STATUS=1 context, ", within=5)
    finally:
        running.end()


def test_hangup_takes_a_new_configuration_or_keeps_the_old_one(service: Running) -> None:
    url = url_in(service.sent("READY=1"))
    service.config.write_text("[metrics]\nlisten = 80\n[verification]\nsize = 'x'\n")
    service.process.send_signal(signal.SIGHUP)
    service.sent("RELOADING=1")
    assert url_in(service.sent("READY=1")) == url
    assert service.logged("the old configuration stays: ")
    assert service.logged("config.toml: metrics.listen: 80 is not a string")
    assert service.logged("config.toml: verification.size: 'x' is not a size")
    assert get(url + "-/ready")[0] == 200

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service.config.write_text(f"[metrics]\nlisten = '127.0.0.1:{port}'\n")
        service.process.send_signal(signal.SIGHUP)
        assert url_in(service.sent("READY=1")) == url
        assert service.logged(f"cannot listen on 127.0.0.1:{port}: Address already in use")
        assert get(url + "-/ready")[0] == 200

    service.process.send_signal(signal.SIGHUP)
    moved = url_in(service.sent("READY=1"))
    assert moved == f"http://127.0.0.1:{port}/"
    assert get(moved + "-/ready")[0] == 200
    with pytest.raises(urllib.error.URLError):
        get(url + "-/ready")


def test_errors_in_the_configuration_are_all_printed_and_nothing_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("extra = 1\n[metrics]\nlisten = 80\n")
    done = subprocess.run(
        agent(tmp_path, "serve", "--config", file),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=START,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"cm-agent serve: {file}: extra: unknown key;"
        " known here: metrics, verification, policy, contexts, quotas",
        f"cm-agent serve: {file}: metrics.listen: 80 is not a string;"
        " write address and port: '127.0.0.1:28877'",
    ]


def test_a_taken_port_ends_it_with_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "config.toml"
        file.write_text(f"[metrics]\nlisten = '127.0.0.1:{taken.getsockname()[1]}'\n")
        done = subprocess.run(
            agent(tmp_path / "cm", "serve", "--config", file),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=START,
        )
    assert done.returncode == 1
    assert "Address already in use; choose another [metrics] listen" in done.stderr
    assert "Traceback" not in done.stderr
