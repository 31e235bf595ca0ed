# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The HTTP side, by real requests on the loopback."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from cm_agent.config.settings import VerificationConfig
from cm_agent.contiguity.verification import Verdict, Verification
from cm_agent.exporter.http import Application, MetricsServer
from cm_agent.exporter.metrics import AgentCollector, make_registry
from cm_agent.exporter.prober import Tally, Verifier
from unit.exporter.context_data import Board


class Site:
    """A served board."""

    def __init__(self, board: Board) -> None:
        self.board, self.tally = board, Tally()
        verifier = Verifier(board.contexts, VerificationConfig(), self.tally)
        registry = make_registry(AgentCollector(board.contexts, self.tally, verifier, "0.1.0"))
        self.application = Application(registry, board.contexts, self.tally, "0.1.0")
        self.server = MetricsServer("127.0.0.1", 0, self.application, poll=0.02)

    def ask(self, path: str, method: str = "GET") -> tuple[HTTPResponse, str]:
        """Return the answer to one request."""
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response, response.read().decode()
        finally:
            connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Yield a site without contexts that is served."""
    site = Site(Board(tmp_path / "cm"))
    site.server.start()
    yield site
    site.server.close()


def test_metrics(site: Site) -> None:
    site.board.appear("left")
    response, text = site.ask("/metrics")
    assert response.status == 200
    assert 'cm_up{context="left"} 1.0' in text and "process_open_fds " in text


def test_status_page(site: Site) -> None:
    site.board.appear("left", "right", "silent")
    site.board.opened[2].failure = OSError(errno.EIO, "<b>does not answer</b>")
    site.tally.verified("left", Verification(Verdict.CONTIGUOUS, (), True, 1, "left"))
    response, text = site.ask("/")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for words in ("<h2>left</h2>", "private", "shared", "version 0.1.0", "<dd>CONTIGUOUS</dd>"):
        assert words in text
    for name, size in (("Size", "16"), ("In use", "6"), ("Free", "10"), ("Largest hole", "9")):
        assert f"{name}</dt><dd>{size} MiB</dd>" in text
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        assert f'href="{path}"' in text
    assert "&lt;b&gt;does not answer&lt;/b&gt;" in text
    for foreign in ("src=", "@import", "url(", "http://", "https://", "<script"):
        assert foreign not in text


def test_status_page_without_contexts_says_what_to_do(site: Site) -> None:
    assert "cm-agent doctor" in site.ask("/")[1]


def test_health(site: Site) -> None:
    response, text = site.ask("/-/healthy")
    assert (response.status, text) == (503, "no context: run cm-agent doctor\n")
    site.board.appear("left", "right")
    site.board.opened[1].failure = OSError(errno.EIO, "does not answer")
    response, text = site.ask("/-/healthy")
    assert (response.status, text) == (200, "1 of 2 contexts answer\nright: does not answer\n")
    site.board.opened[0].failure = OSError(errno.ENODEV, "is gone")
    response, text = site.ask("/-/healthy")
    assert response.status == 503
    assert text == (
        "no context answers: run cm-agent doctor\nleft: is gone\nright: does not answer\n"
    )


def test_readiness(site: Site) -> None:
    assert site.ask("/-/ready")[0].status == 503
    assert not site.server.answers()
    site.application.ready.set()
    assert site.ask("/-/ready")[0].status == 200
    assert site.server.answers()


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/-/", "/favicon.ico"])
def test_everything_else_is_not_found(site: Site, path: str) -> None:
    response, text = site.ask(path)
    assert response.status == 404
    assert text == "nothing here: the paths are / /metrics /-/healthy /-/ready\n"


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
def test_head_has_the_headers_of_get_and_no_body(site: Site, path: str) -> None:
    site.board.appear("left")
    site.application.ready.set()
    get, _ = site.ask(path)
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as client:
        client.sendall(f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
        answer = client.makefile("rb").read()
    head, end, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ") and end and body == b""
    assert f"Content-Type: {get.headers['Content-Type']}".encode() in head


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(site: Site, method: str) -> None:
    for path in ("/", "/metrics"):
        response, text = site.ask(path, method)
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"
        assert text == f"{method} is not possible here: use GET or HEAD\n"


def test_a_silent_client_does_not_block_the_others(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.server.port)):
        assert site.ask("/-/ready")[0].status == 503


def test_a_taken_port_is_named(site: Site) -> None:
    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{site.server.port}: Addr"):
        MetricsServer("127.0.0.1", site.server.port, site.application)


def test_close_lets_the_port_go(site: Site) -> None:
    site.server.close()
    site.server.close()
    assert not site.server.answers(timeout=1)
    again = MetricsServer("127.0.0.1", site.server.port, site.application)
    again.close()


def test_serves_ipv6(site: Site) -> None:
    site.application.ready.set()
    server = MetricsServer("::", 0, site.application, poll=0.02)
    server.start()
    try:
        assert server.answers()
        assert server.url == f"http://[::]:{server.port}/"
    finally:
        server.close()
