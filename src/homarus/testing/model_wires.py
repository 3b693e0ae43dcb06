"""Three wires as a provider speaks them: what a request says, and an answer's JSON and events.

Shapes as the providers document them (chat completions, responses, messages). Everything is
deterministic: ids count, times stand still. A wire is strict about what the real ones refuse (names
of tools, results without a call), so that a client that passes here passes there.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec

from homarus.testing.model_script import Answer, Call, Refuse, Say, Seen, Think

CREATED: Final = 1_767_225_600
PIECE_CHARS: Final = 8
TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")

Json = dict[str, Any]


class Bad(Exception):
    """The request is not one that a provider takes."""


class Wire(Protocol):
    """`frames` ends before the closing ones when `open_end`."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...

    def read(self, body: Json) -> tuple[str, str, tuple[str, ...]]:
        """System text, last text, names of tools. Raises `Bad`."""
        ...

    def whole(self, answer: Answer, usage: tuple[int, int], seen: Seen, n: int) -> Json: ...

    def frames(
        self, answer: Answer, usage: tuple[int, int], seen: Seen, n: int, *, open_end: bool = False
    ) -> Iterator[bytes]: ...

    def error(self, status: int, message: str, code: str | None) -> Json: ...

    def error_frame(self, status: int, message: str, code: str | None) -> bytes: ...

    def overflow(self) -> tuple[str, str | None]:
        """Message and code of a prompt that does not fit."""
        ...


def pieces(text: str) -> list[str]:
    return [text[i : i + PIECE_CHARS] for i in range(0, len(text), PIECE_CHARS)]


