"""The page behind a real reverse proxy, below /bird/: its scripts and styles come, captions are generated, links are followed."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dmm.checkpoint import save
from tests.browser.conftest import serving, watched
from tests.browser.test_page import generate, open_page, wait_for
from tests.explorer.toy import toy_pipeline

pytestmark = pytest.mark.browser

PREFIX = "/bird"
CAPTION = "a small blue bird with a white belly"
OWN = ("connection", "host", "keep-alive", "transfer-encoding", "content-length")  # headers of one hop


class Proxy(BaseHTTPRequestHandler):
    """What a web server does with ``location /bird/ { proxy_pass http://127.0.0.1:PORT/; }``."""

    target = 0
    strays: list[str] = []  # requests for what is not below the path

    def do_GET(self) -> None:
        """Hand a request on, and its answer back piece by piece."""
        if not self.path.startswith(f"{PREFIX}/"):
            self.strays.append(self.path)
            self.send_response(204)  # a browser asks the host itself for an icon
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN}
        headers |= {"Host": self.headers["Host"], "Content-Length": str(len(body))}
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=120)
        try:
            connection.request(self.command, self.path.removeprefix(PREFIX), body, headers)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in OWN:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := answer.read1(1 << 16):
                self.wfile.write(piece)
        finally:
            connection.close()

    do_POST = do_HEAD = do_GET

    def log_message(self, *arguments) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def below(tmp_path_factory) -> Iterator[str]:
    """Address of the page behind the proxy."""
    folder = tmp_path_factory.mktemp("toy")
    save(toy_pipeline(), folder / "toy")
    with serving(folder / "toy", folder / "log.txt", "--root-path", PREFIX) as url:
        handler = type("Handler", (Proxy,), {"target": int(url.rstrip("/").rpartition(":")[2]), "strays": []})
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}{PREFIX}/"
        proxy.shutdown()
        proxy.server_close()
    assert set(handler.strays) <= {"/favicon.ico"}, "the page asked for what is not below its path"


def test_captions_are_generated(page, below):
    with watched(page, below):
        open_page(page, below)
        generate(page, CAPTION)
        page.locator(".ex-chip").first.click()
        assert page.locator(".ex-chip[aria-pressed=true]").count() > 0, "the page's script works"
        assert page.evaluate("getComputedStyle(document.querySelector('.ex-stages')).display") == "grid", "and its styles"


def test_a_link_is_followed(page, below):
    with watched(page, below):
        page.goto(f"{below}?caption={CAPTION.replace(' ', '+')}&seed=5")
        wait_for(page, CAPTION, 5)
