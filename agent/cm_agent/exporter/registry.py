# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The contexts that the service has open: opened as they appear, closed as they go."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from cm_agent.core.context import Context, contexts, node
from cm_agent.core.reports import ContextState, ContextStats

log = logging.getLogger(__name__)

_FILTERED: Final = (
    "the service was started before module cm was loaded, so that its device filter does not know "
    "the module's nodes: restart cm-agent.service"
)
_Identity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Observation:
    """Say what one context answered; `state` and `stats` None go with a sentence in `error`.

    `opened` False means that the node is there and could not be opened.
    """

    name: str
    opened: bool
    state: ContextState | None
    stats: ContextStats | None
    error: str | None = None


@dataclass(slots=True)
class _Entry:
    identity: _Identity
    context: Context | None = None
    error: str | None = None
    users: int = 0
    gone: bool = False


class OpenContexts:
    """Keep every context open; owns their descriptors.

    Synchronization: any method from any thread. A context that goes while a thread uses it is
    closed when the last user is done, so no thread ever acts on a recycled descriptor.
    """

    def __init__(self, opener: Callable[[str], Context] = Context) -> None:
        self._open = opener
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def refresh(self) -> bool:
        """Open what appeared, close what went or was made anew; return whether anything changed.

        A context that cannot be opened is kept as such, and tried again at each call.
        """
        with self._lock:
            before = {name: entry.context for name, entry in self._entries.items()}
            present = self._present()
            for name, entry in list(self._entries.items()):
                if present.get(name) != entry.identity:
                    self._drop(name)
            for name, identity in present.items():
                self._try(name, self._entries.setdefault(name, _Entry(identity)))
            return before != {name: entry.context for name, entry in self._entries.items()}

    def names(self) -> tuple[str, ...]:
        """Return the names of the contexts that are open, sorted."""
        with self._lock:
            return tuple(sorted(n for n, e in self._entries.items() if e.context is not None))

    @contextmanager
    def use(self, name: str) -> Iterator[Context | None]:
        """Lend a context for the block, None when it is not open; it must not be closed."""
        with self._lock:
            entry = self._entries.get(name)
            context = entry.context if entry else None
            if entry and context:
                entry.users += 1
        try:
            yield context
        finally:
            if entry and context:
                with self._lock:
                    entry.users -= 1
                    self._close_if_unused(entry)

    def observe(self, *, stats: bool = True) -> list[Observation]:
        """Ask every context for its state, and its statistics when wanted, in order of name."""
        with self._lock:
            known = sorted((name, entry.error) for name, entry in self._entries.items())
        return [self._observe(name, error, stats) for name, error in known]

    def _observe(self, name: str, error: str | None, stats: bool) -> Observation:
        with self.use(name) as context:
            if context is None:
                return Observation(name, False, None, None, error or "is gone")
            try:
                return Observation(name, True, context.query(), context.stats() if stats else None)
            except OSError as failure:
                return Observation(name, True, None, None, failure.strerror or str(failure))

    def close(self) -> None:
        """Close every context, those in use when their users are done; more calls do nothing."""
        with self._lock:
            for name in list(self._entries):
                self._drop(name)

    def _present(self) -> dict[str, _Identity]:
        found: dict[str, _Identity] = {}
        for name in contexts():
            try:
                at = os.stat(node(name))
            except FileNotFoundError:
                continue
            found[name] = (at.st_dev, at.st_ino, at.st_rdev)
        return found

    def _try(self, name: str, entry: _Entry) -> None:
        if entry.context is not None:
            return
        try:
            entry.context = self._open(name)
            error = None
        except OSError as failure:
            error = failure.strerror or str(failure)
            if failure.errno == errno.EPERM:
                error += f"; {_FILTERED}"
        if error is None:
            log.info("context=%s opened", name)
        elif error != entry.error:
            log.error("context=%s cannot be opened: %s", name, error)
        entry.error = error

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name)
        entry.gone = True
        self._close_if_unused(entry)

    @staticmethod
    def _close_if_unused(entry: _Entry) -> None:
        if entry.gone and entry.users == 0 and entry.context is not None:
            entry.context.close()
            entry.context = None

    def __len__(self) -> int:
        """Return how many contexts are open."""
        return len(self.names())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
