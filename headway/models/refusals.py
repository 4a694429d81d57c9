"""The table of refusals: servers' words, and their kind of failure. The first row that fits decides.

Servers that speak an API of others agree on few codes. A row holds the facts about one kind: HTTP statuses, names
(`code`, `type` or Gemini's `status` of the error) and words, each with the servers that use them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from headway.models.editing import PATCH_TOOL
from headway.models.retry_after import reset_in

MAX_SERVER_WORDS = 500
MAX_WORDS_READ = 10_000
"""Characters of a server's words that are searched: each pattern looks at up to 80 of them at every one."""

Refusal = Literal[
    "quota",  # nothing left to spend
    "overflow",  # the request is longer than the window
    "blocked",  # the server does not take this text
    "chance",  # a generation that came to nothing: the next one may be good
    "thoughts",  # reasoning of earlier replies that this server cannot read
    "key",
    "key or request",  # either the key, or the text of the request
    "tools",  # the server was started without tools
    "api",  # the model is served by the other API
    "no api",  # another program than a model's server
    "model",
    "rate",
    "failing",  # the server, now
    "passing",  # the connection, now
    "request",  # something in it that is not taken
]

UNTOLD = 0
"""The status of an error that came with a 200 and names none."""


class Rule(NamedTuple):
    """A row. It fits where one of its names or its words fit, or its status where it has neither.

    Attributes:
        source: Servers and documents that it was read from.
        statuses: Statuses at which names and words are believed; empty for every status. Without names and words, the
            statuses decide.
        lasting: A refusal that names its own end is another kind.
    """

    kind: Refusal
    source: str
    statuses: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()
    words: "re.Pattern[str] | None" = None
    lasting: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _words(*patterns: str) -> "re.Pattern[str]":
    return re.compile("|".join(patterns), re.IGNORECASE)


_TOO_LONG = frozenset({UNTOLD, *range(400, 501)} - {401, 403})
_UNSURE = frozenset({UNTOLD, 400, 422, 500})

