"""What is refused, how, and that nothing is lost or left behind (gateway contract, 3, 14)."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from homarus.agents.lent import LENT
from homarus.agents.port import Fault
from homarus.gateway.http.table import MAX_BODY_BYTES
from homarus.testing.scripted_model import failure
from tests.gateway.asking import CHAT_WEATHER, MODEL, WEATHER, Asking, asking

RESPONSES, CHAT, INVOKE = "/v1/responses", "/v1/chat/completions", "/tools/invoke"
USER = {"role": "user", "content": "Hi"}
R = {"model": MODEL, "input": "Hi"}
C = {"model": MODEL, "messages": [USER]}


def said(*parts: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": [{"role": "user", "content": list(parts)}]}


def lent(**more: Any) -> dict[str, Any]:
    return R | {"tools": [WEATHER | more]}


DEEP: Any = "x"
for _ in range(60):
    DEEP = [DEEP]

BAD: list[tuple[str, str, Any, int, str]] = [
    # path, what is wrong, body, status, code
    (RESPONSES, "no JSON", b"{", 400, "request.json"),
    (RESPONSES, "nothing", b"", 400, "request.body_missing"),
    (RESPONSES, "a list", b"[]", 400, "request.schema"),
    (RESPONSES, "too deep", R | {"metadata": DEEP}, 400, "request.too_deep"),
    (RESPONSES, "a NUL", R | {"input": "a\0b"}, 400, "request.nul"),
    (RESPONSES, "no model", {"input": "Hi"}, 400, "request.schema"),
    (RESPONSES, "no input", {"model": MODEL}, 400, "request.schema"),
    (RESPONSES, "an unknown key", R | {"colour": "red"}, 400, "request.schema"),
    (RESPONSES, "another's model", R | {"model": "gpt-4o"}, 400, "request.model"),
    (RESPONSES, "an empty model", R | {"model": ""}, 400, "request.model"),
    (RESPONSES, "an unknown agent", R | {"model": "openclaw/x"}, 404, "agent.unknown"),
    (RESPONSES, "an empty text", R | {"input": ""}, 400, "request.no_user_message"),
    (RESPONSES, "blanks alone", R | {"input": " \n"}, 400, "request.no_user_message"),
    (RESPONSES, "no items", R | {"input": []}, 400, "request.no_user_message"),
    (RESPONSES, "rules alone", R | {"input": [{"role": "system", "content": "x"}]}, 400,
     "request.no_user_message"),
    (RESPONSES, "an unknown item", R | {"input": [{"type": "x"}]}, 400, "request.input"),
    (RESPONSES, "an unknown role", R | {"input": [USER | {"role": "x"}]}, 400, "request.input"),
    (RESPONSES, "items that are none", R | {"input": [1]}, 400, "request.schema"),
    (RESPONSES, "too many", R | {"input": [USER] * 2_001}, 400, "request.items"),
    (RESPONSES, "a result without its call's id",
     R | {"input": [{"type": "function_call_output", "output": "x"}]}, 400, "request.input"),
    (RESPONSES, "an unknown response", R | {"previous_response_id": "resp_x"}, 400,
     "response.unknown"),
    (RESPONSES, "nobody's response",
     R | {"previous_response_id": "resp_01a1f978-acee-72aa-8763-e53ee771c702"}, 400,
     "response.unknown"),
    (RESPONSES, "no tokens", R | {"max_output_tokens": 0}, 400, "request.schema"),
    (RESPONSES, "too warm", R | {"temperature": 2.1}, 400, "request.schema"),
    (RESPONSES, "endless rules", R | {"instructions": "x" * 100_001}, 413,
     "request.instructions"),
    (RESPONSES, "a part that is none", said("x"), 400, "request.content"),
    (RESPONSES, "an unknown part", said({"type": "audio"}), 400, "request.content"),
    (RESPONSES, "a picture elsewhere",
     said({"type": "input_image", "image_url": "http://127.0.0.1/x.png"}), 400, "request.image"),
    (RESPONSES, "a picture of an unknown kind",
     said({"type": "input_image", "image_url": "data:image/tiff;base64,AAAA"}), 400,
     "request.image"),
    (RESPONSES, "a picture that is another",
     said({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}), 400,
     "request.image"),
    (RESPONSES, "a picture that is no base64",
     said({"type": "input_image", "image_url": "data:image/png;base64,?"}), 400,
     "request.base64"),
    (RESPONSES, "a file that is no text",
     said({"type": "input_file", "filename": "a.pdf", "file_data": "/////w=="}), 400,
     "request.file"),
    (RESPONSES, "a file elsewhere", said({"type": "input_file", "file_id": "x"}), 400,
     "request.file"),
    (RESPONSES, "a tool of theirs", R | {"tools": [{"type": "web_search"}]}, 400, "request.tools"),
    (RESPONSES, "a tool without name", lent(name=None), 400, "request.tools"),
    (RESPONSES, "a tool's odd name", lent(name="a b"), 400, "request.tools"),
    (RESPONSES, "a schema that is none", lent(parameters=[]), 400, "request.tools"),
    (RESPONSES, "two of one name", R | {"tools": [WEATHER, WEATHER]}, 400, "request.tools"),
    (RESPONSES, "too many tools",
     R | {"tools": [WEATHER | {"name": f"t{n}"} for n in range(129)]}, 400, "request.tools"),
    (RESPONSES, "tools that are large",
     R | {"tools": [WEATHER | {"name": f"t{n}", "description": "x" * 19_000} for n in range(20)]},
     400, "turn.options"),
    (RESPONSES, "a choice without tools", R | {"tool_choice": "required"}, 400,
     "request.tool_choice"),
    (RESPONSES, "a choice of none of them",
     lent() | {"tool_choice": {"type": "function", "name": "x"}}, 400, "request.tool_choice"),
    (CHAT, "no messages", {"model": MODEL, "messages": []}, 400, "request.no_user_message"),
    (CHAT, "an empty message", C | {"messages": [{"role": "user", "content": ""}]}, 400,
     "request.no_user_message"),
    (CHAT, "an unknown key", C | {"colour": "red"}, 400, "request.schema"),
    (CHAT, "an unknown role", C | {"messages": [{"role": "x"}]}, 400, "request.messages"),
    (CHAT, "a result without its call's id", C | {"messages": [{"role": "tool"}]}, 400,
     "request.messages"),
    (CHAT, "calls that are none",
     C | {"messages": [{"role": "assistant", "tool_calls": [1]}, USER]}, 400, "request.messages"),
    (CHAT, "two answers", C | {"n": 2}, 400, "request.unsupported"),
    (CHAT, "another form", C | {"response_format": {"type": "json_object"}}, 400,
     "request.unsupported"),
    (CHAT, "probabilities", C | {"logprobs": True}, 400, "request.unsupported"),
    (CHAT, "speech", C | {"modalities": ["text", "audio"]}, 400, "request.unsupported"),
    (CHAT, "a tool in the other form", C | {"tools": [WEATHER]}, 400, "request.tools"),
    (CHAT, "a choice of none of them",
     C | {"tools": [CHAT_WEATHER],
          "tool_choice": {"type": "function", "function": {"name": "x"}}}, 400,
     "request.tool_choice"),
    (INVOKE, "no tool", {}, 400, "request.tool"),
    (INVOKE, "an unknown key", {"tool": "time_now", "x": 1}, 400, "request.schema"),
    (INVOKE, "arguments that are none", {"tool": "time_now", "args": []}, 400, "request.schema"),
    (INVOKE, "a try", {"tool": "time_now", "dryRun": True}, 400, "request.dry_run"),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(tmp_path_factory: pytest.TempPathFactory) -> Any:
    async with asking(tmp_path_factory.mktemp("bad") / "home", "Yes.") as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [(row[0], *row[2:]) for row in BAD],
    ids=[f"{row[0]} {row[1]}" for row in BAD],
)
async def test_bad_bodies(ask: Asking, path: str, body: Any, status: int, code: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    before = len(await ask.turns(limit=500))
    reply = await ask.client.post(path, content=raw)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
    error = reply.json()["error"]
    assert error["message"]
    if path == INVOKE:
        assert (reply.json()["ok"], error["type"]) == (False, "invalid_request")
    else:
        kind = "not_found_error" if status == 404 else "invalid_request_error"
        assert (error["type"], error["param"]) == (kind, None)
    assert reply.headers["x-should-retry"] == "false"
    assert len(await ask.turns(limit=500)) == before


HEADERS: list[tuple[str, dict[str, str], int, str]] = [
    ("a reserved session", {"x-openclaw-session-key": "subagent:x"}, 400, "session.reserved"),
    ("another", {"x-openclaw-session-key": "agent:ada:cron:x"}, 400, "session.reserved"),
    ("a third", {"x-openclaw-session-key": "ACP:x"}, 400, "session.reserved"),
    ("an odd session", {"x-openclaw-session-key": "a b"}, 400, "session.key"),
    ("another agent's", {"x-openclaw-session-key": "agent:bob:x"}, 400, "session.key"),
    ("an unknown agent", {"x-openclaw-agent-id": "nobody"}, 404, "agent.unknown"),
    ("a model's long name", {"x-openclaw-model": "x" * 201}, 400, "request.model_header"),
    ("a long key", {"idempotency-key": "x" * 513}, 400, "idempotency.key"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("headers", "status", "code"), [r[1:] for r in HEADERS], ids=[r[0] for r in HEADERS]
)
async def test_bad_headers(ask: Asking, headers: dict[str, str], status: int, code: str) -> None:
    reply = await ask.client.post(RESPONSES, json=R, headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


@pytest.mark.asyncio(loop_scope="module")
async def test_who_has_no_token_hears_one_word(ask: Asking) -> None:
    for token in (None, "ho_wrong"):
        client = ask.daemon.client(token)
        for method, path in (
            ("GET", "/v1/models"), ("GET", "/v1/models/openclaw"), ("POST", RESPONSES),
            ("POST", CHAT), ("POST", INVOKE),
        ):  # fmt: skip
            reply = await client.request(method, path, json=None if method == "GET" else R)
            assert reply.status_code == 401
            error = reply.json()["error"]
            assert (error["message"], error["type"]) == ("Unauthorized", "unauthorized")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_role_that_may_not(ask: Asking) -> None:
    _, secret = await ask.daemon.token(kind="operator", role="viewer")
    viewer = ask.daemon.client(secret)
    assert (await viewer.get("/v1/models")).status_code == 200
    reply = await viewer.post(RESPONSES, json=R)
    assert (reply.status_code, reply.json()["error"]["type"]) == (403, "permission_error")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", RESPONSES, 405),
        ("DELETE", CHAT, 405),
        ("POST", "/v1/models", 405),
        ("PUT", INVOKE, 405),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1", 404),
        ("GET", "/tools", 404),
        ("GET", "/v1/responses/resp_1", 404),
        ("GET", "/v1/models/" + "x" * 3_000, 404),
        ("GET", "/v1/models/a%00b", 400),
    ],
)
async def test_other_ways(ask: Asking, method: str, path: str, status: int) -> None:
    reply = await ask.client.request(method, path)
    assert reply.status_code == status
    if status == 405:
        assert reply.text == "Method Not Allowed"
        assert reply.headers["content-type"].startswith("text/plain")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_may_be_large_but_not_endless(ask: Asking) -> None:
    png = base64.b64encode(b"\x89PNG" + b"\0" * 1_200_000).decode()
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{png}"}
    reply = await ask.client.post(RESPONSES, json=said(picture))
    assert reply.status_code == 200, reply.text
    reply = await ask.client.post(RESPONSES, json=said(picture, picture))
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "turn.given")
    reply = await ask.client.post(RESPONSES, json=R | {"metadata": "x" * (MAX_BODY_BYTES - 200)})
    assert reply.status_code == 200
    reply = await ask.client.post(RESPONSES, content=b" " * (MAX_BODY_BYTES + 1))
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request.body_too_large")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_long_text_is_whole_for_the_model(ask: Asking) -> None:
    text = "word " * 60_000
    await ask.respond(text)
    assert ask.model.requests[-1].messages[-1].content[0].text == text
    (turn,) = await ask.turns(limit=1)
    assert len(turn["text"]) == 100_000


# -- turns that fail -----------------------------------------------------------------------

FAULTS: list[tuple[Fault, int, str]] = [
    (Fault.REQUEST, 400, "invalid_request_error"),
    (Fault.KEY, 400, "invalid_request_error"),
    (Fault.OVERFLOW, 400, "invalid_request_error"),
    (Fault.BUSY, 429, "rate_limit_error"),
    (Fault.SERVER, 502, "api_error"),
    (Fault.STALLED, 502, "api_error"),
    (Fault.MALFORMED, 502, "api_error"),
    (Fault.UNREACHABLE, 502, "api_error"),
]


@pytest.mark.parametrize(("fault", "status", "kind"), FAULTS)
async def test_a_model_that_fails(tmp_path: Path, fault: Fault, status: int, kind: str) -> None:
    async with asking(tmp_path / "home", failure(fault)) as ask:
        reply = await ask.post(RESPONSES, R)
        assert reply.status_code == status
        document = reply.json()
        assert (document["object"], document["status"]) == ("response", "failed")
        assert document["error"]["code"] == kind
        assert document["error"]["reason"] == f"model.{fault.value}"
        assert reply.headers["x-should-retry"] == "false"
        reply = await ask.post(CHAT, C)
        assert reply.status_code == status
        error = reply.json()["error"]
        assert (error["type"], error["code"]) == (kind, f"model.{fault.value}")


def test_what_is_lent_is_an_option_that_the_loop_knows() -> None:
    assert LENT == "clientTools"
