"""The headers of each answer, and no value of a trace that becomes markup."""

from __future__ import annotations

import asyncio
import dataclasses
import html.parser

import pytest

from explorer import learning_html, page_html
from explorer.headers import HEADERS, SecurityHeaders
from explorer.launch import launch_options
from explorer.statistics import Spoken, numbers
from tests.explorer.handmade import make_trace

MARKUP = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'"


def test_the_page_is_served_with_the_headers():
    middleware, _ = launch_options()["app_kwargs"]["middleware"]
    assert middleware.cls is SecurityHeaders and b"script-src-attr 'none'" in HEADERS[b"content-security-policy"]


def test_headers_are_added_once_and_others_stay():
    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1"), (b"Referrer-Policy", b"unsafe-url")]})
        await send({"type": "http.response.body", "body": b"x"})

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(SecurityHeaders(inner)({"type": "http"}, None, send))
    names = [name.lower() for name, _ in sent[0]["headers"]]
    assert sorted(names) == sorted([b"x-a", *HEADERS]) and sent[1]["body"] == b"x"
    assert dict(sent[0]["headers"])[b"referrer-policy"] == HEADERS[b"referrer-policy"]


class Tags(html.parser.HTMLParser):
    """Every tag and attribute name of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def rendered(trace, model="a model") -> str:
    spoken = [Spoken(word, True) for word in trace.words[0][1:-1]] + [Spoken(MARKUP, False)]
    return page_html.render(trace, spoken, model, 42, 10, "at step 10")


@pytest.mark.parametrize("field", ["captions", "words", "seeds", "redescription", "model"])
def test_markup_in_any_value_stays_text(field):
    plain, trace, model = Tags(rendered(make_trace())), make_trace(), "a model"
    if field == "redescription":
        trace.stages = [dataclasses.replace(stage, redescription=[MARKUP]) for stage in trace.stages]
    elif field == "words":
        trace.words = [[MARKUP] * 9]
    elif field == "model":
        model = MARKUP
    else:
        setattr(trace, field, [MARKUP])
    found = Tags(rendered(trace, model))
    assert found.tags <= plain.tags | {"mark", "i", "span"} and "script" not in found.tags
    assert not {name for name in found.attributes - plain.attributes} and "onerror" not in found.attributes


def test_markup_in_the_learning_section_stays_text():
    trace = make_trace()
    trace.captions, trace.words = [MARKUP], [[MARKUP] * 9]
    course = [numbers(make_trace(), 0), numbers(make_trace(), 0)]
    found = Tags(learning_html.learning(trace, [1, 2], course, 2, 1))
    assert "script" not in found.tags and "onerror" not in found.attributes


@pytest.mark.parametrize(("said", "kept"), [("", None), ("/", None), ("/bird", "/bird"), ("/a/b-c/", "/a/b-c")])
def test_a_page_below_a_path(said, kept):
    assert launch_options(root_path=said)["root_path"] == kept


@pytest.mark.parametrize("said", ["bird", "//evil.example", "/a b", "/<script>", "https://evil.example", "/..\n"])
def test_what_is_no_path(said):
    with pytest.raises(ValueError, match="--root-path"):
        launch_options(root_path=said)
