"""The client against a real socket: what it sends, what it repeats, what it raises."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.base.errors import (
    Busy,
    Conflict,
    HomarusError,
    Internal,
    Invalid,
    NotFound,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from homarus.client.errors import Unreachable
from homarus.client.http import Client
from homarus.client.paths import path_part
from homarus.client.retry import Retry
from tests.support.scripted_http import DROP, Answer, scripted

QUICK = Retry(attempts=3, first_s=0.0, cap_s=0.0)


def client(url: str, company: str | None = None) -> Client:
    return Client(url, "ho_secret", company, retry=QUICK, timeout_s=5.0)


def test_what_is_sent() -> None:
    with scripted(Answer(201, {"task": {"id": "t"}})) as server, client(server.url, "harbour") as c:
        reply = c.post("/tasks", {"title": "é"})
    (asked,) = server.asked
    assert reply == {"task": {"id": "t"}}
    assert (asked.method, asked.path) == ("POST", "/api/v1/tasks")
    assert asked.json == {"title": "é"}
    assert asked.headers["authorization"] == "Bearer ho_secret"
    assert asked.headers["x-homarus-company"] == "harbour"
    assert asked.headers["content-type"] == "application/json"
    assert len(asked.headers["idempotency-key"]) == 36


def test_absent_query_values_are_left_out() -> None:
    with scripted(Answer()) as server, client(server.url) as c:
        c.get("/tasks", state=None, limit=3, all=True, q="a&b")
    assert server.asked[0].path == "/api/v1/tasks?limit=3&all=true&q=a%26b"


@pytest.mark.parametrize(
    "status, body, kind, code",
    [
        (400, {"error": "no", "code": "task.spec", "remedy": "do"}, Invalid, "task.spec"),
        (401, {"error": "no"}, Unauthenticated, "http.401"),
        (403, {"error": "no", "code": "stop.set", "rule": "STOP"}, Refused, "stop.set"),
        (404, {"error": "no", "code": "task.unknown"}, NotFound, "task.unknown"),
        (409, {"error": "no", "code": "task.lease_lost"}, Conflict, "task.lease_lost"),
        (413, {"error": "no", "code": "request.body"}, TooLarge, "request.body"),
        (405, {"error": "no"}, Invalid, "http.405"),
        (429, {"error": "no", "code": "rate"}, Busy, "rate"),
        (503, {"error": "no", "code": "store.full"}, Unavailable, "store.full"),
        (500, {"error": "no", "code": "internal"}, Internal, "internal"),
        (502, b"<html>", Internal, "client.bad_reply"),
        (200, b"[1]", Internal, "client.bad_reply"),
        (404, b'{"error": 5}', NotFound, "client.bad_reply"),
        (200, b"[" * 100_000, Internal, "client.bad_reply"),
    ],
)
def test_errors_come_back_as_what_they_were(
    status: int, body: Any, kind: type[HomarusError], code: str
) -> None:
    with (
        scripted(Answer(status, body)) as server,
        client(server.url) as c,
        pytest.raises(kind) as caught,
    ):
        c.get("/x")
    assert type(caught.value) is kind
    assert caught.value.code == code


def test_a_refusal_keeps_rule_receipt_and_remedy() -> None:
    body = {"error": "no", "code": "r1", "rule": "R1", "receipt": "abc", "remedy": "Ask."}
    with (
        scripted(Answer(403, body)) as server,
        client(server.url) as c,
        pytest.raises(Refused) as caught,
    ):
        c.post("/x")
    error = caught.value
    assert (error.rule, error.receipt, error.remedy) == ("R1", "abc", "Ask.")


def test_other_fields_are_details() -> None:
    body = {"error": "no", "code": "c", "missingFields": ["title"], "remedy": ""}
    with (
        scripted(Answer(400, body)) as server,
        client(server.url) as c,
        pytest.raises(Invalid) as caught,
    ):
        c.post("/x")
    assert caught.value.details == {"missingFields": ["title"]}


@pytest.mark.parametrize(
    "answers, attempts",
    [
        ([DROP, Answer()], 2),
        ([Answer(503, {"error": "x"}), Answer()], 2),
        ([Answer(429, {"error": "x"}, {"Retry-After": "9"}), DROP, Answer()], 3),
        ([Answer()], 1),
    ],
)
@pytest.mark.parametrize("method", ["get", "post", "patch", "delete"])
def test_a_repeat_is_the_same_request(method: str, answers: list[Answer], attempts: int) -> None:
    with scripted(*answers) as server, client(server.url) as c:
        call: Callable[..., Any] = getattr(c, method)
        call("/x", {"a": 1}) if method in ("post", "patch") else call("/x")
    assert len(server.asked) == attempts
    assert len({(a.body, a.headers.get("idempotency-key")) for a in server.asked}) == 1


@pytest.mark.parametrize(
    "answer, kind",
    [
        (DROP, Unreachable),
        (Answer(503, {"error": "x", "code": "store.full"}), Unavailable),
    ],
)
def test_repeats_end(answer: Answer, kind: type[HomarusError]) -> None:
    with scripted(answer) as server, client(server.url) as c, pytest.raises(kind):
        c.post("/x", {})
    assert len(server.asked) == QUICK.attempts


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
def test_a_verdict_is_not_asked_for_twice(status: int) -> None:
    with (
        scripted(Answer(status, {"error": "x"})) as server,
        client(server.url) as c,
        pytest.raises(HomarusError),
    ):
        c.post("/x", {})
    assert len(server.asked) == 1


def test_an_idle_connection_that_was_closed_costs_no_attempt() -> None:
    once = Retry(attempts=1)
    with (
        scripted(Answer(), DROP, Answer()) as server,
        Client(server.url, "t", retry=once, timeout_s=5.0) as c,
    ):
        c.get("/a")
        c.get("/b")
    assert [a.path for a in server.asked] == ["/api/v1/a", "/api/v1/b", "/api/v1/b"]


def test_nobody_listens() -> None:
    with scripted(Answer()) as server:
        url = server.url
    with client(url) as c, pytest.raises(Unreachable) as caught:
        c.post("/x", {})
    assert caught.value.code == "client.unreachable"
    assert "homarus up" in caught.value.remedy


@pytest.mark.parametrize("url", ["", "127.0.0.1:1", "ftp://h", "http://", "http://h:99999"])
def test_bad_addresses(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        Client(url, "t")
    assert caught.value.code == "client.url"


@pytest.mark.parametrize(
    "limit, numbers, asked",
    [(None, [1, 2, 3], 2), (3, [1, 2, 3], 2), (2, [1, 2], 1), (1, [1], 1)],
)
def test_pages(limit: int | None, numbers: list[int], asked: int) -> None:
    first = Answer(200, {"rows": [{"n": 1}, {"n": 2}], "nextCursor": 7})
    second = Answer(200, {"rows": [{"n": 3}], "nextCursor": None})
    with scripted(first, second) as server, client(server.url) as c:
        rows = list(c.pages("/rows", "rows", limit=limit, state="open"))
    assert [row["n"] for row in rows] == numbers
    assert len(server.asked) == asked
    if asked == 2:
        assert "cursor=7" in server.asked[1].path


def test_an_upload_is_repeated_byte_for_byte(tmp_path: Path) -> None:
    file = tmp_path / 'a"b\n.txt'
    file.write_bytes(b"x" * 600_000)
    with scripted(DROP, Answer(201, {"artifact": {}})) as server, client(server.url) as c:
        c.upload("/artifacts/upload", {"kind": "report"}, file)
    first, second = server.asked
    assert first.body == second.body
    assert first.headers["content-type"] == second.headers["content-type"]
    assert b'filename="a%22b%0A.txt"' in first.body
    assert b'name="kind"\r\n\r\nreport\r\n' in first.body
    assert first.body.count(b"x") >= 600_000


def test_download() -> None:
    with scripted(Answer(200, b"one\ntwo\n\nfour")) as server, client(server.url) as c:
        into = io.BytesIO()
        assert c.download("/f", into) == 13
    assert into.getvalue() == b"one\ntwo\n\nfour"


def test_a_download_that_is_refused_writes_nothing() -> None:
    with (
        scripted(Answer(404, {"error": "no", "code": "artifact.unknown"})) as server,
        client(server.url) as c,
        pytest.raises(NotFound),
    ):
        c.download("/f", io.BytesIO())


def test_path_part() -> None:
    assert path_part("../a b/ü?") == "..%2Fa%20b%2F%C3%BC%3F"
