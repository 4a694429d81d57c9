"""One exchange with a server over the real `openai` client: bytes out, JSON in, every failure named."""

import asyncio
import zlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import getproxies

import httpx2
import orjson

from headway.domain.errors import TransientError
from headway.model.adapter import Pieces
from headway.model.endpoint import Endpoint
from headway.model.failures import Circumstance, Failure, failure_of
from headway.model.stream import is_stream, read_events
from headway.model.transport import Transport

# The client takes half a second to load. A worker process that calls no model (workflows, the supervisor) never does.
if TYPE_CHECKING:
    from openai import AsyncOpenAI, RequestOptions

T = TypeVar("T")

CONNECT_S = 10.0
PROBE_S = 10.0
LANES = 8
"""Connection pools through a proxy; agents are spread over them. A pool looks at all its connections at each call,
twice: with 300 agents in one pool that is a third of the CPU of a call, and only 100 of them would stay open."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a server answered.

    Attributes:
        nbytes: Size of its body, or of what the pieces of it came to.
    """

    body: dict[str, Any]
    nbytes: int
    headers: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """The connections to one endpoint. One per process and event loop; close it at the end."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._streamed = endpoint.profile.stream
        self._lanes = _lanes(endpoint)
        # Whole addresses: the client takes paths apart and puts them together again at each call.
        self._root = endpoint.base_url.rstrip("/")

    async def post(self, path: str, content: bytes, headers: dict[str, str], at: Circumstance, pieces: Pieces) -> Said:
        """Send a request and take its answer, in one or in pieces.

        Raises:
            TransientError, ContextOverflow, FatalModelError: See `failures`.
        """
        options: RequestOptions = {"headers": {"Content-Type": "application/json"} | headers}
        lane = self._lanes[zlib.crc32(headers.get("X-Headway-Agent", "").encode()) % len(self._lanes)]

        async def exchanged() -> Said:
            response: httpx2.Response = await lane.post(
                self._root + path, content=content, cast_to=httpx2.Response, options=options, stream=self._streamed
            )
            if is_stream(response):
                await read_events(response, pieces.take, self._endpoint.stall_s, at.address)
                # Of what came in pieces most was said twice; the whole is what tokens are counted by.
                return Said(pieces.whole, len(orjson.dumps(pieces.whole)), response.headers)
            return _said(response.status_code, await response.aread(), response.headers, at)

        return await named(exchanged(), at, self._endpoint.timeout_s)

    async def get(self, path: str, at: Circumstance, within_s: float = PROBE_S) -> Said:
        """Ask a question that costs nothing; a path with a scheme leads elsewhere on the same server.

        Raises:
            TransientError, FatalModelError: It cannot be asked.
        """
        within = min(within_s, self._endpoint.timeout_s)
        call = self._lanes[0].get(path, cast_to=httpx2.Response)
        response: httpx2.Response = await named(call, at, within)
        return _said(response.status_code, response.content, response.headers, at)

    async def close(self) -> None:
        """Closes the connections."""
        for lane in self._lanes:
            await lane.close()


async def named(call: Awaitable[T], at: Circumstance, timeout_s: float) -> T:
    """The result of a call, or its failure in our words."""
    # Raised outside of the handlers: the client's own exceptions repeat the server's words, which may repeat the key,
    # and a traceback would show them.
    from openai import OpenAIError

    failure: Failure
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    except TimeoutError:
        failure = TransientError(f"{at.address}: no answer in time", cut_off=True)
    except OpenAIError as error:
        failure = failure_of(error, at)
    except httpx2.HTTPError as error:
        told = f"{at.address}: the answer broke off: {at.clean(type(error).__name__)}"
        failure = TransientError(told, cut_off=True)
    raise failure


def _said(status: int, content: bytes, headers: Mapping[str, str], at: Circumstance) -> Said:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        start = at.clean(content[:120].decode(errors="replace"))
        told = f"{at.address}: answered {status} with something else than JSON: {start}"
        raise TransientError(told, cut_off=True)
    return Said(body, len(content), headers)


def _lanes(endpoint: Endpoint) -> "tuple[AsyncOpenAI, ...]":
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    timeout = httpx2.Timeout(endpoint.timeout_s, connect=CONNECT_S)
    # Loading certificates takes 30 ms and 1 MB, so it is done once. To a local server no proxy leads.
    verify = httpx2.create_ssl_context()
    proxied = not endpoint.local and bool(getproxies().keys() & {"http", "https", "all"})
    clients = [
        DefaultAsyncHttpxClient(timeout=timeout, verify=verify, transport=None if proxied else Transport(verify))
        for _ in range(LANES if proxied else 1)
    ]
    key = endpoint.api_key.get_secret_value()
    return tuple(
        AsyncOpenAI(base_url=endpoint.base_url, api_key=key, max_retries=0, timeout=timeout, http_client=client)
        for client in clients
    )