RULES: tuple[Rule, ...] = (
    Rule(
        "quota",
        "OpenAI, Azure; DeepSeek, OpenRouter 402",
        names=_names("insufficient_quota billing_hard_limit_reached billing_not_active insufficient_credits"),
    ),
    Rule("quota", "RFC 9110", frozenset({402})),
    Rule(
        "overflow",
        "OpenAI, Groq, Cerebras; llama.cpp; GitHub Copilot; z.ai; Zhipu 1261; Anthropic",
        names=_names(
            "context_length_exceeded exceed_context_size_error string_above_max_length 1261"
            " model_max_prompt_tokens_exceeded model_context_window_exceeded request_too_large"
        ),
    ),
    Rule("overflow", "RFC 9110; nginx before a server", frozenset({413})),
    Rule(
        "overflow",
        "each line names its servers",
        _TOO_LONG,
        words=_words(
            r"(maximum|max) (context|model|sequence) (length|window)",  # OpenAI, vLLM, SGLang, DeepSeek, OpenRouter
            r"context[^.]{0,60}exceed|exceed[^.]{0,60}context",  # OpenAI, llama.cpp, Anthropic, MiniMax, LM Studio
            r"(longer|greater|larger) than (the )?[^.]{0,30}(context|input|prompt)",  # Together, SGLang, LM Studio
            r"prompt (is )?too (long|large)|input (is )?too (long|large)|prompt exceeds",  # Anthropic, Bedrock, GLM
            r"maximum (prompt|input|allowed input) length",  # xAI, DeepInfra, Poolside
            r"input token count[^.]{0,40}exceed|input tokens exceed|exceed[^.]{0,40}token limit",  # Gemini, Kimi
            r"prompt token count of [^.]{0,40}exceeds|token limit exceeded|tokens in the prompt",  # Copilot, Cohere
            r"range of input length|total message[^.]{0,20}exceed|input length[^.]{0,40}exceed",  # Qwen, DashScope
            r"`?inputs`? (must have less than|tokens \+)",  # TGI, and Together for some models
            r"context (size|length|the) (of|overflows)|reached context length|context overflow",  # LM Studio
            r"too large for model|request too large",  # Mistral, Groq, OpenAI of the tokens a minute
            r"reduce (the length of )?(the |your )?(messages|input|prompt|context)",  # Groq, Cerebras, OpenRouter
        ),
    ),
    Rule(
        "blocked",
        "OpenAI, Azure; Alibaba",
        names=_names(
            "content_filter content_policy_violation moderation_blocked invalid_prompt cyber_policy_violation"
            " ResponsibleAIPolicyViolation data_inspection_failed DataInspectionFailed"
        ),
    ),
    Rule(
        "blocked",
        "OpenRouter (metadata.reasons), Azure, Vertex, Alibaba",
        frozenset({UNTOLD, 400, 403, 422, 451}),
        words=_words(
            r"(input|prompt|request|content)[^.]{0,40}\bflagged|requires moderation|content management policy",
            r"content policy|inappropriate content|responsible ai",
        ),
    ),
    Rule(
        "chance",
        "Groq",
        names=_names("tool_use_failed output_parse_failed"),
    ),
    Rule("chance", "Groq; llama.cpp", _UNSURE, words=_words(r"failed_generation|failed to parse input at pos")),
    Rule("thoughts", "OpenAI, of another account or region", names=_names("invalid_encrypted_content")),
    Rule(
        "thoughts",
        "OpenAI, Azure, with store=false",
        frozenset({400, 404}),
        words=_words(
            r"item with id 'rs_|encrypted content[^.]{0,80}could not be (verified|decrypted)",
            r"without its required (following|'reasoning') item",
        ),
    ),
    Rule("model", "OpenAI, Azure", names=_names("model_not_found DeploymentNotFound")),
    Rule("key", "all; LiteLLM without a database", names=_names("invalid_api_key no_db_connection API_KEY_INVALID")),
    Rule("key", "RFC 9110", frozenset({401})),
    Rule(
        "key",
        "Gemini, xAI, LiteLLM",
        frozenset({UNTOLD, 400}),
        words=_words(r"api key not valid|(incorrect|invalid) api key|no connected db"),
    ),
    Rule("key or request", "RFC 9110; OpenRouter, firewalls", frozenset({403})),
    Rule(
        "tools",
        "vLLM, llama.cpp, Ollama, OpenRouter",
        frozenset({UNTOLD, *range(400, 600)}),
        words=_words(
            r"--enable-auto-tool-choice|--tool-call-parser|requires --jinja|does not support (tools|function)",
            r"support tool use|tools? (is|are) not supported",
        ),
    ),
    Rule("api", "OpenAI, of newer models on Chat Completions", frozenset({400}), words=_words(r"/v1/responses")),
    Rule("no api", "RFC 9110", frozenset({405})),
    Rule(
        "no api",
        "LM Studio, of an address without /v1",
        frozenset({UNTOLD}),
        words=_words(r"unexpected endpoint or method"),
    ),
    Rule(
        "request",
        "llama.cpp, of a template that does not take the order of messages",
        frozenset({500}),
        words=_words(r"jinja exception|must alternate"),
    ),
    Rule("model", "RFC 9110", frozenset({404})),
    Rule(
        "model",
        "OpenRouter, LiteLLM, vLLM",
        frozenset({UNTOLD, 400}),
        words=re.compile(
            r"model\b.{0,80}\b(not found|does not exist|not a valid model)|not a valid model|invalid model name",
            re.IGNORECASE | re.DOTALL,
        ),
    ),
    Rule(
        "quota",
        "LiteLLM, Anthropic, OpenAI; Gemini says it of each minute too, and names the end of that",
        frozenset({UNTOLD, 400, 429}),
        words=_words(
            r"exceeded your current quota|insufficient (balance|credits|funds|quota)|credit balance is too low"
        ),
        lasting=True,
    ),
    Rule(
        "rate",
        "OpenAI, Azure, LiteLLM, Gemini, Bedrock, Anthropic",
        names=_names(
            "rate_limit_exceeded rate_limit_error too_many_requests throttling_error RESOURCE_EXHAUSTED"
            " ThrottlingException"
        ),
    ),
    Rule("rate", "RFC 6585", frozenset({429})),
    Rule("passing", "RFC 9110, 8470; 421, 499: proxies that lost a connection", frozenset({408, 409, 421, 425, 499})),
    Rule("failing", "RFC 9110; 529 Anthropic; 520 to 530 Cloudflare", frozenset(range(500, 600))),
    Rule(
        "request",
        "OpenAI, and all that follow it",
        names=_names(
            "invalid_request_error unsupported_parameter unsupported_value unknown_parameter invalid_value"
            " invalid_type missing_required_parameter INVALID_ARGUMENT"
        ),
    ),
    # OpenAI's `server_is_overloaded` and `slow_down`, LiteLLM's "500", texts alone: the request was taken before.
    Rule("failing", "an error in a 200 that nothing else is known of", frozenset({UNTOLD})),
)
"""In the order in which they are asked: rows with names come before rows with only words or a status."""


