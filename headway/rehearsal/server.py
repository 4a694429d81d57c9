"""The rehearsal over HTTP: both wire formats of an OpenAI-compatible server, and a report."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headway.rehearsal import wire
from headway.rehearsal.conversation import Api, read_conversation
from headway.rehearsal.ledger import Ledger
from headway.rehearsal.place import NoPlaceError, place_of
from headway.rehearsal.playbook import Playbook
from headway.rehearsal.reply import Reply, latency_s, reply_at

ANNOUNCEMENT = b"x-headway-rehearsal"


def rehearsal_app(playbook: Playbook, ledger: Ledger) -> ASGIApp:
    """The server as an ASGI application. It keeps nothing but the ledger, so that a restart changes no answer."""

    async def get_models(_: Request) -> Response:
        return _json(wire.models(playbook.model))

    async def get_report(_: Request) -> Response:
        return _json(ledger.report())

    app = Starlette(
        routes=[
            Route("/v1/models", get_models),
            Route("/v1/chat/completions", _answering("chat", playbook, ledger), methods=["POST"]),
            Route("/v1/responses", _answering("responses", playbook, ledger), methods=["POST"]),
            Route("/rehearsal/report", get_report),
        ]
    )
    return _Announced(app, playbook.name)


def _answering(api: Api, playbook: Playbook, ledger: Ledger) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = await request.body()
        ledger.begin()
        try:
            reply = _reply(api, playbook, ledger, body, request.headers.get("x-headway-agent", ""))
            await asyncio.sleep(latency_s(playbook, reply, body))
            return _json(wire.answer(api, reply, playbook.model, len(body)))
        except NoPlaceError as problem:
            ledger.refused(str(problem))
            return _json(wire.failure(f"rehearsal {playbook.name}: {problem}"), 400)
        finally:
            ledger.end()

    return answer


def _reply(api: Api, playbook: Playbook, ledger: Ledger, body: bytes, agent: str) -> Reply:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NoPlaceError("the request is no JSON") from None
    if not isinstance(asked, dict) or asked.get("stream"):
        raise NoPlaceError("the request is no JSON object, or asks for a stream, which a rehearsal does not send")
    talk = read_conversation(api, asked)
    place = place_of(playbook, talk)
    ledger.asked(agent or place.who, place, words_only=talk.words_only)
    reply = reply_at(playbook, place, talk)
    if reply.scripted:
        ledger.served(place)
    return reply


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


class _Announced:
    """Says with every answer that it is a rehearsal, so that nobody takes one for a model."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._header = (ANNOUNCEMENT, name.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def announce(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), self._header]
            await send(message)

        await self._app(scope, receive, announce)
