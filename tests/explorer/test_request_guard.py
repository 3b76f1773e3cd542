"""Requests to the page: which are answered, and what those that are not are told."""

from __future__ import annotations

import asyncio
import json
import types

import pytest

from explorer.launch import launch_options
from explorer.request_guard import LARGEST, LARGEST_PICTURE, RequestGuard, names_of

JOIN = "/gradio_api/queue/join"
PICTURE = json.dumps({"fn_index": 2, "data": ["x" * (LARGEST_PICTURE - 100)]}).encode()
ASKED = json.dumps({"fn_index": 1, "data": []}).encode()


def status(
    path=JOIN, method="POST", host="127.0.0.1:7860", origin=None, pieces=(ASKED,), length=None, names=(), wait=0.0
) -> tuple[int, bytes]:
    """(status, body that the page behind the guard was given)."""
    given, sent = [], []

    async def page(scope, receive, send):
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        given.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    queue = list(pieces)

    async def receive():
        await asyncio.sleep(wait)
        piece = queue.pop(0)
        return {"type": "http.disconnect"} if piece is None else {"type": "http.request", "body": piece, "more_body": bool(queue)}

    async def send(message):
        sent.append(message)

    reads = types.SimpleNamespace(api_name="redescribe")
    blocks = types.SimpleNamespace(fns={0: None, 1: types.SimpleNamespace(api_name="trace"), 2: reads})
    headers = [(b"host", host.encode())] if host is not None else []
    headers += [(b"origin", origin.encode())] if origin is not None else []
    headers += [(b"content-length", length.encode())] if length is not None else []
    app = types.SimpleNamespace(get_blocks=lambda: blocks)
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "app": app}
    asyncio.run(RequestGuard(page, names_of("127.0.0.1", names), patience=0.05)(scope, receive, send))
    return sent[0]["status"], given[0] if given else b""


ANSWERED = {
    "a question": {},
    "in pieces": {"pieces": (ASKED[:5], ASKED[5:])},
    "a page": {"method": "GET", "path": "/", "pieces": ()},
    "below a path": {"path": "/bird" + JOIN},
    "by name": {"host": "localhost"},
    "by an address": {"host": "192.168.1.7:80"},
    "by an address of IPv6": {"host": "[::1]:7860"},
    "by a name of the proxy": {"host": "Birds.example:443", "names": ["birds.example"]},
    "from the page": {"origin": "http://127.0.0.1:7860"},
    "from the page of a proxy": {"host": "127.0.0.1:7860", "origin": "https://birds.example", "names": ["birds.example"]},
    "nothing asked": {"path": "/gradio_api/reset", "pieces": (b"",)},
    "a picture": {"pieces": (PICTURE,)},
    "a picture by name": {"path": "/gradio_api/call/redescribe", "pieces": (b'{"data": "' + b"x" * 200_000 + b'"}',)},
    "as large as may be": {"pieces": (b'{"fn_index": 1, "data": "' + b"x" * (LARGEST - 27) + b'"}',)},
    "who asks": {"pieces": (b'{"fn_index": 1, "session_hash": "a1b2c3", "event_id": null}',)},
}


@pytest.mark.parametrize("kind", ANSWERED)
def test_what_is_answered(kind):
    code, body = status(**ANSWERED[kind])
    assert code == 200 and body == b"".join(ANSWERED[kind].get("pieces", (ASKED,)))


