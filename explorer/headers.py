"""What every answer of the page says to the browser: scripts come from files and from the page's head, never from an attribute."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

#: No inline event handlers, no plugins, no foreign <base> or form targets; the type of a file is what the server says.
HEADERS = {
    b"content-security-policy": b"script-src-attr 'none'; object-src 'none'; base-uri 'self'; form-action 'self'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
}


class SecurityHeaders:
    """ASGI middleware that adds :data:`HEADERS` to each answer."""

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Hand the request on; put the headers into what comes back."""

        async def answer(message: dict) -> None:
            if message["type"] == "http.response.start":
                held = [(name, value) for name, value in message.get("headers", []) if name.lower() not in HEADERS]
                message = message | {"headers": [*held, *HEADERS.items()]}
            await send(message)

        await self.app(scope, receive, answer if scope["type"] == "http" else send)
