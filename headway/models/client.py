"""The one way to a model: sends rendered requests, waits at the breaker, and leaves out parts that a server refuses."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from headway.domain.errors import HeadwayError, TransientError, UserError
from headway.domain.ids import AgentId, run_of
from headway.domain.progress import Progress
from headway.models.adapter import Request, WireAdapter
from headway.models.billing import Billing, believed, reported
from headway.models.cache_watch import NO_CACHE
from headway.models.chat import ChatAdapter
from headway.models.circuit_breaker import CircuitBreaker, CircuitBreakers
from headway.models.endpoint import Endpoint, is_openai
from headway.models.failures import (
    Circumstance,
    ContextOverflow,
    FatalModelError,
    Refused,
    Unsupported,
    Unusable,
    failure_of_reading,
)
from headway.models.http_client import HttpAnswer, HttpClient
from headway.models.left_out import LeftOut
from headway.models.lenient_json import MAX_NAME, Unreadable, name_in
from headway.models.responses import ResponsesAdapter
from headway.models.token_estimate import TokenEstimate
from headway.models.turn import Message, Turn, UserMessage
from headway.models.unsupported_params import longest_output, refused_part

NOTICEABLE_S = 0.001
SMALL_OUTPUT = 512
"""Tokens of the reply by which a server shows that it answers."""
_SMALL = UserMessage("Answer with the word ready.")

DECODED_AT_ONCE = 64 << 10
"""Bytes of a reply that is decoded on the event loop."""


class Model:
    """The models of one endpoint. One per process and event loop, shared by all its agents; close it at the end.

    Args:
        gates: Breakers at which calls wait when the server refuses them. Without them, a refusal is raised as it comes.
        tell: Told once of everything that a server turned out not to take, a line each.
    """

    def __init__(
        self, endpoint: Endpoint, gates: CircuitBreakers | None = None, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.endpoint = endpoint
        self.profile = endpoint.profile
        self.http = HttpClient(endpoint)
        self._estimate = TokenEstimate()
        self._billing = Billing(self._estimate, tell)
        self._gates = gates
        self._left_out = LeftOut(tell)
        self._answered, self._strayed = False, False
        self._at = at = Circumstance(endpoint.shown, "", endpoint.names, endpoint.secret_forms)
        responses = endpoint.api == "responses"
        self.adapter: WireAdapter = (ResponsesAdapter if responses else ChatAdapter)(self.profile, at)

    def encode(self, message: Message) -> bytes:
        """A message as it will be sent; keep it, and hand it in as one of `Request.items`."""
        return self.adapter.encode(message)

    async def answer(self, request: Request, progress: Progress = lambda _: None) -> Turn:
        """One reply. A refusal that concerns every agent is waited out; no other failure is tried again here.

        `progress` hears the reason of a wait, about once a second; it raises when the caller must stop.

        Raises:
            Parked: The wait is longer than an agent should hold its slot for.
            TransientError, ContextOverflow, FatalModelError: See `failures`.
        """
        if self._gates is None:
            return await self._agreed(request, None)
        with self._gates.using(self._at.address, request.model, self.endpoint.account) as gate:
            # A run is told when a model refuses calls that it makes here, and of no other model.
            gate.runs.add(run_of(request.agent))
            return await self._passed(gate, request, progress)

    async def _passed(self, gate: CircuitBreaker, request: Request, progress: Progress) -> Turn:
        """One reply, through the breaker as often as the server refuses."""
        began = time.monotonic()
        while True:
            async with gate.permit(progress) as permit:
                left = time.monotonic()
                try:
                    turn = await self._agreed(request, gate)
                except Refused as refusal:
                    await gate.refused(permit, refusal)
                except (ContextOverflow, FatalModelError):
                    await gate.answered(permit)
                    raise
                except TransientError as error:
                    await gate.failed(permit, error)
                    raise
                else:
                    await gate.answered(permit)
                    waited_s = left - began
                    return turn.model_copy(update={"waited_s": waited_s}) if waited_s >= NOTICEABLE_S else turn

    def seed(self, model: str, nbytes: int, tokens: int | None) -> None:
        """Take in an earlier process's report on a model's tokens; a report of this process counts for more."""
        if not self._estimate.knows(model):
            self._estimate.learn(model, nbytes, tokens)

    def estimate_tokens(self, nbytes: int, model: str = "") -> int:
        """Tokens that `nbytes` of a request are likely to be."""
        return self._estimate.estimate(nbytes, model)

    def worst_call(self, nbytes: int, model: str = "") -> int:
        """Tokens that a call with a request of `nbytes` will hardly exceed, its whole reply included."""
        return self._estimate.bound(nbytes, model) + self.endpoint.max_output

    def left_out(self, model: str) -> dict[str, str]:
        """The parts that this machine leaves out of requests to a model, each with its server's words of refusal."""
        place = self._at.address, model, self.endpoint.account
        if self._gates is None or not self._gates.knows(*place):
            return {}
        with self._gates.using(*place) as gate:
            return gate.file.refused_parts()

    async def models(self) -> list[str]:
        """Names that the endpoint serves, in its own order.

        Raises:
            TransientError, FatalModelError: It cannot be asked.
        """
        return names_in(await self.http.get("/models", self.at("")))

    async def choose_model(self, name: str | None) -> str:
        """`name`, or the first model that a server other than OpenAI's lists.

        Raises:
            UserError: There is neither.
            TransientError, FatalModelError: The server cannot be asked.
        """
        if name:
            return name
        listed = [] if is_openai(self.endpoint.base_url) else await self.models()
        if listed:
            return listed[0]
        raise UserError(
            f"No model is named for {self.endpoint.shown}.",
            f"Set {self.endpoint.names.models}, or models.planner.model and models.worker.model of the run's input.",
        )

    async def leave(self, agent: AgentId) -> None:
        """Close the connections of an agent that makes no more calls for now."""
        await self.http.leave(agent)

    async def close(self) -> None:
        """Close the connections of all agents."""
        await self.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Model({self.endpoint.shown}, {self.endpoint.api})"

    def at(self, model: str) -> Circumstance:
        """The facts about this endpoint for a failure's message."""
        if model != self._at.model:
            self._at = replace(self._at, model=model)
        return self._at

    async def _agreed(self, request: Request, gate: CircuitBreaker | None) -> Turn:
        """One reply, after leaving out parts that the server refuses; each once, so that this ends."""
        without = self._left_out.of(request, gate)
        given_in: list[str] = []
        while True:
            failure: HeadwayError
            try:
                turn = await self._once(request, without)
            except Refused as refusal:
                failure = (
                    await self._concerning(request, without, refusal)
                    if refusal.kind == "key" and refusal.is_doubtful
                    else refusal
                )
            except Unsupported as error:
                output = longest_output(request.max_output, without)
                name = refused_part(error, self.adapter.sent(request, without), output)
                if name is None:
                    raise
                self._left_out.drop(request, gate, name, str(error))
                without, given_in = without | {name}, [*given_in, name]
                continue
            else:
                # Tokens of servers in the own network are free, and many of these do not report what they read.
                if gate is not None and not self.endpoint.local:
                    self._left_out.watch_cache(request, turn.usage, gate, is_known=NO_CACHE in without)
                return turn.model_copy(update={"conceded": tuple(given_in)}) if given_in else turn
            raise failure  # outside of the clauses: its context would repeat the server's words

    async def _concerning(self, request: Request, without: frozenset[str], refusal: Refused) -> HeadwayError:
        """The right error for a refusal: of this request alone if the server answers another one of the same model."""
        told = FatalModelError(f"{refusal.why}\nThe server answers other requests, so it refuses what this one says.")
        small = Request(
            model=request.model,
            system="You answer.",
            items=(self.encode(_SMALL),),
            agent=request.agent,
            max_output=SMALL_OUTPUT,
        )
        try:
            told.billed = await self._once(small, without)
        except (ContextOverflow, FatalModelError):
            return told
        except TransientError:
            return refusal
        return told

    async def _once(self, request: Request, without: frozenset[str]) -> Turn:
        body, at = self.adapter.body(request, without), self.at(request.model)
        headers = {"X-Headway-Agent": request.agent, "X-Headway-Step": str(request.step)}
        left = time.monotonic()
        said = await self._posted(body, headers, at)
        limit = longest_output(request.max_output, without)
        # Others go on while a large reply is taken apart.
        large = said.nbytes > DECODED_AT_ONCE
        turn = (
            await asyncio.to_thread(self._decoded, said, request, at, len(body), limit)
            if large
            else self._decoded(said, request, at, len(body), limit)
        )
        self._answered, self._strayed = True, False
        self._estimate.learn(request.model, len(body), turn.usage.input)
        known = {
            "request_id": name_in(said.headers.get("x-request-id")),
            "seconds": time.monotonic() - left,
            "write_factor": self.adapter.write_factor(request, without),
        }
        return self._billing.with_figures(turn.model_copy(update=known), said, len(body), request.model)

    async def _posted(self, body: bytes, headers: dict[str, str], at: Circumstance) -> HttpAnswer:
        """The server's answer.

        After an answer of the API, one page or redirect of a gateway says nothing about the address, and one 405 never
        does: it is a failure like others. The second one in a row is a refusal, which closes the way to this address
        for every agent.
        """
        try:
            return await self.http.post(self.adapter.path, body, headers, at, self.adapter.pieces())
        except Refused as refusal:
            may_pass = refusal.kind == "address" and (self._answered or refusal.is_doubtful)
            if not may_pass or self._strayed:
                raise
            failure = TransientError(refusal.why, cut_off=refusal.cut_off)
        self._answered, self._strayed = False, True
        raise failure  # outside of the clause: its context would repeat the server's words

    def _decoded(self, said: HttpAnswer, request: Request, at: Circumstance, sent: int, limit: int) -> Turn:
        failure: HeadwayError
        try:
            turn = self.adapter.decode(said.body, [tool.name for tool in request.tools])
        except Unreadable as error:
            failure = failure_of_reading(error, at)
        except Unusable as error:
            if (usage := reported(said.body)) is not None:
                unread = Turn(items=(), raw=(), stop="empty", usage=usage)
                error.billed = self._billing.with_figures(unread, said, sent, request.model)
            raise
        else:
            usage = believed(turn, sent)
            # llama.cpp's Responses and others say of a reply that was cut that it is whole.
            is_cut = turn.stop in {"tool", "text"} and usage.output == limit
            return turn.model_copy(update={"usage": usage, "stop": "length" if is_cut else turn.stop})
        raise failure


def names_in(said: HttpAnswer) -> list[str]:
    """The names that an answer of `/models` lists."""
    data = said.body.get("data")
    listed = data if isinstance(data, list) else []
    ids = [entry.get("id") for entry in listed if isinstance(entry, dict)]
    return [id_ for id_ in ids if isinstance(id_, str) and len(id_) <= MAX_NAME]
