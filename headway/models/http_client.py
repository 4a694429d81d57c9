"""HTTP to one endpoint through the `openai` client: bytes out, JSON in, and every failure as an error of `failures`.

Each agent has its own client with the stock transport. The cost of a call in a shared pool grows with the connections
that are open in it (0.8 ms of CPU at one, 4.7 ms at 300).
"""

import asyncio
import ssl
from collections.abc import Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
import orjson

from headway.domain.errors import HeadwayError, TransientError
from headway.models.adapter import Pieces
from headway.models.endpoint import Endpoint
from headway.models.failures import Circumstance, failure_of, failure_of_reading, not_the_api
from headway.models.lenient_json import Unreadable, json_in
from headway.models.reply_bounds import bound
from headway.models.stream import holds_events, is_stream, read_events

# The client takes half a second to load. Processes that call no model (workflows, the supervisor) never load it.
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai import AsyncOpenAI, Omit, RequestOptions

T = TypeVar("T")

CONNECT_S = 10.0
WRITE_S = 120.0
"""Longest time until a request has left. The answer of a server that stops reading early is heard only after it."""
PROBE_S = 10.0

IDLE_S = 4.0
"""An idle connection is closed after this time, before uvicorn, and so vLLM, closes it at 5 s. A request on a closing
connection is lost, and counts as paid."""

