"""What a request to the page has to be, checked before it is answered: whom it is for, where it comes from, how large it is, what it asks.

A page on the loopback address can be reached by every web page that the reader has open: by a name that was made to point to this machine
(DNS rebinding, seen in ``Host``), or by a form (seen in ``Origin``). Uploads, which Gradio would keep as files, are not taken; a picture
that is to be read back comes inside its question, to the functions that take one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from urllib.parse import urlsplit

from dmm.files import FileError, limit, parse, printable

LARGEST = 1 << 16  # bytes of a request's body; a caption with its edits has a few thousand
LARGEST_PICTURE = 3 << 19  # bytes of a body that holds a picture, as base64
TAKES_PICTURES = frozenset({"redescribe", "read_picture"})  # names of functions
PATIENCE = 20.0  # seconds until the next piece of a body has to be there
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ASKING = re.compile(
    r"(^|/)gradio_api/(queue/join|(?P<about>cancel|reset)|(run|api|(?P<call>call))/(?P<name>[^/]+))/?$"
)  # what may be posted to
KEEPING = re.compile(r"(^|/)gradio_api/deep_link/?$")  # would write what a visitor sees into a file that stays
MARKS = ("session_hash", "event_id")  # of a question: who asks, and which one
MARK = re.compile(r"[\x21-\x7e]{1,100}")
LOGIN = re.compile(r"(^|/)login/?$")  # and where a name and a password are
CLIENT: ContextVar[str] = ContextVar("client", default="")  # address of whom the request that is being answered comes from


class Refused(Exception):
    """A request that is not answered: the status, and a sentence for the reader."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def names_of(host: str, further: Iterable[str] = ()) -> frozenset[str]:
    """The names by which a page that listens on ``host`` may be addressed; addresses in numbers always may be.

    Args:
        host: what the server listens on; beyond the loopback address, this machine's own name is one of them, and that of a Hugging Face
            Space (SPACE_HOST in the environment).
        further: names that a reverse proxy passes on.
    """
    own = () if host in LOOPBACK else (host, socket.gethostname(), os.environ.get("SPACE_HOST", ""))
    return frozenset(name.strip().lower() for name in (*LOOPBACK, *own, *further) if name.strip())


class RequestGuard:
    """ASGI middleware that answers what it refuses with a line of text.

    Args:
        app: what answers the rest.
        names: of :func:`names_of`.
        patience: seconds until the next piece of a body has to be there.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], names: frozenset[str] = frozenset(LOOPBACK), patience: float = PATIENCE):
        self.app, self.names, self.patience = app, names, patience

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Hand the request on, or say why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        CLIENT.set((scope.get("client") or ("",))[0])
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check_host(headers)
            if KEEPING.search(scope["path"]) or any(len(os.fsencode(part)) > limit("name_bytes") for part in scope["path"].split("/")):
                raise Refused(404, "There is nothing here.")
            if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                self._check_origin(headers)
                asking = ASKING.search(scope["path"])
                if not asking and not LOGIN.search(scope["path"]):
                    raise Refused(404, "Nothing is taken here; this page keeps no files.")
                body = await self._body(headers, receive)
                if asking:
                    _check_question(body, scope, asking)
                elif len(body) > LARGEST:
                    raise _too_large(LARGEST)
                receive = _again(body, receive)
        except Refused as refusal:
            await _answer(send, refusal)
            return
        await self.app(scope, receive, send)

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """Is the request for this page?

        Raises:
            Refused: 421.
        """
        name = _name(headers.get("host", ""))
        if not (name in self.names or _is_address(name)):
            said = printable(name, 80)
            raise Refused(421, f"This page does not answer to the name {said!r}; if it should, start it with --allow-host {said}")

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        """Does a question come from the page itself?

        Raises:
            Refused: 403.
        """
        if "origin" in headers:
            name = _name(_netloc(headers["origin"]))
            if not name or (name not in self.names and name != _name(headers["host"])):
                raise Refused(
                    403, f"Questions from {printable(headers['origin'], 80)!r} are not answered; if they should be, use --allow-host"
                )

    async def _body(self, headers: Mapping[str, str], receive: Callable) -> bytes:
        """A whole body within the limits of one that holds a picture.

        Raises:
            Refused: 413 or 408; 400 if the client went away.
        """
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or len(declared) > 12 or int(declared) > LARGEST_PICTURE:
            raise _too_large(LARGEST_PICTURE)
        body, more = b"", True
        while more:
            try:
                message = await asyncio.wait_for(receive(), self.patience)
            except asyncio.TimeoutError:
                raise Refused(408, f"The question did not arrive within {self.patience:g} seconds.") from None
            if message["type"] == "http.disconnect":
                raise Refused(400, "The question did not arrive.")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > LARGEST_PICTURE:
                raise _too_large(LARGEST_PICTURE)
        return body


def _too_large(most: int) -> Refused:
    return Refused(413, f"A question has at most {most:,} bytes.")


def _check_question(body: bytes, scope: Mapping, asking: re.Match) -> None:
    """Is it JSON, about a function that there is, and no larger than its answer needs?

    Args:
        body: of the request.
        scope: of the request.
        asking: its path, as :data:`ASKING` reads it.

    Raises:
        Refused: 400, 413 or 422.
    """
    try:
        asked = parse(body or b"{}", "the question")
    except FileError as error:
        raise Refused(400, str(error)) from error
    if not isinstance(asked, dict):
        raise Refused(400, "the question: expected an object")
    odd = next((mark for mark in MARKS if not (asked.get(mark) is None or _is_mark(asked[mark]))), None)
    if odd is not None:
        raise Refused(422, f"{odd}: expected up to 100 letters and digits")
    number = None if asking["call"] else asked.get("fn_index")  # there the path alone says which function is asked
    known = scope["app"].get_blocks().fns
    if number is not None and (type(number) is not int or number not in known):
        raise Refused(422, f"fn_index: expected one of the {len(known)} functions of this page")
    function = asking["name"] if number is None else getattr(known[number], "api_name", None)
    if len(body) > LARGEST and function not in TAKES_PICTURES:
        raise _too_large(LARGEST)
    if (
        not asking["about"]
        and number is None
        and function not in {getattr(one, "api_name", None) for one in known.values()} - {None, False}
    ):
        raise Refused(422, "Which function of this page is asked? There is none of that name.")


def _is_mark(value: object) -> bool:
    return isinstance(value, str) and MARK.fullmatch(value) is not None


def _again(body: bytes, receive: Callable) -> Callable:
    """What gives a body that was read already, then whatever comes."""
    given = False

    async def first() -> dict:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first


async def _answer(send: Callable, refusal: Refused) -> None:
    text = str(refusal).encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def _netloc(origin: str) -> str:
    """The host and port of an ``Origin``; empty for "null" and what is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(netloc: str) -> str:
    """The host of "host:port", in lower case, brackets of IPv6 left out."""
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](:\d*)?|([^:/@\s]+)(:\d*)?", netloc.strip())
    return (found[1] or found[3]).lower().rstrip(".") if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
