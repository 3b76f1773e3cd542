"""Connections to a real server: which are closed, and which are waited for."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import types

import pytest
import uvicorn

from explorer import launch
from explorer.connections import closing
from explorer.request_guard import PATIENCE

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIMIT = 0.4  # seconds


async def slow(scope, receive, send):
    """Answers after more than the limit."""
    await asyncio.sleep(2 * LIMIT)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port():
    config = uvicorn.Config(slow, lifespan="off", log_level="critical", timeout_keep_alive=60)
    config.load()
    config.http_protocol_class = closing(config.http_protocol_class, LIMIT)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=30)


@pytest.fixture
def client(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        yield connection


def test_a_connection_that_says_nothing_is_closed(client):
    assert client.recv(1) == b""


def test_half_a_head_is_not_waited_for(client):
    client.sendall(HEAD[:20])
    assert client.recv(1) == b""


def test_a_head_that_comes_byte_by_byte_is_closed_too(client):
    with pytest.raises(OSError):
        for _ in range(1000):
            client.sendall(b"G")
            time.sleep(LIMIT / 10)


def test_a_slow_answer_is_waited_for_and_the_next_request_has_its_own_time(client):
    for _ in range(2):
        client.sendall(HEAD)
        answer = b""
        while not answer.endswith(b"ok"):
            answer += client.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200")
    client.sendall(HEAD[:20])
    assert client.recv(1) == b""


def test_the_page_is_served_so():
    settings = types.SimpleNamespace(http_protocol_class=asyncio.Protocol)
    app = types.SimpleNamespace(
        launch=lambda **options: None, server=types.SimpleNamespace(config=settings), local_url="", block_thread=lambda: None
    )
    launch.serve(app, "127.0.0.1", 0)
    assert issubclass(settings.http_protocol_class, asyncio.Protocol) and settings.http_protocol_class.__name__ == "Closing"
    assert PATIENCE == 20, "SECURITY.md says so"