@dataclass(frozen=True, slots=True)
class Told:
    """An error as a server told it, whatever the form.

    Attributes:
        status: Of HTTP, or as the error names it; `UNTOLD` where neither says.
        param: The parameter that the server calls wrong.
        reset_s: Seconds until it wants to be asked again.
    """

    status: int
    names: frozenset[str]
    words: str
    param: str = ""
    reset_s: float | None = None

    @property
    def kind(self) -> Refusal:
        """The first row that fits."""
        for rule in RULES:
            if self._fits(rule):
                return rule.kind
        return "request"

    def _fits(self, rule: Rule) -> bool:
        if (rule.statuses and self.status not in rule.statuses) or (rule.lasting and self.reset_s is not None):
            return False
        if rule.words is not None and rule.words.search(self.words):
            # A tool of the API that a server lacks is offered as a function from then on: that is no reason to wait.
            return rule.kind != "tools" or PATCH_TOOL not in self.words
        return bool(rule.names & self.names) or (rule.words is None and not rule.names)


def told_in(status: int, body: Any, headers: Mapping[str, str], otherwise: str = "") -> Told:
    """An error's parts. `body` is an object, a list (Gemini), or a text; the error may lie in it or be all of it."""
    fields = _fields_of(body)
    names = frozenset(filter(None, (plain(fields.get(name)) for name in ("code", "type", "status"))))
    words = _words_of(fields, body, otherwise)[:MAX_WORDS_READ]
    named = next((int(name) for name in names if name.isdecimal() and len(name) == 3), UNTOLD)  # noqa: PLR2004
    error = 400
    return Told(
        status=status if status >= error else named if named >= error else UNTOLD,
        names=names,
        words=words,
        param=plain(fields.get("param")),
        reset_s=reset_in(headers, words=words, details=fields.get("details")),
    )


def plain(value: object) -> str:
    """A word or number of a server; empty where it sends a structure in its place."""
    return str(value)[:MAX_SERVER_WORDS] if isinstance(value, str | int | float) and value else ""


def _fields_of(body: Any) -> dict[str, Any]:
    """The fields of the error itself."""
    for _ in range(3):
        if isinstance(body, list) and body:
            body = body[0]
        elif isinstance(body, dict) and isinstance(body.get("error"), dict | list) and body["error"]:
            body = body["error"]
    return body if isinstance(body, dict) else {}


def _words_of(fields: dict[str, Any], body: Any, otherwise: str) -> str:
    message = fields.get("message") or fields.get("error")
    if isinstance(message, str) and message:
        more = fields.get("metadata")
        # OpenRouter hands on the words of its upstream.
        raw = more.get("raw") if isinstance(more, dict) else None
        return f"{message} ({raw})" if isinstance(raw, str) and raw else message
    if isinstance(body, str) and body:
        return body
    # Servers built on pydantic put a list of complaints below `detail`, others something of their own.
    try:
        return orjson.dumps(fields).decode() if fields else otherwise
    except (orjson.JSONEncodeError, RecursionError):  # nested too deeply, or half a surrogate pair
        return otherwise