_HEADERS = {"Accept-Encoding": "identity"}
_STAINLESS = ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
"""Headers in which the `openai` client describes itself. They are left out: they make up half of the headers' cost."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A server's answer.

    Attributes:
        nbytes: Size of its body; for a stream, of the whole that its pieces make up.
    """

    body: dict[str, Any]
    nbytes: int
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpClient:
    """The connections to one endpoint. One per process and event loop; close it at the end.

    Args:
        idle_s: Seconds after which an idle connection is closed; see `IDLE_S`.
        connect_s: Longest time until a connection is open.
        write_s: Longest time until a request has left.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        idle_s: float = IDLE_S,
        connect_s: float = CONNECT_S,
        write_s: float = WRITE_S,
    ) -> None:
        self._endpoint = endpoint
        self._idle_s = idle_s
        self._streamed = endpoint.profile.stream
        # Whole addresses: the client takes paths apart and puts them together again at each call.
        self._addresses: dict[str, str] = {}
        # No timeout for reads: `_or_our_error` bounds the time of the whole answer.
        self._factory = _ClientFactory(endpoint, idle_s, httpx2.Timeout(None, connect=connect_s, write=write_s))
        self._first = _first_client(endpoint, self._factory)
        self._omitted = {"X-Stainless-Retry-Count": _omit()}
        if endpoint.headers and not endpoint.secret:
            # Some gateways refuse a key of both kinds. A header of this name that the user set stays.
            own = {name.lower() for name, _ in endpoint.headers}
            self._omitted |= {} if "authorization" in own else {"Authorization": _omit()}
        # By agent; the client that has been idle longest is first.
        self._idle: dict[str, tuple[AsyncOpenAI, float]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def post(
        self, path: str, content: bytes, headers: dict[str, str], at: Circumstance, pieces: Pieces
    ) -> HttpAnswer:
        """Send a request and take its answer, in one or in pieces.

        Raises:
            TransientError, ContextOverflow, FatalModelError: See `failures`.
        """
        options: RequestOptions = {"headers": {**headers, **self._omitted}}

        async def exchanged() -> HttpAnswer:
            async with self._client(headers.get("X-Headway-Agent", "")) as client:
                response: httpx2.Response = await client.post(
                    self._address(path),
                    content=content,
                    cast_to=httpx2.Response,
                    options=options,
                    stream=self._streamed,
                )
                if is_stream(response) or holds_events(await response.aread()):
                    await read_events(response, pieces.take, self._endpoint.stall_s, at.address)
                    # Streams repeat themselves; tokens are estimated from the size of the whole.
                    return HttpAnswer(pieces.whole, len(orjson.dumps(pieces.whole)), response.headers)
                return _said(response, await response.aread(), at)

        return await _or_our_error(exchanged(), at, self._endpoint.timeout_s)

    async def get(self, path: str, at: Circumstance, within_s: float = PROBE_S) -> HttpAnswer:
        """Ask a question that costs nothing. `path` may be a whole address of the same server.

        Raises:
            TransientError, FatalModelError: It cannot be asked.
        """

        async def asked() -> HttpAnswer:
            async with self._client("") as client:
                response: httpx2.Response = await client.get(
                    self._address(path), cast_to=httpx2.Response, options={"headers": self._omitted}
                )
                return _said(response, response.content, at)

        return await _or_our_error(asked(), at, min(within_s, self._endpoint.timeout_s))

    def _address(self, path: str) -> str:
        if "://" in path:
            return path
        if path not in self._addresses:
            self._addresses[path] = self._endpoint.at(path)
        return self._addresses[path]

    async def leave(self, agent: str) -> None:
        """Close the connections of an agent that makes no more calls for now."""
        client, _ = self._idle.pop(agent, (None, 0.0))
        if client is not None:
            await client.close()

    async def close(self) -> None:
        """Close every idle connection. A connection in use is closed after its answer."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            await self.leave(next(iter(self._idle)))
        await asyncio.gather(*self._closing)

    @asynccontextmanager
    async def _client(self, agent: str) -> "AsyncIterator[AsyncOpenAI]":
        client, _ = self._idle.pop(agent, (None, 0.0))
        client = client or self._first.copy(http_client=self._factory.client())
        try:
            yield client
        finally:
            if self._closed or agent in self._idle:
                await client.close()
            else:
                self._keep_idle(agent, client)

    def _keep_idle(self, agent: str, client: "AsyncOpenAI") -> None:
        loop = asyncio.get_running_loop()
        self._idle[agent] = client, loop.time()
        if self._sweep is None:
            self._sweep = loop.call_later(self._idle_s, self._close_idle)

    def _close_idle(self) -> None:
        """Close clients that have been idle for too long. The stock pool checks its connections only at a next call."""
        loop = asyncio.get_running_loop()
        self._sweep = None
        while self._idle:
            agent, (client, since) = next(iter(self._idle.items()))
            left = since + self._idle_s - loop.time()
            if left > 0:
                self._sweep = loop.call_later(left, self._close_idle)
                return
            del self._idle[agent]
            task = loop.create_task(client.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class _ClientFactory:
    """Makes HTTP clients that share the certificates, which are large, and the proxy."""

    def __init__(self, endpoint: Endpoint, idle_s: float, timeout: httpx2.Timeout) -> None:
        self._limits = httpx2.Limits(keepalive_expiry=idle_s)
        self._timeout = timeout
        proxy = proxy_to(endpoint)
        tls = [urlsplit(each).scheme == "https" for each in (endpoint.base_url, proxy or "")]
        # Certificates take 30 ms and 1 MB. Where no TLS is spoken, none are loaded and none are trusted.
        self._verify = httpx2.create_ssl_context() if any(tls) else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._proxy = httpx2.Proxy(proxy, ssl_context=self._verify if tls[1] else None) if proxy else None

    def client(self) -> httpx2.AsyncClient:
        """A client with a pool of its own. It follows no redirect, keeps no cookie and asks for uncompressed bodies."""
        return httpx2.AsyncClient(
            timeout=self._timeout,
            limits=self._limits,
            verify=self._verify,
            proxy=self._proxy,
            trust_env=False,
            follow_redirects=False,
            headers=_HEADERS,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            event_hooks={"response": [bound]},
        )


def proxy_to(endpoint: Endpoint) -> str | None:
    """The proxy that the environment names for an endpoint; None for an address in the local network."""
    parts, proxies = urlsplit(endpoint.base_url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if endpoint.local or not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _first_client(endpoint: Endpoint, factory: _ClientFactory) -> "AsyncOpenAI":
    from openai import AsyncOpenAI

    key = endpoint.api_key.get_secret_value()
    names = [f"X-Stainless-{name}" for name in _STAINLESS]
    own = {name: value.get_secret_value() for name, value in endpoint.headers}
    headers = cast("Mapping[str, str]", {name: _omit() for name in names} | own)
    return AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=key,
        max_retries=0,
        http_client=factory.client(),
        default_headers=headers,
    )


def _omit() -> "Omit":
    from openai import Omit

    return Omit()


async def _or_our_error(call: Awaitable[T], at: Circumstance, timeout_s: float) -> T:
    """The result of a call.

    Raises:
        HeadwayError: The call's failure as an error of `failures`, or the end of its time.
    """
    # Raised outside of the handlers, without a cause: the client's exceptions quote the server, which may quote the
    # key, and a traceback would show them.
    from openai import OpenAIError

    failure: HeadwayError
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    except TimeoutError:
        failure = TransientError(f"{at.address}: no answer in time", cut_off=True)
    except OpenAIError as error:
        failure = failure_of(error, at)
    except (httpx2.HTTPError, ssl.SSLError, Unreadable, RecursionError) as error:
        failure = failure_of_reading(error, at)
    raise failure


def _said(response: httpx2.Response, content: bytes, at: Circumstance) -> HttpAnswer:
    if content.lstrip()[:1] == b"<":
        raise not_the_api(f"answered {response.status_code} with a page, not with JSON", at)
    body = json_in(content)
    if not isinstance(body, dict):
        raise Unreadable(f"{response.status_code} with something else than a JSON object: {shown(content)}")
    return HttpAnswer(body, len(content), response.headers)


def shown(content: bytes) -> str:
    """The first words of a body."""
    return content[:120].decode(errors="replace")