REFUSED = {
    "a name that points here": (421, {"host": "evil.example", "method": "GET", "path": "/"}),
    "no name": (421, {"host": None}),
    "an odd name": (421, {"host": "localhost@evil.example"}),
    "a name that begins as ours": (421, {"host": "localhost.evil.example"}),
    "a foreign page": (403, {"origin": "http://evil.example"}),
    "a page at an address": (403, {"origin": "http://6.6.6.6"}),
    "a page of a file": (403, {"origin": "null"}),
    "an odd origin": (403, {"origin": "http://[::1"}),
    "said to be large": (413, {"length": "500000000"}),
    "a length that is none": (413, {"length": "-1"}),
    "large in pieces": (413, {"pieces": (b'{"data": "' + b"x" * 60_000, b"x" * 60_000 + b'"}')}),
    "a picture too large": (413, {"pieces": (PICTURE, b" " * 200)}),
    "a picture for a function that takes none": (413, {"pieces": (PICTURE.replace(b": 2", b": 1", 1),)}),
    "a picture for a name that takes none": (413, {"path": "/gradio_api/call/trace", "pieces": (b'{"data": "' + b"x" * LARGEST + b'"}',)}),
    "an upload": (404, {"path": "/gradio_api/upload"}),
    "another place": (404, {"path": "/gradio_api/process_recording"}),
    "a put": (404, {"path": "/config", "method": "PUT"}),
    "no JSON": (400, {"pieces": (b"x",)}),
    "nested": (400, {"pieces": (b"[" * 60_000,)}),
    "a list": (400, {"pieces": (b"[]",)}),
    "gone": (400, {"pieces": (b"{", None)}),
    "slow": (408, {"wait": 0.2}),
    "no such function": (422, {"pieces": (b'{"fn_index": 999}',)}),
    "not a number": (400, {"pieces": (b'{"fn_index": NaN}',)}),
    "half a number": (422, {"pieces": (b'{"fn_index": 0.5}',)}),
    "true": (422, {"pieces": (b'{"fn_index": true}',)}),
    "no function": (422, {"pieces": (b'{"data": []}',)}),
    "a name that there is not": (422, {"path": "/gradio_api/call/nosuch", "pieces": (b'{"data": []}',)}),
    "a name that there is not, and a number": (422, {"path": "/gradio_api/call/nosuch", "pieces": (ASKED,)}),
    "a picture for another function than is said": (413, {"path": "/gradio_api/call/trace", "pieces": (PICTURE,)}),
    "a name of nothing": (422, {"path": "/gradio_api/run/None", "pieces": (b'{"data": []}',)}),
    "a name in parts": (404, {"path": "/gradio_api/call/v2/trace", "pieces": (b'{"data": []}',)}),
    "nobody": (422, {"pieces": (b'{"fn_index": 1, "session_hash": ""}',)}),
    "half a character": (422, {"path": "/gradio_api/reset", "pieces": (b'{"event_id": "\\ud83d"}',)}),
    "a long mark": (422, {"pieces": (b'{"fn_index": 1, "session_hash": "' + b"a" * 101 + b'"}',)}),
    "a mark that is a list": (422, {"pieces": (b'{"fn_index": 1, "session_hash": ["a"]}',)}),
    "a name longer than a file's": (404, {"path": "/assets/" + "9" * 256, "method": "GET", "pieces": ()}),
    "what is seen, to be kept": (404, {"path": "/gradio_api/deep_link", "method": "GET", "pieces": ()}),
    "below nothing": (422, {"pieces": (b'{"fn_index": -1}',)}),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not(kind):
    code, asked = REFUSED[kind]
    assert status(**asked) == (code, b"")


def test_a_page_for_others_answers_to_the_name_of_its_machine(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Lab-7")
    assert "lab-7" in names_of("0.0.0.0") and "lab-7" not in names_of("127.0.0.1")


def test_a_space_answers_to_its_public_name(monkeypatch):
    monkeypatch.setenv("SPACE_HOST", "ann-birds.hf.space")
    assert "ann-birds.hf.space" in names_of("0.0.0.0") and "ann-birds.hf.space" not in names_of("127.0.0.1")


def test_the_page_is_served_behind_it():
    (_, guard) = launch_options(names=["birds.example"])["app_kwargs"]["middleware"]
    assert guard.cls is RequestGuard and "birds.example" in guard.kwargs["names"]


def test_a_real_page_behind_it():
    import gradio as gr
    from gradio.routes import App
    from starlette.testclient import TestClient

    with gr.Blocks() as blocks:
        said, heard = gr.Textbox(), gr.Textbox()
        said.submit(lambda text: text.upper(), said, heard, api_name="shout")
    app = App.create_app(blocks, app_kwargs=launch_options()["app_kwargs"])
    client = TestClient(app, base_url="http://127.0.0.1:7860")
    assert client.post("/gradio_api/run/shout", json={"data": ["hey"]}).json()["data"] == ["HEY"]
    assert client.post("/gradio_api/run/shout", json={"data": ["x" * LARGEST]}).status_code == 413
    assert client.post("/gradio_api/upload", files={"files": ("a.png", b"1")}).status_code == 404
    assert client.post(JOIN, json={"fn_index": 999, "data": [], "session_hash": "a"}).status_code == 422
    assert client.get("/config", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/config").headers["x-content-type-options"] == "nosniff"
