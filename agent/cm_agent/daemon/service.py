# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The service: one loop over udev, signals and the watchdog; HTTP and probes have own threads.

An open context keeps the module loaded, so `rmmod cm` says "in use" until the service is stopped
(`systemctl stop cm-agent`). A context that goes away is closed by the service at once.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
import time
from pathlib import Path
from typing import Final

from cm_agent.config import settings as configuration
from cm_agent.config.settings import Config, ConfigError
from cm_agent.daemon.sdnotify import Notifier
from cm_agent.daemon.udev import ContextMonitor
from cm_agent.exporter.http import Application, MetricsServer
from cm_agent.exporter.metrics import AgentCollector, make_registry
from cm_agent.exporter.prober import Tally, Verifier
from cm_agent.exporter.registry import OpenContexts

log = logging.getLogger(__name__)

TICK: Final = 10.0
PINGS_PER_WATCHDOG: Final = 3
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SignalPipe:
    """Turn signals into readable bytes; use from the main thread, where it restores on close."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno())
        self._old = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}

    def fileno(self) -> int:
        """Return the descriptor to wait on; it stays the pipe's."""
        return self._reader.fileno()

    def read(self) -> list[signal.Signals]:
        """Return the signals that came, without waiting."""
        try:
            return [signal.Signals(number) for number in self._reader.recv(64)]
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Give the signals back to who had them; more calls do nothing."""
        if self._reader.fileno() < 0:
            return
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._reader.close()
        self._writer.close()


class Service:
    """Hold the parts of the running agent. Synchronization: use from the main thread only."""

    def __init__(
        self, config: Config, config_path: Path | None, version: str, notifier: Notifier
    ) -> None:
        self._config, self._config_path = config, config_path
        self._notifier = notifier
        self._status = ""
        self._stopping = False
        self._contexts = OpenContexts()
        tally = Tally()
        self._verifier = Verifier(self._contexts, config.verification, tally)
        registry = make_registry(AgentCollector(self._contexts, tally, self._verifier, version))
        self._application = Application(registry, self._contexts, tally, version)
        self._server = MetricsServer(config.metrics.host, config.metrics.port, self._application)
        watchdog = notifier.watchdog_interval
        self._period = min(TICK, watchdog / PINGS_PER_WATCHDOG) if watchdog else TICK

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; OSError when udev cannot be followed."""
        signals = SignalPipe()
        try:
            with ContextMonitor() as monitor, selectors.DefaultSelector() as selector:
                selector.register(signals, selectors.EVENT_READ)
                selector.register(monitor, selectors.EVENT_READ)
                self._start()
                self._loop(selector, signals, monitor)
        finally:
            self._stop()
            signals.close()

    def _start(self) -> None:
        self._contexts.refresh()
        self._server.start()
        self._verifier.start()
        self._application.ready.set()
        self._status = self._words()
        log.info("serving: %s", self._status)
        self._notifier.ready(self._status)

    def _loop(
        self, selector: selectors.BaseSelector, signals: SignalPipe, monitor: ContextMonitor
    ) -> None:
        tick = time.monotonic()
        while not self._stopping:
            ready = [key.fileobj for key, _ in selector.select(max(0, tick - time.monotonic()))]
            if signals in ready:
                self._obey(signals.read())
            if monitor in ready:
                for event in monitor.events():
                    log.info("context=%s udev action=%s", event.name, event.action)
                self._refresh()
            if time.monotonic() >= tick:
                tick = time.monotonic() + self._period
                self._refresh()
                self._watch()

    def _obey(self, numbers: list[signal.Signals]) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stopping = True
        elif signal.SIGHUP in numbers:
            self._reload()

    def _refresh(self) -> None:
        if self._contexts.refresh():
            self._verifier.contexts_changed()
        if (words := self._words()) != self._status:
            self._status = words
            log.info("now: %s", words)
            self._notifier.status(words)

    def _watch(self) -> None:
        """Tell the watchdog that all is well, if it is: contexts and HTTP really answer."""
        seen = self._contexts.observe(stats=False)
        silent = [f"{one.name}: {one.error}" for one in seen if one.opened and one.state is None]
        if not self._server.answers():
            silent.append(f"{self._server.url} does not answer")
        if silent:
            log.error("self-check failed, the watchdog is not notified: %s", "; ".join(silent))
        else:
            self._notifier.watchdog()

    def _reload(self) -> None:
        """Take the new configuration whole, or keep the old one whole and say why."""
        self._notifier.reloading()
        try:
            config = configuration.load(self._config_path)
            self._move(config)
        except (ConfigError, OSError) as error:
            for line in str(error).splitlines():
                log.error("not reloaded, the old configuration stays: %s", line)
        else:
            self._verifier.reconfigure(config.verification)
            self._config = config
            self._status = self._words()
            log.info("reloaded: %s", self._status)
        self._notifier.ready(self._status)

    def _move(self, config: Config) -> None:
        if config.metrics != self._config.metrics:
            server = MetricsServer(config.metrics.host, config.metrics.port, self._application)
            server.start()
            self._server.close()
            self._server = server

    def _words(self) -> str:
        count = len(self._contexts)
        found = f"{count} context{'s' * (count != 1)}" if count else "no context: cm-agent doctor"
        return f"{found}, {self._server.url}"

    def _stop(self) -> None:
        self._notifier.stopping()
        self._application.ready.clear()
        self._verifier.stop()
        self._server.close()
        self._contexts.close()
        log.info("stopped")


def serve(config_path: Path | None, version: str) -> None:
    """Run the service in the main thread until a signal stops it.

    ConfigError before anything is opened; OSError when the port or udev cannot be had.
    """
    config = configuration.load(config_path)
    Service(config, config_path, version, Notifier()).run()
