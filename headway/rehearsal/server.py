"""The rehearsal over HTTP: both wire formats of an OpenAI-compatible server, and a report."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headway.rehearsal import wire
from headway.rehearsal.delivery import Delivery, leaves_within
from headway.rehearsal.fault import HANG_S, Fault, drawn
from headway.rehearsal.latency import latency_s
from headway.rehearsal.outage import OutageAnswer, refusal_of, spoilt
from headway.rehearsal.place import NoPlaceError, Place, place_of
from headway.rehearsal.reply import Reply, reply_at
from headway.rehearsal.request_ledger import RequestLedger, Spot
from headway.rehearsal.request_reader import Api, read_conversation
from headway.rehearsal.scripts import Scripts

ANNOUNCEMENT = b"x-headway-rehearsal"
AT_ONCE = frozenset({"rate_limit", "quota", "overflow"})
"""Faults that a server tells before it does any work."""


def rehearsal_app(scripts: Scripts, ledger: RequestLedger) -> ASGIApp:
    """The server as an ASGI application. It keeps nothing but the ledger, so that a restart changes no answer."""
    playbook = scripts.playbook

    async def get_models(_: Request) -> Response:
        return _json(wire.models(playbook.model))

    async def get_report(_: Request) -> Response:
        return _json(ledger.report())

    app = Starlette(
        routes=[
            Route("/v1/models", get_models),
            Route("/v1/chat/completions", _answering(_Desk("chat", scripts, ledger)), methods=["POST"]),
            Route("/v1/responses", _answering(_Desk("responses", scripts, ledger)), methods=["POST"]),
            Route("/rehearsal/report", get_report),
        ]
    )
    return _Announced(app, playbook.name)


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request that has its place, and its answer."""

    who: str
    spot: Spot
    reply: Reply
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class _Desk:
    """Answers the requests of one format."""

    api: Api
    scripts: Scripts
    ledger: RequestLedger

    async def answer(self, request: Request, body: bytes) -> Response:
        if (refused := self.ledger.dark.refuses()) is not None:
            return Delivery(refused)
        ask = self._ask(body, request.headers.get("x-headway-agent", ""))
        playbook, fault = self.scripts.playbook, ask.fault
        if fault is not None and fault.kind == "hang":
            wait = HANG_S if fault.seconds is None else fault.seconds
        elif fault is not None and fault.kind in AT_ONCE:
            wait = 0
        else:
            wait = latency_s(ask.reply.latency_ms, playbook.seed, body)
        if await leaves_within(request, wait):
            return _json({})
        if fault is not None and (refusal := refusal_of(fault, playbook.model, ask.who)) is not None:
            return Delivery(refusal)
        whole = orjson.dumps(wire.answer(self.api, ask.reply, playbook.model, len(body)))
        if fault is not None:
            return Delivery(spoilt(fault, whole))
        return Delivery(OutageAnswer(200, whole), lambda: self.ledger.delivered(ask.spot))

    def _ask(self, body: bytes, agent: str) -> _Ask:
        try:
            asked = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise NoPlaceError("the request is no JSON") from None
        if not isinstance(asked, dict) or asked.get("stream"):
            raise NoPlaceError("the request is no JSON object, or asks for a stream, which a rehearsal does not send")
        talk = read_conversation(self.api, asked)
        place = place_of(self.scripts, talk)
        spot = self.ledger.asked(agent or place.who, place, words_only=talk.words_only)
        reply = reply_at(self.scripts, place, talk)
        fault = self._outage(place, spot, words_only=talk.words_only)
        if fault is not None:
            self.ledger.failed(spot, fault.kind)
        else:
            self.ledger.answered(spot, place, scripted=reply.scripted, nonsense=reply.nonsense)
        return _Ask(place.who, spot, reply, fault)

    def _outage(self, place: Place, spot: Spot, *, words_only: bool) -> Fault | None:
        playbook = self.scripts.playbook
        outages = tuple(
            fault for fault in playbook.faults if fault.is_outage and not (words_only and fault.kind == "overflow")
        )
        content = (place.step, place.turns, words_only, spot.asks)
        return drawn(outages, playbook.seed, place.asker, spot.row, *content)


def _answering(desk: _Desk) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:  # a killed worker process: its request is not one, and no fault of this server
            return Response(status_code=400)
        desk.ledger.begin()
        try:
            return await desk.answer(request, body)
        except NoPlaceError as problem:
            desk.ledger.refused(str(problem))
            return _json(wire.failure(f"rehearsal {desk.scripts.playbook.name}: {problem}"), 400)
        finally:
            desk.ledger.end()

    return answer


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


class _Announced:
    """Says with every answer that it is a rehearsal, so that its answers are never taken for a model's."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._header = (ANNOUNCEMENT, name.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def announce(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), self._header]
            await send(message)

        await self._app(scope, receive, announce)
