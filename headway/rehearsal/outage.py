"""Answers of servers and of the proxies before them in place of a model, in the shapes met in the field. Pure."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from headway.rehearsal.fault import Fault, Words, pick

WINDOW = 32_768
JSON = "application/json"
HTML = b"""<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>
</html>
"""


@dataclass(frozen=True, slots=True)
class OutageAnswer:
    """An answer as it goes over the wire.

    Attributes:
        sent: Bytes of the body after which the connection is closed; None sends all of it.
    """

    status: int
    body: bytes
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None


def refusal_of(fault: Fault, model: str, who: str) -> OutageAnswer | None:
    """The answer of a server that does not ask its model; None for a fault that needs the model's answer."""
    again = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    match fault.kind:
        case "rate_limit":
            words = f"Rate limit reached for {model}: Limit 30000, Used 29950. Please try again later."
            return _error(429, words, "tokens", "rate_limit_exceeded", again)
        case "quota":
            words = "You exceeded your current quota, please check your plan and billing details."
            return _error(429, words, "insufficient_quota", "insufficient_quota", again)
        case "server_error":
            return _error(500, "The server had an error while processing your request.", "server_error", None)
        case "unavailable":
            return _error(503, "That model is currently overloaded with other requests.", "server_error", None, again)
        case "hang":
            return _error(504, "The upstream server did not answer in time.", "server_error", None)
        case "html":
            return OutageAnswer(200, HTML, "text/html")
        case "overflow":
            return OutageAnswer(400, orjson.dumps(_overflow(_words(fault, who))))
        case _:
            return None


def spoilt(fault: Fault, body: bytes) -> OutageAnswer:
    """A model's answer that does not arrive as it was made: half of it, in whole or with the rest still announced."""
    half = len(body) // 2
    return OutageAnswer(200, body, sent=half) if fault.kind == "dropped" else OutageAnswer(200, body[:half])


def _words(fault: Fault, who: str) -> Words:
    options: tuple[Words, ...] = ("openai", "vllm", "llama.cpp")
    return fault.words or options[pick(len(options), fault.seed, who)]


def _overflow(words: Words) -> dict[str, Any]:
    over = WINDOW + 1_000
    match words:
        case "openai":
            message = (
                f"This model's maximum context length is {WINDOW} tokens. However, your messages resulted in {over} "
                "tokens. Please reduce the length of the messages."
            )
            return _object(message, "invalid_request_error", "context_length_exceeded", "messages")
        case "vllm":
            message = (
                f"This model's maximum context length is {WINDOW} tokens. However, you requested {over} tokens "
                f"({over - 200} in the messages, 200 in the completion). Please reduce the length of the messages or "
                "completion."
            )
            return {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}
        case "llama.cpp":
            message = f"request ({over} tokens) exceeds the available context size ({WINDOW} tokens), try increasing it"
            known = {"n_prompt_tokens": over, "n_ctx": WINDOW}
            return {"error": {"code": 400, "message": message, "type": "exceed_context_size_error"} | known}


def _error(
    status: int, message: str, type_: str, code: str | None, headers: dict[str, str] | None = None
) -> OutageAnswer:
    return OutageAnswer(status, orjson.dumps(_object(message, type_, code)), headers=headers or {})


def _object(message: str, type_: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}
