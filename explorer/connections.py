"""Connections that are opened and ask nothing are closed: the server waits for the head of a request for a bounded time.

:mod:`explorer.request_guard` sees a request once its head is complete. Before that only the server knows of the connection, and it has no
limit of its own: clients that send a head byte by byte, or never, could hold as many connections as they like.
"""

from __future__ import annotations

import asyncio


def closing(protocol: type, seconds: float) -> type:
    """A protocol of uvicorn that gives each connection so many seconds to complete the head of its next request.

    Args:
        protocol: ``http_protocol_class`` of a loaded ``uvicorn.Config``.
        seconds: from the opening of a connection, or from the first byte after an answer.
    """

    class Closing(protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _answering(self) -> bool:
            """Is there a request with a whole head whose answer is not finished?"""
            return self.cycle is not None and not self.cycle.response_complete

        def _watch(self) -> None:
            if self._answering():
                self._stop()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self._late)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            self._timer = None
            if not self._answering():
                self.transport.close()

    return Closing
