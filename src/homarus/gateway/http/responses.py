"""OpenResponses: `POST /v1/responses` (gateway contract, 14.1).

A response's id names its turn, so `previous_response_id` holds across restarts.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.base.ids import is_uuid
from homarus.flows import answering
from homarus.flows.answering import Answer, Request
from homarus.gateway.http import asking
from homarus.gateway.http.asking import Envelope
from homarus.gateway.http.content import parts_of, text_of, text_part
from homarus.gateway.http.faults import Fault
from homarus.gateway.http.folding import Asked, Item, Line, Output, fold
from homarus.gateway.http.progress import Said, Settled, Step, Waiting
from homarus.gateway.http.sse import DONE, event, waiting

PREFIX: Final = "resp_"
MISSING: Final = "Missing user message in `input`"
HEAVY: Final = ("input", "tools", "metadata", "instructions")
"""What of a body is not kept while its answer is waited for."""
_IGNORED: Final = ("reasoning", "item_reference")
_SAYS: Final = {"user": "user", "assistant": "assistant"}
_RULES: Final = ("system", "developer")
Doc = dict[str, Any]


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """`metadata`, `store`, `truncation`, `reasoning`, `max_tool_calls`, `top_p` are taken, and
    change nothing."""

    model: asking.Text
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    stream: bool | None = None
    max_output_tokens: asking.Tokens | None = None
    temperature: asking.Warmth | None = None
    top_p: asking.Share | None = None
    user: asking.Text | None = None
    previous_response_id: asking.Text | None = None
    metadata: Any = None
    store: Any = None
    truncation: Any = None
    reasoning: Any = None
    max_tool_calls: Any = None


# -- what is asked -------------------------------------------------------------------------


def request(body: Body, about: Envelope) -> Request:
    """Raises `request.*`, `response.unknown`."""
    rules, items = _items(body.input)
    previous = _previous(body.previous_response_id)
    folded = fold(items, MISSING, goes_on=previous is not None)
    return Request(
        api=answering.RESPONSES,
        text=folded.text,
        agent=about.agent or asking.agent_of(body.model),
        key=about.key,
        session=about.session,
        user=asking.user_part(body.user),
        previous=previous,
        content=folded.content,
        history=folded.history,
        results=folded.results,
        options=asking.options(
            instructions=[body.instructions or "", *rules], tools=body.tools,
            choice=body.tool_choice, tokens=body.max_output_tokens, warmth=body.temperature,
        ),
        model=about.model,
    )  # fmt: skip


def _previous(ref: str | None) -> str | None:
    if ref is None:
        return None
    id_ = ref.removeprefix(PREFIX).lower()
    if not ref.startswith(PREFIX) or not is_uuid(id_):
        raise Invalid("response.unknown", f"no response {ref[:80]!r}",
                      "Give the id of a response that you were given.")  # fmt: skip
    return id_


def _items(given: str | list[dict[str, Any]]) -> tuple[list[str], list[Item]]:
    """Texts of system and developer, and the rest in order."""
    if isinstance(given, str):
        return [], [Line("user", parts_of(given, "input"))]
    rules: list[str] = []
    items: list[Item] = []
    for n, item in enumerate(given):
        where = f"input[{n}]"
        kind = item.get("type", "message")
        if kind in _IGNORED:
            continue
        if kind == "message" and item.get("role") in _RULES:
            rules.append(text_of(parts_of(item.get("content"), f"{where}.content")))
        else:
            items.append(_item(item, kind, where))
    return rules, items


def _item(item: Doc, kind: Any, where: str) -> Item:
    call = item.get("call_id")
    if kind == "message" and item.get("role") in _SAYS:
        return Line(_SAYS[item["role"]], parts_of(item.get("content"), f"{where}.content"))
    if kind == "function_call" and isinstance(call, str) and isinstance(item.get("name"), str):
        return Asked(call, item["name"], str(item.get("arguments") or "{}"))
    if kind == "function_call_output" and isinstance(call, str):
        parts = parts_of(item.get("output"), f"{where}.output")
        return Output(call, parts or (text_part(""),))
    raise Invalid(
        "request.input", f"`{where}` has the type {str(kind)[:40]!r}, or not what belongs to it",
        "Items are message, function_call, function_call_output, reasoning, item_reference.",
    )  # fmt: skip


# -- what is answered ----------------------------------------------------------------------


def reply(body: Body, answer: Answer) -> Doc:
    """The whole response."""
    texts = [words.text for words in answer.said if words.text.strip()]
    output = [_message(answer, n, text, "commentary") for n, text in enumerate(texts)]
    if not answer.calls:
        output = output or [_message(answer, 0, "", "final_answer")]
        output[-1]["phase"] = "final_answer"
        if answer.stop == "length":
            output[-1]["status"] = "incomplete"
    output += [_call(call) for call in answer.calls]
    return _whole(body, answer, output)


def failure(body: Body, turn: str, created_ms: int, fault: Fault) -> Doc:
    """A response that failed. `error` as in the contract, with our own code beside it."""
    return _shell(body, turn, created_ms, "failed") | {"error": _error(fault)}


def _error(fault: Fault) -> Doc:
    return {"code": fault.type, "message": fault.text, "type": fault.type, "reason": fault.code}


def _shell(body: Body, turn: str, created_ms: int, status: str) -> Doc:
    return {
        "id": f"{PREFIX}{turn}",
        "object": "response",
        "created_at": created_ms // 1_000,
        "status": status,
        "model": body.model,
        "output": [],
        "usage": usage(0, 0, 0),
    }


def _whole(body: Body, answer: Answer, output: list[Doc]) -> Doc:
    cut = answer.stop == "length"
    turn = answer.turn
    whole = _shell(body, turn.id, turn.created_ms, "incomplete" if cut else "completed")
    whole["output"] = output
    whole["usage"] = usage(answer.input_tokens, answer.output_tokens, answer.cached_tokens)
    if cut:
        whole["incomplete_details"] = {"reason": "max_output_tokens"}
    return whole


def usage(inputs: int, outputs: int, cached: int) -> Doc:
    return {
        "input_tokens": inputs,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": inputs + outputs,
    }


def _message_id(turn: str, n: int) -> str:
    return f"msg_{turn}_{n}"


def _message(answer: Answer, n: int, text: str, phase: str) -> Doc:
    return _closed(answer.turn.id, n, text, phase, "completed")


def _closed(turn: str, n: int, text: str, phase: str, status: str) -> Doc:
    return {
        "type": "message", "id": _message_id(turn, n), "role": "assistant", "status": status,
        "phase": phase, "content": [_text(text)],
    }  # fmt: skip


def _text(text: str) -> Doc:
    return {"type": "output_text", "text": text, "annotations": []}


def _call(call: dict[str, str]) -> Doc:
    return {
        "type": "function_call", "id": f"call_{call['id'].removeprefix('call_')}",
        "call_id": call["id"], "name": call["name"], "arguments": call["arguments"] or "{}",
        "status": "completed",
    }  # fmt: skip


# -- and as a stream -----------------------------------------------------------------------


class Stream:
    """The events of one response. Each text of the turn is an item; the last is the answer."""

    def __init__(self, body: Body, turn: str, created_ms: int) -> None:
        self._body = body
        self._turn = turn
        self._created_ms = created_ms
        self._number = -1
        self._output: list[Doc] = []
        self._open = False  # an item that may still get text
        self._text = ""
        self._over = False  # its text is whole; it waits for what it turns out to be

    def _event(self, kind: str, **data: Any) -> bytes:
        self._number += 1
        return event({"type": kind, "sequence_number": self._number, **data}, kind)

    def begin(self) -> list[bytes]:
        shell = _shell(self._body, self._turn, self._created_ms, "in_progress")
        return [
            self._event("response.created", response=shell),
            self._event("response.in_progress", response=shell),
            *self._open_item(),
        ]

    def step(self, step: Step) -> list[bytes]:
        match step:
            case Said(text=text):
                return self._say(text)
            case Settled(broken=True):
                return self._close("commentary", "incomplete") if self._text else []
            case Settled():
                self._over = bool(self._text.strip())
                return []
            case Waiting(approvals=approvals):
                return [waiting(approvals)]
            case Answer():
                return self._end(step)

    def fail(self, fault: Fault) -> list[bytes]:
        failed = failure(self._body, self._turn, self._created_ms, fault)
        return [self._event("response.failed", response=failed), DONE]

    # -- items -------------------------------------------------------------------------------

    def _open_item(self) -> list[bytes]:
        n = len(self._output)
        self._open, self._text, self._over = True, "", False
        id_ = _message_id(self._turn, n)
        item = {"type": "message", "id": id_, "role": "assistant", "status": "in_progress",
                "content": []}  # fmt: skip
        return [
            self._event("response.output_item.added", output_index=n, item=item),
            self._event("response.content_part.added", item_id=id_, output_index=n,
                        content_index=0, part=_text("")),
        ]  # fmt: skip

    def _say(self, text: str) -> list[bytes]:
        told: list[bytes] = []
        if self._open and self._over:
            told += self._close("commentary", "completed")
        if not self._open:
            told += self._open_item()
        n = len(self._output)
        self._text += text
        told.append(
            self._event("response.output_text.delta", item_id=_message_id(self._turn, n),
                        output_index=n, content_index=0, delta=text, logprobs=[])
        )  # fmt: skip
        return told

    def _close(self, phase: str, status: str) -> list[bytes]:
        n, text = len(self._output), self._text
        item = _closed(self._turn, n, text, phase, status)
        place = {"item_id": item["id"], "output_index": n, "content_index": 0}
        self._output.append(item)
        self._open = False
        return [
            self._event("response.output_text.done", **place, text=text, logprobs=[]),
            self._event("response.content_part.done", **place, part=_text(text)),
            self._event("response.output_item.done", output_index=n, item=item),
        ]

    def _end(self, answer: Answer) -> list[bytes]:
        told: list[bytes] = [] if self._open else self._open_item()
        if answer.calls:
            told += self._close("commentary", "completed")
        else:
            cut = answer.stop == "length"
            told += self._close("final_answer", "incomplete" if cut else "completed")
        for call in answer.calls:
            item, n = _call(call), len(self._output)
            self._output.append(item)
            told.append(self._event("response.output_item.added", output_index=n, item=item))
            told.append(self._event("response.output_item.done", output_index=n, item=item))
        whole = _whole(self._body, answer, self._output)
        told.append(self._event(f"response.{whole['status']}", response=whole))
        return [*told, DONE]
