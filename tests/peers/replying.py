"""Habits of replying: what the model says, and how its server renders it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.peers import refusing, wire
from tests.peers.habit import CHAT, STREAMED, Form, Habit, Refusal
from tests.peers.refusing import KEY_CHANGES_AT
from tests.peers.talk import Ask, Reply

Json = dict[str, Any]
Renders = Callable[[Ask, Json], Json | Refusal]

ODD_NAMES = ("functions.{}", "{}<|channel|>commentary", "")


def _message(answer: Json) -> Json:
    found: Json = answer["choices"][0]["message"]
    return found


def _calls(answer: Json) -> list[Json]:
    """The calls of an answer, of either API."""
    if "choices" in answer:
        return list(_message(answer).get("tool_calls") or ())
    return [item for item in answer["output"] if item["type"] == "function_call"]


def _renamed(ask: Ask, reply: Reply, name: str) -> Reply:
    if not reply.calls or not ask.number:
        return reply
    first = replace(reply.calls[0], name=name.format(reply.calls[0].name))
    return replace(reply, calls=(first, *reply.calls[1:]))


def odd_name(ask: Ask, reply: Reply) -> Reply:
    return _renamed(ask, reply, ODD_NAMES[ask.number // 5 % 3]) if ask.every(5) else reply


def harmony_name(ask: Ask, reply: Reply) -> Reply:
    return _renamed(ask, reply, ODD_NAMES[1]) if ask.every(4) else reply


def silent(ask: Ask, reply: Reply) -> Reply:
    return replace(reply, text="", calls=()) if ask.every(6) and ask.tools else reply


def half_a_letter(ask: Ask, reply: Reply) -> Reply:
    return replace(reply, text="I go on \ud83d") if ask.every(6) else reply


def thinking(ask: Ask, answer: Json) -> Json:
    _message(answer)["reasoning_content"] = "I think."
    return answer


def thinking_nothing(ask: Ask, answer: Json) -> Json:
    _message(answer)["reasoning_content"] = "" if ask.every(3) else "I think."
    return answer


def signed(ask: Ask, answer: Json) -> Json:
    for call in _calls(answer)[:1]:
        call["extra_content"] = {"google": {"thought_signature": "c2ln" * 8}}
    return answer


def short_ids(ask: Ask, answer: Json) -> Json:
    for number, call in enumerate(_calls(answer)):
        call["call_id" if "call_id" in call else "id"] = f"{answer['id'][-8:]}{number}"
    return answer


def same_ids(ask: Ask, answer: Json) -> Json:
    for call in _calls(answer):
        call["call_id" if "call_id" in call else "id"] = "call_0"
    return answer


def objects(ask: Ask, answer: Json) -> Json:
    for call in _calls(answer):
        if "function" in call:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
            call["index"] = None
            del call["id"], call["type"]
        else:
            call["arguments"] = json.loads(call["arguments"])
    return answer


def in_two_choices(ask: Ask, answer: Json) -> Json:
    choice, message = answer["choices"][0], _message(answer)
    if calls := message.pop("tool_calls", None):
        second = {"index": 1, "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": calls}}
        answer["choices"] = [choice, second]
    return answer


def in_parts(ask: Ask, answer: Json) -> Json:
    message = _message(answer)
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    message["content"] = [thought, {"type": "text", "text": message["content"] or "I go on."}]
    return answer


def counted(usage: Callable[[int], Json | None]) -> Renders:
    """Answers with these counts of tokens."""

    def render(ask: Ask, answer: Json) -> Json:
        answer["usage"] = usage(ask.size // 4)
        return answer

    return render


def _zero(_: int) -> Json:
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens")
    return dict.fromkeys(names, 0)


def _beside(given: int) -> Json:
    cached = given - given // 10
    return {
        "prompt_tokens": given // 10,
        "completion_tokens": 5,
        "total_tokens": given,
        "prompt_tokens_details": {"cached_tokens": cached},
        "cache_read_input_tokens": cached,
    }


def failing_whole(ask: Ask, answer: Json) -> Json | Refusal:
    if not ask.every(3):
        return answer
    return Refusal(200, {"error": {"code": 502, "message": "Provider returned error"}, "user_id": "u"})


def failing_choice(ask: Ask, answer: Json) -> Json:
    if ask.every(3):
        wrong = {"code": 502, "message": "Upstream idle timeout exceeded"}
        said = {"role": "assistant", "content": "I wi"}
        answer["choices"] = [{"index": 0, "finish_reason": "error", "message": said, "error": wrong}]
    return answer


def thought(ask: Ask, answer: Json, *, sealed: str = "") -> Json:
    item = {"type": "reasoning", "id": f"rs_{answer['id'][5:]}", "summary": []}
    answer["output"].insert(0, item | ({"encrypted_content": sealed} if sealed else {}))
    return answer


def sealed_thought(ask: Ask, answer: Json) -> Json:
    return thought(ask, answer, sealed=("gB" if ask.number >= KEY_CHANGES_AT else "gA") + "x" * 40)


def broken_off(ask: Ask, answer: Json) -> Iterator[bytes | None]:
    events = list(wire.events(ask, answer))
    yield from (events[: len(events) // 2] if ask.every(4) else events)
    if ask.every(4):
        yield None


def overloaded(ask: Ask, answer: Json) -> Iterator[bytes | None]:
    events = list(wire.events(ask, answer))
    yield from (events[:2] if ask.every(4) else events)
    if ask.every(4) and ask.api == "chat":
        yield wire.event({"error": {"message": "The server had an error.", "type": "server_error", "code": None}})
    elif ask.every(4):
        told = {"code": "server_is_overloaded", "message": "Our servers are currently overloaded."}
        yield wire.event({"type": "error", "sequence_number": 3, **told}, "error")


def provider_gone(ask: Ask, answer: Json) -> Iterator[bytes | None]:
    yield from [b": OPENROUTER PROCESSING\n\n"] * 3
    events = list(wire.events(ask, answer))
    yield from (events[:3] if ask.every(3) else events)
    if ask.every(3):
        told = {"code": "server_error", "message": "Provider disconnected unexpectedly"}
        yield wire.chunk(answer, {"content": ""}, "error", error=told)


def items_alone(ask: Ask, answer: Json) -> Iterator[bytes | None]:
    yield from wire.responses_events(answer, ends_empty=True)


def torn_letters(ask: Ask, answer: Json) -> Iterator[bytes | None]:
    if ask.api == "responses":
        yield from wire.responses_events(answer)
        return
    yield wire.chunk(answer, {"role": "assistant", "content": "Now \ud83d"})
    yield wire.chunk(answer, {"content": "\ude00 I go on."})
    for number, call in enumerate(_calls(answer)):
        function = call["function"]
        yield wire.chunk(answer, {"tool_calls": [call | {"index": number, "function": function | {"arguments": ""}}]})
        for part in wire.halves(function["arguments"]):
            yield wire.chunk(answer, {"tool_calls": [{"index": number, "function": {"arguments": part}}]})
    yield wire.chunk(answer, {}, answer["choices"][0]["finish_reason"], usage=answer["usage"])
    yield wire.event("[DONE]")


_CHAT_STREAM: tuple[Form, ...] = ("chat, streamed",)
_RESPONSE_STREAM: tuple[Form, ...] = ("responses, streamed",)

HABITS = (
    Habit("or_err200", "OpenRouter: an error with status 200", renders=failing_whole),
    Habit("or_choice_err", "OpenRouter: an error in the choice", CHAT, renders=failing_choice),
    Habit("or_mid_stream", "OpenRouter: comments, and an error at the end", _CHAT_STREAM, sends=provider_gone),
    Habit("cut_stream", "any: the connection is lost", STREAMED, sends=broken_off),
    Habit("overloaded_stream", "OpenAI, Azure", STREAMED, sends=overloaded),
    Habit("completed_empty", "Codex's back end, gateways: items alone", _RESPONSE_STREAM, sends=items_alone),
    Habit("args_object", "older gateways: arguments as an object, no id", renders=objects),
    Habit("same_id", "older proxies: each call has one id", renders=same_ids),
    Habit("copilot_split", "GitHub Copilot: calls in a second choice", CHAT, renders=in_two_choices),
    Habit("usage_zero", "some gateways", renders=counted(_zero)),
    Habit("usage_none", "some gateways", renders=counted(lambda _: None)),
    Habit("cached_apart", "gateways before Anthropic: cached tokens beside the others", CHAT, renders=counted(_beside)),
    Habit("content_parts", "Mistral's models that think: content as parts", CHAT, renders=in_parts),
    Habit("lone_surrogate", "any: a text cut within an emoji", says=half_a_letter),
    Habit("split_surrogates", "gateways in JavaScript", _CHAT_STREAM, sends=torn_letters),
    Habit("harmony_name", "gpt-oss: the channel leaks into the name", says=harmony_name),
)
"""Those that refuse nothing."""

_SAYS = {"empty_refused": silent, "bad_name": odd_name}
_RENDERS: dict[str, Renders] = {
    "gemini_errors": signed,
    "gemini_signatures": signed,
    "mistral": short_ids,
    "deepseek": thinking,
    "deepseek_empty": thinking_nothing,
    "no_include": thought,
    "enc_invalid": sealed_thought,
}
REFUSING = tuple(
    replace(habit, says=_SAYS.get(habit.name), renders=_RENDERS.get(habit.name)) for habit in refusing.HABITS
)
"""The habits of refusing, with what their models say."""
