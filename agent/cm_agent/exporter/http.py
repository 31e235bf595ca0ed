# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The HTTP side: landing page, metrics, health and readiness, on a thread of its own."""

from __future__ import annotations

import http.client
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from cm_agent.exporter.prober import Tally
from cm_agent.exporter.registry import Observation, OpenContexts
from cm_agent.exporter.status_page import page

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

PATHS: Final = ("/", "/metrics", "/-/healthy", "/-/ready")
READ_TIMEOUT: Final = 10.0

_HTML: Final = "text/html; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one response."""

    status: str
    body: str
    kind: str = _TEXT


def health(seen: Sequence[Observation]) -> Answer:
    """Return whether at least one context answers, in words."""
    silent = "".join(f"{one.name}: {one.error}\n" for one in seen if one.state is None)
    answering = sum(one.state is not None for one in seen)
    if answering:
        return Answer("200 OK", f"{answering} of {len(seen)} contexts answer\n{silent}")
    words = "no context answers" if seen else "no context"
    return Answer("503 Service Unavailable", f"{words}: run cm-agent doctor\n{silent}")


class Application:
    """Answer GET and HEAD on four paths; 404 and 405 with words for everything else.

    Synchronization: requests may run side by side.
    """

    def __init__(
        self, registry: CollectorRegistry, contexts: OpenContexts, tally: Tally, version: str
    ) -> None:
        self._metrics = make_wsgi_app(registry)
        self._contexts, self._tally, self._version = contexts, tally, version
        self.ready = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
        if path not in PATHS:
            words = f"nothing here: the paths are {' '.join(PATHS)}\n"
            return _reply(Answer("404 Not Found", words), method, start_response)
        if method not in ("GET", "HEAD"):
            words = f"{method} is not possible here: use GET or HEAD\n"
            return _reply(Answer("405 Method Not Allowed", words), method, start_response)
        if path == "/metrics":
            return self._scrape(environ, start_response)
        answers: dict[str, Callable[[], Answer]] = {
            "/": self._landing,
            "/-/healthy": lambda: health(self._contexts.observe(stats=False)),
            "/-/ready": self._readiness,
        }
        return _reply(answers[path](), method, start_response)

    def _scrape(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        head = environ["REQUEST_METHOD"] == "HEAD"
        body: Iterable[bytes] = self._metrics({**environ, "REQUEST_METHOD": "GET"}, start_response)
        return [] if head else body

    def _landing(self) -> Answer:
        seen = self._contexts.observe(stats=False)
        records = [self._tally.record(one.name) for one in seen]
        verdicts = [r.last_verdict.name if r.last_verdict else "none yet" for r in records]
        return Answer("200 OK", page(seen, verdicts, self._version), _HTML)

    def _readiness(self) -> Answer:
        if self.ready.is_set():
            return Answer("200 OK", "ready\n")
        return Answer("503 Service Unavailable", "starting or stopping\n")


def _reply(answer: Answer, method: str, start_response: StartResponse) -> Iterable[bytes]:
    body = answer.body.encode()
    headers = [
        ("Content-Type", answer.kind),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", _POLICY),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if answer.status.startswith("405"):
        headers.append(("Allow", "GET, HEAD"))
    start_response(answer.status, headers)
    return [] if method == "HEAD" else [body]


class _Handler(WSGIRequestHandler):
    timeout = READ_TIMEOUT

    def log_message(self, format: str, *args: object) -> None:
        log.debug("http client=%s " + format, self.client_address[0], *args)


class _Server(ThreadingWSGIServer):
    allow_reuse_address = True

    def server_bind(self) -> None:
        """Bind without the reverse name lookup of http.server, which can take a minute."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        log.warning("http client=%s: the request broke off", client_address, exc_info=True)


class MetricsServer:
    """Serve an application at an address; owns the listening socket and its thread.

    Construction binds (OSError says where it could not) and `start` serves. Port 0 takes any
    free port; `port` says which. `close` takes effect within `poll` seconds. Synchronization:
    `close` from any thread but the server's own.
    """

    def __init__(
        self, host: str, port: int, application: Application, *, poll: float = 0.5
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type("_FamilyServer", (_Server,), {"address_family": family})
        try:
            self._server: _Server | None = kind((host, port), _Handler)
        except OSError as error:
            words = f"cannot listen on {_join(host, port)}: {error.strerror}"
            raise OSError(error.errno, f"{words}; choose another [metrics] listen") from error
        self._server.set_app(application)
        self.host, self.port = host, int(self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(poll,), name="metrics", daemon=True
        )

    @property
    def url(self) -> str:
        """Return where the landing page is."""
        return f"http://{_join(self.host, self.port)}/"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def answers(self, timeout: float = 5.0) -> bool:
        """Return whether the thread answers a real request for readiness."""
        near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        connection = http.client.HTTPConnection(near, self.port, timeout=timeout)
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def close(self) -> None:
        """Stop to serve and let the port go; more calls do nothing."""
        server, self._server = self._server, None
        if server is not None:
            if self._thread.is_alive():
                server.shutdown()
                self._thread.join()
            server.server_close()


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
