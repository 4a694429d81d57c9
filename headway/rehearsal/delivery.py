"""Answers that know whether they arrived. To have sent is not to have delivered: the client may be gone."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headway.rehearsal.outage import OutageAnswer


class Delivery(Response):
    """Sends an answer, whole or only its beginning, and tells `delivered` when all of it went to a client that was
    still there.
    """

    def __init__(self, answer: OutageAnswer, delivered: Callable[[], None] | None = None) -> None:
        super().__init__(answer.body, answer.status, answer.headers, answer.media_type)
        self._sent = answer.sent
        self._delivered = delivered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. The length that was announced is always the whole one's."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = bytes(self.body)[: self._sent]
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if self._sent is not None:
            return
        # The next message waits until the body went out.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        # The loop looks at its sockets meanwhile, so that a killed client is not taken for one that listens.
        await asyncio.sleep(0)
        gone = await Request(scope, receive).is_disconnected()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if self._delivered is not None and not gone:
            self._delivered()


async def leaves_within(request: Request, seconds: float) -> bool:
    """Wait, or until the client has left; true if it has, or if this server goes down meanwhile."""
    if seconds <= 0:
        return False
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    except asyncio.CancelledError:
        # The client is gone, and the server would report each such answer as an error of its own.
        return True
    return True
