# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The scheduled probe: allocate, verify, free, count the verdict; in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cm_agent.config.settings import VerificationConfig
from cm_agent.contiguity.verification import Verdict, Verification, verify
from cm_agent.core.size import format_size
from cm_agent.exporter.registry import OpenContexts

log = logging.getLogger(__name__)

DEADLINE: Final = 5.0
PROBE_NAME: Final = "cm-agent probe"


class ProbeFailure(StrEnum):
    """Say why a probe came to no verdict."""

    NO_SPACE = "NO_SPACE"
    ALLOCATION = "ALLOCATION"
    VERIFICATION = "VERIFICATION"


@dataclass(frozen=True, slots=True)
class Record:
    """Hold what the probes of one context came to; `last` is Unix time in seconds."""

    verdicts: Mapping[Verdict, int] = field(default_factory=dict)
    failures: Mapping[ProbeFailure, int] = field(default_factory=dict)
    disagreements: int = 0
    last: float | None = None
    last_verdict: Verdict | None = None


class Tally:
    """Count verdicts by context. Synchronization: any method from any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}

    def verified(self, context: str, verification: Verification) -> None:
        """Count a verdict, and a disagreement of the witnesses if there was one."""
        with self._lock:
            old = self._records.get(context, Record())
            self._records[context] = Record(
                Counter(old.verdicts) + Counter({verification.verdict: 1}),
                old.failures,
                old.disagreements + (not verification.agree),
                self._clock(),
                verification.verdict,
            )

    def failed(self, context: str, why: ProbeFailure) -> None:
        """Count a probe that came to no verdict."""
        with self._lock:
            old = self._records.get(context, Record())
            failures = Counter(old.failures) + Counter({why: 1})
            self._records[context] = Record(
                old.verdicts, failures, old.disagreements, old.last, old.last_verdict
            )

    def record(self, context: str) -> Record:
        """Return what was counted for a context so far."""
        with self._lock:
            return self._records.get(context, Record())


class Verifier:
    """Probe each open context when it appears and then at each interval.

    Nothing that a probe meets ends the thread: it is logged, counted and tried again.
    Synchronization: the public methods may be called from any thread.
    """

    def __init__(
        self,
        contexts: OpenContexts,
        config: VerificationConfig,
        tally: Tally,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._contexts, self._config, self._tally, self._clock = contexts, config, tally, clock
        self._due: dict[str, float] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="verification", daemon=True)

    @property
    def config(self) -> VerificationConfig:
        """Return the schedule that is in force."""
        with self._wake:
            return self._config

    def start(self) -> None:
        """Begin to probe."""
        self._thread.start()

    def reconfigure(self, config: VerificationConfig) -> None:
        """Take another schedule; every context it covers is probed at once."""
        with self._wake:
            if config != self._config:
                self._config = config
                self._due.clear()
                self._wake.notify()

    def contexts_changed(self) -> None:
        """Look at the open contexts again, now."""
        with self._wake:
            self._wake.notify()

    def stop(self) -> None:
        """End the thread after the probe under way, which takes a few seconds at most."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join(2 * DEADLINE)

    def _run(self) -> None:
        while (name := self._next()) is not None:
            self._probe_safely(name)
            with self._wake:
                self._due[name] = self._clock() + self._config.interval

    def _next(self) -> str | None:
        """Wait for the next context that is due; None means that the service stops."""
        with self._wake:
            while not self._stopping:
                covered = [name for name in self._contexts.names() if self._config.covers(name)]
                self._due = {name: self._due.get(name, 0.0) for name in covered}
                name = min(self._due, key=self._due.__getitem__, default=None)
                wait = None if name is None else self._due[name] - self._clock()
                if wait is not None and wait <= 0:
                    return name
                self._wake.wait(wait)
            return None

    def _probe_safely(self, name: str) -> None:
        try:
            self._probe(name)
        except Exception:
            log.exception("context=%s verification failed", name)
            self._tally.failed(name, ProbeFailure.VERIFICATION)

    def _probe(self, name: str) -> None:
        size = self.config.size
        with self._contexts.use(name) as context:
            if context is None:
                return
            hole = context.query().largest_hole
            if hole < size:
                words = f"largest hole {format_size(hole)}, the probe takes {format_size(size)}"
                log.warning("context=%s not verified: no free space for the probe: %s", name, words)
                self._tally.failed(name, ProbeFailure.NO_SPACE)
                return
            try:
                buffer = context.alloc(size, deadline=DEADLINE, name=PROBE_NAME)
            except OSError as error:
                log.warning("context=%s not verified: %s", name, error.strerror or error)
                self._tally.failed(name, ProbeFailure.ALLOCATION)
                return
            with buffer:
                verification = verify(buffer, context, preserve=False)
        self._tally.verified(name, verification)
        _report(name, verification)


def _report(name: str, verification: Verification) -> None:
    """Log a verdict; only names and verdicts, since a witness' detail may hold an address."""
    words = ", ".join(f"{w.name}={w.verdict.name}" for w in verification.witnesses)
    if not verification.agree:
        log.critical("context=%s the witnesses of contiguity disagree: %s", name, words)
    elif verification.verdict is not Verdict.CONTIGUOUS:
        log.error("context=%s verdict=%s: %s", name, verification.verdict.name, words)
    else:
        log.debug("context=%s verdict=CONTIGUOUS: %s", name, words)
