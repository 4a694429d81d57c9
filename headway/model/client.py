"""The one way to a model: sends what adapters rendered, reads what servers answer, names every failure."""

import asyncio
import zlib
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2
import orjson
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError, RequestOptions

from headway.domain.errors import HeadwayError, TransientError, UserError
from headway.model.adapter import Request, WireAdapter
from headway.model.calibration import Calibration
from headway.model.chat import ChatAdapter
from headway.model.endpoint import Endpoint, is_openai
from headway.model.failures import Circumstance, Failure, failure_of
from headway.model.responses import ResponsesAdapter
from headway.model.turn import Message, Turn, Usage

REHEARSAL_HEADER = "x-headway-rehearsal"
CONNECT_S = 10.0
PROBE_S = 10.0
LANES = 8
"""Connection pools; agents are spread over them. A pool looks at all its connections at each call, twice: with 300
agents in one pool that is a third of the CPU of a call, and only 100 of its connections would stay open."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What an endpoint says of itself.

    Attributes:
        models: Names that it serves, in its own order.
        rehearsal: Whether it is scripted; people are told whenever it is.
        problem: Why it cannot be used now, in words; None when it can.
    """

    models: tuple[str, ...] = ()
    rehearsal: bool = False
    problem: str | None = None


class Model:
    """The models of one endpoint. One per process and event loop, shared by all its agents; close it at the end."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.profile = endpoint.profile
        self._calibration = Calibration()
        at = self._at("")
        self.adapter: WireAdapter = (
            ResponsesAdapter(at) if endpoint.api == "responses" else ChatAdapter(endpoint.profile, at)
        )
        self._lanes = _lanes(endpoint)

    def encode(self, message: Message) -> bytes:
        """A message as it will be sent; keep it, and hand it in as one of `Request.items`."""
        return self.adapter.encode(message)

    async def answer(self, request: Request) -> Turn:
        """One call, one reply; nothing is tried twice here.

        Raises:
            TransientError, ContextOverflow, FatalModelError: See `failures`.
        """
        body = self.adapter.body(request)
        headers = {
            "Content-Type": "application/json",
            "X-Headway-Agent": request.agent,
            "X-Headway-Step": str(request.step),
        }
        at = self._at(request.model)
        options: RequestOptions = {"headers": headers}
        lane = self._lanes[zlib.crc32(request.agent.encode()) % LANES]
        call = lane.post(self.adapter.path, content=body, cast_to=httpx2.Response, options=options)
        response = await _named(call, at, self.endpoint.timeout_s)
        turn = self.adapter.decode(_json(response, at))
        self._calibration.learn(request.model, len(body), turn.usage.input)
        request_id = response.headers.get("x-request-id", "")
        tokens = self._tokens(turn.usage, len(body), len(response.content), request.model)
        return turn.model_copy(update={"request_id": request_id, "tokens": tokens})

    def seed(self, model: str, nbytes: int, tokens: int | None) -> None:
        """Take in what an earlier process heard of a model's tokens; what this one heard counts for more."""
        if not self._calibration.knows(model):
            self._calibration.learn(model, nbytes, tokens)

    def estimate_tokens(self, nbytes: int, model: str = "") -> int:
        """Tokens that `nbytes` of a request are likely to be."""
        return self._calibration.estimate(nbytes, model)

    def worst_call(self, nbytes: int, model: str = "") -> int:
        """Tokens that a call with a request of `nbytes` will hardly exceed, its whole reply included."""
        return self._calibration.bound(nbytes, model) + self.endpoint.max_output

    async def models(self) -> list[str]:
        """Names that the endpoint serves, in its own order.

        Raises:
            TransientError, FatalModelError: It cannot be asked.
        """
        return _names(_json(await self._get_models(), self._at("")))

    async def probe(self) -> Probe:
        """What the endpoint says of itself; never raises for what may go wrong there."""
        try:
            response = await self._get_models()
            names = _names(_json(response, self._at("")))
        except HeadwayError as error:
            return Probe(problem=str(error))
        return Probe(models=tuple(names), rehearsal=REHEARSAL_HEADER in response.headers)

    async def choose_model(self, name: str | None) -> str:
        """`name`, or the first model that a server other than OpenAI's lists.

        Raises:
            UserError: No name, and none to be found.
            TransientError, FatalModelError: The server cannot be asked.
        """
        if name:
            return name
        listed = [] if is_openai(self.endpoint.base_url) else await self.models()
        if listed:
            return listed[0]
        raise UserError(
            f"No model is named for {self.endpoint.shown}.",
            "Set HEADWAY_PLANNER_MODEL and HEADWAY_WORKER_MODEL, "
            "or models.planner.model and models.worker.model of the run's input.",
        )

    async def close(self) -> None:
        """Closes the connections."""
        for lane in self._lanes:
            await lane.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Model({self.endpoint.shown}, {self.endpoint.api})"

    def _at(self, model: str) -> Circumstance:
        return Circumstance(self.endpoint.shown, self.endpoint.secret, model)

    async def _get_models(self) -> httpx2.Response:
        call = self._lanes[0].get("/models", cast_to=httpx2.Response)
        return await _named(call, self._at(""), min(PROBE_S, self.endpoint.timeout_s))

    def _tokens(self, usage: Usage, sent: int, received: int, model: str) -> int:
        input_ = self.estimate_tokens(sent, model) if usage.input is None else usage.input
        output = self.estimate_tokens(received, model) if usage.output is None else usage.output
        return max(input_ + output, 1)


def _lanes(endpoint: Endpoint) -> tuple[AsyncOpenAI, ...]:
    timeout = httpx2.Timeout(endpoint.timeout_s, connect=CONNECT_S)
    # Loading certificates takes 30 ms and 1 MB, so it is done once. To a local server no proxy leads.
    verify = httpx2.create_ssl_context()
    return tuple(
        AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key.get_secret_value(),
            max_retries=0,
            timeout=timeout,
            http_client=DefaultAsyncHttpxClient(timeout=timeout, verify=verify, trust_env=not endpoint.local),
        )
        for _ in range(LANES)
    )


async def _named(call: Coroutine[Any, Any, httpx2.Response], at: Circumstance, timeout_s: float) -> httpx2.Response:
    # Raised outside of the handlers: the client's own exceptions repeat the server's words, which may repeat the key,
    # and a traceback would show them.
    failure: Failure
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    except TimeoutError:
        failure = TransientError(f"{at.address}: no answer in time")
    except OpenAIError as error:
        failure = failure_of(error, at)
    raise failure


def _json(response: httpx2.Response, at: Circumstance) -> dict[str, Any]:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        start = at.clean(response.content[:120].decode(errors="replace"))
        raise TransientError(f"{at.address}: answered {response.status_code} with something else than JSON: {start}")
    return body


def _names(body: dict[str, Any]) -> list[str]:
    data = body.get("data")
    listed = data if isinstance(data, list) else []
    return [entry["id"] for entry in listed if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