def data(value: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    head = b"" if event is None else f"event: {event}\n".encode()
    return head + b"data: " + msgspec.json.encode(value) + b"\n\n"


def call_id(call: Call, n: int, i: int) -> str:
    return call.id or f"call_{n}_{i}"


def stop_of(answer: Answer, *, calls: str, stop: str, length: str) -> str:
    """Why it ended, in a wire's own words."""
    if any(isinstance(part, Call) for part in answer.parts):
        return calls
    cut = any(isinstance(part, Say) and part.stop == "length" for part in answer.parts)
    return length if cut else stop


def thinking_tokens(answer: Answer) -> int:
    return sum(len(part.text) // 4 for part in answer.parts if isinstance(part, Think))


def said(content: Any) -> str:
    """The text of a message's content, in any of the shapes."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def named(tools: Sequence[Json]) -> tuple[str, ...]:
    """Raises `Bad` for a name that providers refuse."""
    names = tuple(str(tool.get("name")) for tool in tools)
    for name in names:
        if not TOOL_NAME.fullmatch(name):
            raise Bad(f"Invalid tool name {name!r}: must match {TOOL_NAME.pattern}")
    return names


def paired(asked: Sequence[str], answered: Sequence[str]) -> None:
    """Raises `Bad` unless every call has its result and every result its call."""
    for ref in asked:
        if ref not in answered:
            raise Bad(f"No tool output found for function call {ref}")
    for ref in answered:
        if ref not in asked:
            raise Bad(f"No tool call found for function call output {ref}")


# -- chat completions ----------------------------------------------------------------------


class Chat:
    name: Final = "openai"
    path: Final = "/v1/chat/completions"

    def read(self, body: Json) -> tuple[str, str, tuple[str, ...]]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Bad("'messages' is a required property")
        system = [said(m.get("content")) for m in messages if m["role"] in ("system", "developer")]
        asked = [c["id"] for m in messages for c in m.get("tool_calls") or ()]
        for call in (c for m in messages for c in m.get("tool_calls") or ()):
            # Servers that render a chat template read the arguments of old calls.
            msgspec.json.decode(call["function"]["arguments"], type=dict)
        paired(asked, [m["tool_call_id"] for m in messages if m["role"] == "tool"])
        tools = named([tool.get("function", {}) for tool in body.get("tools") or ()])
        return "\n".join(system), said(messages[-1].get("content")), tools

    def whole(self, answer: Answer, usage: tuple[int, int], seen: Seen, n: int) -> Json:
        message: Json = {"role": "assistant", "content": None}
        calls: list[Json] = []
        for i, part in enumerate(answer.parts):
            match part:
                case Say():
                    message["content"] = (message["content"] or "") + part.text
                case Think():
                    message["reasoning_content"] = part.text
                case Refuse():
                    message["refusal"] = part.text
                case Call():
                    calls.append(self._call(part, n, i))
        if calls:
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _chat_stop(answer),
        }
        return self._envelope("chat.completion", seen, n) | {
            "choices": [choice], "usage": self._usage(answer, usage),
        }  # fmt: skip

    def frames(
        self, answer: Answer, usage: tuple[int, int], seen: Seen, n: int, *, open_end: bool = False
    ) -> Iterator[bytes]:
        yield self._chunk(seen, n, {"role": "assistant", "content": ""})
        index = 0
        for i, part in enumerate(answer.parts):
            if isinstance(part, Call):
                head = self._call(part, n, i) | {"index": index}
                head["function"] = {"name": part.name, "arguments": ""}
                yield self._chunk(seen, n, {"tool_calls": [head]})
                for piece in pieces(part.text):
                    more = {"index": index, "function": {"arguments": piece}}
                    yield self._chunk(seen, n, {"tool_calls": [more]})
                index += 1
                continue
            field = {Say: "content", Think: "reasoning_content", Refuse: "refusal"}[type(part)]
            for piece in pieces(part.text):
                yield self._chunk(seen, n, {field: piece})
        if open_end:
            return
        yield self._chunk(seen, n, {}, _chat_stop(answer))
        if (seen.body.get("stream_options") or {}).get("include_usage"):
            last = self._envelope("chat.completion.chunk", seen, n)
            yield data(last | {"choices": [], "usage": self._usage(answer, usage)})
        yield b"data: [DONE]\n\n"

    def error(self, status: int, message: str, code: str | None) -> Json:
        kind = {
            401: "authentication_error", 403: "permission_error", 429: "rate_limit_error",
            529: "overloaded_error",
        }  # fmt: skip
        type_ = kind.get(status, "server_error" if status >= 500 else "invalid_request_error")
        return {"error": {"message": message, "type": type_, "param": None, "code": code}}

    def error_frame(self, status: int, message: str, code: str | None) -> bytes:
        return data(self.error(status, message, code))

    def overflow(self) -> tuple[str, str | None]:
        text = (
            "This model's maximum context length is 8192 tokens. However, your messages resulted "
            "in 9001 tokens. Please reduce the length of the messages."
        )
        return text, "context_length_exceeded"

    def _envelope(self, kind: str, seen: Seen, n: int) -> Json:
        return {"id": f"chatcmpl-{n}", "object": kind, "created": CREATED, "model": seen.model}

    def _chunk(self, seen: Seen, n: int, delta: Json, stop: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": stop}
        return data(self._envelope("chat.completion.chunk", seen, n) | {"choices": [choice]})

    def _call(self, part: Call, n: int, i: int) -> Json:
        function = {"name": part.name, "arguments": part.text}
        return {"id": call_id(part, n, i), "type": "function", "function": function}

    def _usage(self, answer: Answer, usage: tuple[int, int]) -> Json:
        return {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[1],
            "total_tokens": sum(usage),
            "prompt_tokens_details": {"cached_tokens": answer.cached},
            "completion_tokens_details": {"reasoning_tokens": thinking_tokens(answer)},
        }


def _chat_stop(answer: Answer) -> str:
    return stop_of(answer, calls="tool_calls", stop="stop", length="length")


def _object(text: str) -> Json:
    """Arguments as an object; what is none, as one that holds the text."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = None
    return value if isinstance(value, dict) else {"text": text}


# -- responses -----------------------------------------------------------------------------


class Responses:
    name: Final = "openai-responses"
    path: Final = "/v1/responses"
    _WORDS: Final[dict[Any, tuple[str, str, str, str]]] = {
        Say: ("output_text", "content_index", "content_part", "text"),
        Refuse: ("refusal", "content_index", "content_part", "refusal"),
        Think: ("reasoning_summary_text", "summary_index", "reasoning_summary_part", "text"),
    }

    def read(self, body: Json) -> tuple[str, str, tuple[str, ...]]:
        given = body.get("input")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if not isinstance(items, list) or not items:
            raise Bad("Missing required parameter: 'input'.")
        system = [said(i.get("content")) for i in items if i.get("role") in ("system", "developer")]
        asked = [i["call_id"] for i in items if i.get("type") == "function_call"]
        paired(asked, [i["call_id"] for i in items if i.get("type") == "function_call_output"])
        last = items[-1]
        text = said(last.get("output", last.get("content")))
        head = str(body.get("instructions") or "")
        return "\n".join(filter(None, [head, *system])), text, named(body.get("tools") or ())

    def whole(self, answer: Answer, usage: tuple[int, int], seen: Seen, n: int) -> Json:
        output = [self._item(part, n, i, done=True) for i, part in enumerate(answer.parts)]
        return self._response(seen, n, self._status(answer), output, answer, usage)

    def frames(
        self, answer: Answer, usage: tuple[int, int], seen: Seen, n: int, *, open_end: bool = False
    ) -> Iterator[bytes]:
        seq = 0

        def event(kind: str, **more: Any) -> bytes:
            nonlocal seq
            seq += 1
            return data({"type": kind, "sequence_number": seq - 1, **more}, kind)

        begun = self._response(seen, n, "in_progress", [], None, None)
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        for i, part in enumerate(answer.parts):
            at = {"output_index": i, "item_id": self._item(part, n, i, done=True)["id"]}
            yield event("response.output_item.added", output_index=i,
                        item=self._item(part, n, i, done=False))  # fmt: skip
            yield from self._part(part, at, event, open_end)
            if not open_end:
                yield event("response.output_item.done", output_index=i,
                            item=self._item(part, n, i, done=True))  # fmt: skip
        if open_end:
            return
        status = self._status(answer)
        yield event(f"response.{status}", response=self.whole(answer, usage, seen, n))

    def error(self, status: int, message: str, code: str | None) -> Json:
        return Chat().error(status, message, code)

    def error_frame(self, status: int, message: str, code: str | None) -> bytes:
        words = {
            429: "rate_limit_exceeded",
            503: "server_is_overloaded",
            529: "server_is_overloaded",
        }
        word = code or words.get(status, "server_error")
        return data(
            {
                "type": "error",
                "sequence_number": 99,
                "code": word,
                "message": message,
                "param": None,
            },
            "error",
        )

    def overflow(self) -> tuple[str, str | None]:
        text = (
            "Your input exceeds the context window of this model. Please adjust your input and try "
            "again."
        )
        return text, "context_length_exceeded"

    def _status(self, answer: Answer) -> str:
        return stop_of(answer, calls="completed", stop="completed", length="incomplete")

    def _part(self, part: Any, at: Json, event: Any, open_end: bool) -> Iterator[bytes]:
        if isinstance(part, Call):
            for piece in pieces(part.text):
                yield event("response.function_call_arguments.delta", **at, delta=piece)
            if not open_end:
                yield event("response.function_call_arguments.done", **at, name=part.name,
                            arguments=part.text)  # fmt: skip
            return
        kind, index, added, field = self._WORDS[type(part)]
        at = at | {index: 0}
        extra: Json = {"logprobs": []} if isinstance(part, Say) else {}
        yield event(f"response.{added}.added", **at, part=self._content(part, ""))
        for piece in pieces(part.text):
            yield event(f"response.{kind}.delta", **at, delta=piece, **extra)
        if open_end:
            return
        yield event(f"response.{kind}.done", **at, **{field: part.text}, **extra)
        yield event(f"response.{added}.done", **at, part=self._content(part, part.text))

    def _content(self, part: Any, text: str) -> Json:
        match part:
            case Think():
                return {"type": "summary_text", "text": text}
            case Refuse():
                return {"type": "refusal", "refusal": text}
            case _:
                return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _item(self, part: Any, n: int, i: int, *, done: bool) -> Json:
        status = "completed" if done else "in_progress"
        if isinstance(part, Call):
            return {
                "type": "function_call", "id": f"fc_{n}_{i}", "call_id": call_id(part, n, i),
                "name": part.name, "arguments": part.text if done else "", "status": status,
            }  # fmt: skip
        content = [self._content(part, part.text)] if done else []
        if isinstance(part, Think):
            sealed = f"sealed-{n}-{i}" if done else None
            return {"type": "reasoning", "id": f"rs_{n}_{i}", "summary": content,
                    "encrypted_content": sealed, "status": status}  # fmt: skip
        return {"type": "message", "id": f"msg_{n}_{i}", "role": "assistant", "status": status,
                "content": content}  # fmt: skip

    def _response(
        self, seen: Seen, n: int, status: str, output: list[Json], answer: Answer | None,
        usage: tuple[int, int] | None,
    ) -> Json:  # fmt: skip
        counted = None
        if usage is not None and answer is not None:
            counted = {
                "input_tokens": usage[0], "input_tokens_details": {"cached_tokens": answer.cached},
                "output_tokens": usage[1],
                "output_tokens_details": {"reasoning_tokens": thinking_tokens(answer)},
                "total_tokens": sum(usage),
            }  # fmt: skip
        incomplete = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": f"resp_{n}", "object": "response", "created_at": CREATED, "status": status,
            "model": seen.model, "output": output, "usage": counted, "error": None,
            "incomplete_details": incomplete, "instructions": None, "metadata": {},
            "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0, "tools": [],
            "tool_choice": "auto", "text": {"format": {"type": "text"}}, "truncation": "disabled",
            "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
            "store": False, "background": False, "max_output_tokens": None, "user": None,
        }  # fmt: skip


# -- messages ------------------------------------------------------------------------------


class Messages:
    name: Final = "anthropic"
    path: Final = "/v1/messages"

    def read(self, body: Json) -> tuple[str, str, tuple[str, ...]]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Bad("messages: at least one message is required")
        if not isinstance(body.get("max_tokens"), int):
            raise Bad("max_tokens: Field required")
        if messages[0]["role"] != "user":
            raise Bad("messages: first message must use the user role")
        self._check_turns(messages)
        last = messages[-1].get("content")
        text = last if isinstance(last, str) else ""
        for block in last if isinstance(last, list) else ():
            if block.get("type") in ("text", "tool_result"):
                text = block["text"] if block["type"] == "text" else said(block.get("content"))
        return said(body.get("system")), text, named(body.get("tools") or ())

    def _check_turns(self, messages: list[Json]) -> None:
        open_calls: list[str] = []
        for message in messages:
            content = message.get("content")
            blocks = content if isinstance(content, list) else []
            kinds = [block.get("type") for block in blocks]
            results = [b["tool_use_id"] for b in blocks if b.get("type") == "tool_result"]
            paired(open_calls, results)
            if results and "tool_result" in kinds[len(results) :]:
                raise Bad("tool_result blocks must come first")
            open_calls = [b["id"] for b in blocks if b.get("type") == "tool_use"]
        paired(open_calls, [])

    def whole(self, answer: Answer, usage: tuple[int, int], seen: Seen, n: int) -> Json:
        content = [self._block(part, n, i, done=True) for i, part in enumerate(answer.parts)]
        return self._message(seen, n, content, self._stop(answer), usage, answer.cached)

    def frames(
        self, answer: Answer, usage: tuple[int, int], seen: Seen, n: int, *, open_end: bool = False
    ) -> Iterator[bytes]:
        def event(kind: str, **more: Any) -> bytes:
            return data({"type": kind, **more}, kind)

        yield event(
            "message_start", message=self._message(seen, n, [], None, (usage[0], 1), answer.cached)
        )
        yield event("ping")
        for i, part in enumerate(answer.parts):
            block = self._block(part, n, i, done=False)
            yield event("content_block_start", index=i, content_block=block)
            for delta in self._deltas(part, n, i):
                yield event("content_block_delta", index=i, delta=delta)
            if not open_end:
                yield event("content_block_stop", index=i)
        if open_end:
            return
        stop = {"stop_reason": self._stop(answer), "stop_sequence": None}
        yield event("message_delta", delta=stop, usage={"output_tokens": usage[1]})
        yield event("message_stop")

    def error(self, status: int, message: str, code: str | None) -> Json:
        kinds = {
            400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
            404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
            529: "overloaded_error",
        }  # fmt: skip
        kind = code or kinds.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    def error_frame(self, status: int, message: str, code: str | None) -> bytes:
        return data(self.error(status, message, code), "error")

    def overflow(self) -> tuple[str, str | None]:
        return "prompt is too long: 200001 tokens > 200000 maximum", None

    def _message(
        self, seen: Seen, n: int, content: list[Json], stop: str | None, usage: tuple[int, int],
        cached: int,
    ) -> Json:  # fmt: skip
        return {
            "id": f"msg_{n}", "type": "message", "role": "assistant", "model": seen.model,
            "content": content, "stop_reason": stop, "stop_sequence": None,
            "usage": {
                "input_tokens": usage[0] - cached, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": cached, "output_tokens": usage[1],
            },
        }  # fmt: skip

    def _stop(self, answer: Answer) -> str:
        if any(isinstance(part, Refuse) for part in answer.parts):
            return "refusal"
        return stop_of(answer, calls="tool_use", stop="end_turn", length="max_tokens")

    def _block(self, part: Any, n: int, i: int, *, done: bool) -> Json:
        match part:
            case Call():
                return {"type": "tool_use", "id": call_id(part, n, i), "name": part.name,
                        "input": _object(part.text) if done else {}}  # fmt: skip
            case Think():
                return {"type": "thinking", "thinking": part.text if done else "",
                        "signature": f"signed-{n}-{i}" if done else ""}  # fmt: skip
            case _:
                return {"type": "text", "text": part.text if done else ""}

    def _deltas(self, part: Any, n: int, i: int) -> Iterator[Json]:
        match part:
            case Call():
                yield {"type": "input_json_delta", "partial_json": ""}
                for piece in pieces(part.text):
                    yield {"type": "input_json_delta", "partial_json": piece}
            case Think():
                for piece in pieces(part.text):
                    yield {"type": "thinking_delta", "thinking": piece}
                yield {"type": "signature_delta", "signature": f"signed-{n}-{i}"}
            case _:
                for piece in pieces(part.text):
                    yield {"type": "text_delta", "text": piece}


WIRES: Final[tuple[Wire, ...]] = (Chat(), Responses(), Messages())
