# SPDX-License-Identifier: MIT
"""A board as tests see it: commands, files, Python functions and states, over one connection."""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import execnet
from labgrid import Target

SECONDS = 120
SETTLE_SECONDS = 5

# What execnet runs on the board: a function from its source, with lines for its tracebacks.
STUB = """
import linecache
source, filename, name, kwargs = channel.receive()
linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
names = {"__name__": "shipped"}
exec(compile(source, filename, "exec"), names)
function = names[name]
given = function.__code__.co_varnames[: function.__code__.co_argcount]
if given[:1] == ("channel",):
    function(channel, **kwargs)
else:
    channel.send(function(**kwargs))
"""


class RemoteError(AssertionError):
    """A function or a command failed on the board; the text is what the board said."""


@dataclass(frozen=True)
class Result:
    """How a command on the board ended."""

    stdout: str
    stderr: str
    code: int

    def __iter__(self) -> Iterator[Any]:
        return iter((self.stdout, self.stderr, self.code))


class RemoteBoard:
    """A board behind a labgrid target. Synchronization: one thread at a time."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.strategy = target.get_driver("BoardStrategy", activate=False)
        self._gateways = execnet.Group()
        self.transitions = 0

    @property
    def name(self) -> str:
        """The board's name, for reports."""
        return str(self.strategy.board_name)

    def need(self, state: str) -> "RemoteBoard":
        """Bring the board to a state (off, shell, module, agent), up or down."""
        if state != self.strategy.status:
            if state == "off":
                self.disconnect()
            self.transitions += 1
            self.strategy.transition(state)
        return self

    def run(self, command: str, timeout: float = SECONDS) -> Result:
        """Run a shell command as root; a slow board has more time."""
        timeout *= self.strategy.patience
        out, err, code = self._ssh.run(command, timeout=timeout, decodeerrors="replace")
        return Result("\n".join(out), "\n".join(err), code)

    def check(self, command: str, timeout: float = SECONDS) -> str:
        """Run a shell command as root, raise when it fails, and return its stdout."""
        result = self.run(command, timeout)
        if result.code != 0:
            raise RemoteError(
                f"on {self.name}: `{command}` ended with {result.code}\n"
                f"{result.stdout}\n{result.stderr}\n{self.strategy.evidence()}"
            )
        return result.stdout

    def put(self, local: str | Path, remote: str) -> None:
        """Copy a file to the board."""
        self._ssh.put(str(local), remote)

    def get(self, remote: str, local: str | Path) -> None:
        """Copy a file from the board."""
        self._ssh.get(remote, str(local))

    def call(self, function: Callable[..., Any], timeout: float = SECONDS, **kwargs: Any) -> Any:
        """Run a pure Python function as root on the board and return what it returns.

        Only its source travels: it imports what it needs, and its arguments and its result are
        plain values. One whose first parameter is `channel` sends its results with
        `channel.send()` instead; one value comes back as itself, several as a list.
        An exception on the board is a RemoteError here, with the board's traceback. A slow
        board has more time.
        """
        channel = self._begin(function, kwargs)
        with self._explained(channel, function, timeout):
            channel.waitclose(timeout * self.strategy.patience)
            values = list(channel)
        return values[0] if len(values) == 1 else values or None

    @contextmanager
    def talk(
        self, function: Callable[..., None], timeout: float = SECONDS, **kwargs: Any
    ) -> Iterator[Callable[..., Any]]:
        """Run a function as call() does, and speak with it while it runs.

        Yields what sends it a list of words, and returns its answer. Its first parameter is
        `channel`; it receives lists, answers each, and ends when it receives None.
        """
        channel = self._begin(function, kwargs)

        def ask(*words: Any) -> Any:
            with self._explained(channel, function, timeout):
                channel.send(list(words))
                return channel.receive(timeout * self.strategy.patience)

        try:
            yield ask
        except RemoteError:
            raise
        except BaseException:
            with suppress(OSError, EOFError, channel.RemoteError, channel.TimeoutError):
                channel.send(None)
                channel.waitclose(timeout * self.strategy.patience)
            raise
        if not channel.isclosed():  # as it is after an error that a fixture hears nothing of
            with self._explained(channel, function, timeout):
                channel.send(None)
                channel.waitclose(timeout * self.strategy.patience)

    def _begin(self, function: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
        source = "from __future__ import annotations\n" + textwrap.dedent(
            inspect.getsource(function)
        )
        channel = self._connected().remote_exec(STUB)
        channel.send((source, f"<{function.__name__}>", function.__name__, kwargs))
        return channel

    @contextmanager
    def _explained(
        self, channel: Any, function: Callable[..., Any], timeout: float
    ) -> Iterator[None]:
        """Say what an error of execnet means here."""
        try:
            yield
        except channel.RemoteError as error:
            raise RemoteError(f"on {self.name}:\n{error.formatted}") from None
        except channel.TimeoutError:
            self.disconnect()
            raise RemoteError(
                f"on {self.name}: {function.__name__} did not end within "
                f"{timeout * self.strategy.patience} s; {self.strategy.evidence()}"
            ) from None
        except EOFError:
            self.disconnect()
            raise RemoteError(
                f"on {self.name}: connection lost in {function.__name__}; "
                f"{self.strategy.evidence()}"
            ) from None

    @contextmanager
    def forwarded(self, port: int) -> Iterator[int]:
        """Yield a port of this machine that leads to the board's own 127.0.0.1:`port`."""
        with self._ssh.forward_local_port(port) as local:
            yield local

    def ssh_command(self, *options: str) -> list[str]:
        """Return the command line of ssh to the board, over the connection that is open."""
        service = self._ssh.networkservice
        words = [*self._ssh.ssh_prefix, "-p", str(service.port), "-l", service.username]
        return ["ssh", *options, *words, service.address]

    def disconnect(self) -> None:
        """Close the persistent Python on the board; the next call starts another."""
        self._gateways.terminate(timeout=SETTLE_SECONDS)

    @property
    def _ssh(self) -> Any:
        return self.strategy.ssh

    def _connected(self) -> Any:
        if not self._gateways:
            words = self.ssh_command()[1:]
            self._gateways.makegateway(f"ssh={' '.join(words)}//python=python3")
        return self._gateways[0]
