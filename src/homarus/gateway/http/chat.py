"""OpenAI's chat completions: `POST /v1/chat/completions` (gateway contract, 14.2)."""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.flows import answering
from homarus.flows.answering import Answer, Request
from homarus.gateway.http import asking
from homarus.gateway.http.asking import Envelope
from homarus.gateway.http.content import parts_of, text_of, text_part
from homarus.gateway.http.faults import Fault
from homarus.gateway.http.folding import Asked, Item, Line, Output, as_json, fold
from homarus.gateway.http.progress import Said, Settled, Step, Waiting
from homarus.gateway.http.sse import DONE, event, waiting

MISSING: Final = "Missing user message in `messages`"
HEAVY: Final = ("messages", "tools", "metadata")
"""What of a body is not kept while its answer is waited for."""
BETWEEN: Final = "\n\n"
"""Between the texts of one turn: what it says before it uses its tools, and after."""
_RULES: Final = ("system", "developer")
_PLAIN: Final = (None, {"type": "text"})
Doc = dict[str, Any]


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What OpenAI documents. Hints that an agent's model is not given change nothing; what would
    change the form of the answer (`n`, `response_format`, `logprobs`, audio) is refused."""

    model: asking.Text
    messages: list[dict[str, Any]]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: asking.Tokens | None = None
    max_completion_tokens: asking.Tokens | None = None
    temperature: asking.Warmth | None = None
    top_p: asking.Share | None = None
    user: asking.Text | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    n: int | None = None
    response_format: Any = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    audio: Any = None
    frequency_penalty: float | None = None
    logit_bias: Any = None
    metadata: Any = None
    parallel_tool_calls: bool | None = None
    prediction: Any = None
    presence_penalty: float | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: Any = None
    store: bool | None = None
    top_logprobs: int | None = None
    verbosity: str | None = None
    web_search_options: Any = None


# -- what is asked -------------------------------------------------------------------------


def request(body: Body, about: Envelope) -> Request:
    """Raises `request.*`."""
    _check(body)
    rules, items = _items(body.messages)
    folded = fold(items, MISSING)
    return Request(
        api=answering.CHAT,
        text=folded.text,
        agent=about.agent or asking.agent_of(body.model),
        key=about.key,
        session=about.session,
        user=asking.user_part(body.user),
        content=folded.content,
        history=folded.history,
        results=folded.results,
        options=asking.options(
            instructions=rules, tools=_flat(body.tools), choice=body.tool_choice,
            tokens=body.max_completion_tokens or body.max_tokens, warmth=body.temperature,
        ),
        model=about.model,
    )  # fmt: skip


def _check(body: Body) -> None:
    refused = {
        "n": body.n not in (None, 1),
        "response_format": body.response_format not in _PLAIN,
        "logprobs": bool(body.logprobs),
        "modalities": body.modalities not in (None, ["text"]),
        "audio": body.audio is not None,
    }
    for name, is_wrong in refused.items():
        if is_wrong:
            raise Invalid("request.unsupported", f"`{name}` is not offered", "Leave it out.")


def _flat(tools: list[Any] | None) -> list[Any] | None:
    """Declarations in the form that both APIs share here."""
    if tools is None:
        return None
    return [
        {"type": tool.get("type"), **tool["function"]}
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
        else {"type": None}
        for tool in tools
    ]


def _items(messages: list[Doc]) -> tuple[list[str], list[Item]]:
    rules: list[str] = []
    items: list[Item] = []
    for n, message in enumerate(messages):
        where = f"messages[{n}]"
        role = message.get("role")
        parts = parts_of(message.get("content"), f"{where}.content")
        if role in _RULES:
            rules.append(text_of(parts))
        elif role == "user":
            items.append(Line("user", parts))
        elif role == "assistant":
            items += [Line("assistant", parts)] if parts else []
            items += _calls(message.get("tool_calls"), where)
        elif role == "tool" and isinstance(message.get("tool_call_id"), str):
            items.append(Output(message["tool_call_id"], parts or (text_part(""),)))
        else:
            raise Invalid(
                "request.messages", f"`{where}` has the role {str(role)[:40]!r}, or lacks its id",
                "Roles are system, developer, user, assistant, and tool with `tool_call_id`.",
            )  # fmt: skip
    return rules, items


def _calls(calls: Any, where: str) -> list[Item]:
    found: list[Item] = []
    for call in calls or ():
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(call.get("id"), str):
            raise Invalid("request.messages", f"`{where}.tool_calls` is unusable",
                          "Repeat the calls as they were given.")  # fmt: skip
        name = str(function.get("name"))
        found.append(Asked(call["id"], name, as_json(function.get("arguments") or "{}")))
    return found


# -- what is answered ----------------------------------------------------------------------


def reply(body: Body, answer: Answer) -> Doc:
    text = BETWEEN.join(words.text for words in answer.said if words.text.strip())
    message: Doc = {"role": "assistant", "content": text}
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
    whole = _head(body, answer.turn.id, answer.turn.created_ms, "chat.completion")
    choice = {"index": 0, "message": message, "finish_reason": _finish(answer)}
    return whole | {"choices": [choice], "usage": usage(answer)}


def failure(body: Body, turn: str, created_ms: int, fault: Fault) -> Doc:
    _ = body, turn, created_ms
    return fault.body()


def _head(body: Body, turn: str, created_ms: int, kind: str) -> Doc:
    return {
        "id": f"chatcmpl_{turn}", "object": kind, "created": created_ms // 1_000,
        "model": body.model,
    }  # fmt: skip


def _finish(answer: Answer) -> str:
    if answer.calls:
        return "tool_calls"
    return "length" if answer.stop == "length" else "stop"


def _call(call: dict[str, str]) -> Doc:
    return {"id": call["id"], "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"] or "{}"}}  # fmt: skip


def usage(answer: Answer) -> Doc:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
    }


# -- and as a stream -----------------------------------------------------------------------


class Stream:
    """The chunks of one completion. Texts of one turn follow each other with a blank line."""

    def __init__(self, body: Body, turn: str, created_ms: int) -> None:
        self._body = body
        self._head = _head(body, turn, created_ms, "chat.completion.chunk")
        self._said = False
        self._call = 0

    def _chunk(self, delta: Doc, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event(self._head | {"choices": [choice]})

    def begin(self) -> list[bytes]:
        return [self._chunk({"role": "assistant"})]

    def step(self, step: Step) -> list[bytes]:
        match step:
            case Said(call=call, text=text):
                between = BETWEEN if self._said and call != self._call else ""
                self._said, self._call = True, call
                return [self._chunk({"content": between + text})]
            case Settled():
                return []
            case Waiting(approvals=approvals):
                return [waiting(approvals)]
            case Answer():
                return self._end(step)

    def fail(self, fault: Fault) -> list[bytes]:
        return [event(fault.body()), DONE]

    def _end(self, answer: Answer) -> list[bytes]:
        told: list[bytes] = []
        for n, call in enumerate(answer.calls):
            whole = _call(call)
            arguments = whole["function"]["arguments"]
            begun = whole | {"index": n, "function": {"name": call["name"], "arguments": ""}}
            told.append(self._chunk({"tool_calls": [begun]}))
            rest = {"index": n, "function": {"arguments": arguments}}
            told.append(self._chunk({"tool_calls": [rest]}))
        told.append(self._chunk({}, _finish(answer)))
        options = self._body.stream_options
        if options is not None and options.include_usage:
            told.append(event(self._head | {"choices": [], "usage": usage(answer)}))
        return [*told, DONE]
