"""Contract, section 18: weak spots about times, and about what errors tell, on every route."""

import re
import time
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract_control_plane.wire import Answer, Wire

NOBODY = "00000000-0000-7000-8000-000000000000"
HOSTILE_IDS = (NOBODY, "'; drop table token; --", "1 or 1=1", "\U0001f600", "%", "x" * 1_500)
HOSTILE_BODIES = (
    b"{}",
    b"[]",
    b'"x"',
    b"{",
    b"\xff",
    b'{"name": "\\u0000"}',
    b"[" * 60 + b"]" * 60,
)
SQL = re.compile(
    r"(?i)\b(select .+ from|insert into|update \w+ set|delete from|constraint|syntax error"
    r"|sqlite|apsw|psycopg|traceback|line \d+, in)\b"
)
SKIPPED = frozenset({("get", "/messages/sync")})
"""Long polls: they wait, and have tests of their own."""


@pytest.fixture(scope="module")
def routes(wire: Wire) -> list[tuple[str, str]]:
    """`(method, whole path)` of every route that the daemon describes."""
    paths = wire.get("/api/openapi.json")["paths"]
    return [
        (method, operation.get("servers", [{"url": "/api/v1"}])[0]["url"] + path.rstrip("/"))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if (method, path) not in SKIPPED
    ]


def tame(reply: Answer, what: str) -> None:
    assert reply.status < 500, f"{what}: {reply.raw[:300]!r}"
    if reply.status >= 400:
        assert reply["error"] and reply["code"], what
        assert not SQL.search(reply.raw.decode()), f"{what}: {reply.raw[:300]!r}"


@pytest.mark.parametrize("ref", HOSTILE_IDS, ids=range(len(HOSTILE_IDS)))
def test_weak_spot_23_hostile_ids_are_no_500_and_leak_nothing(
    wire: Wire, routes: list[tuple[str, str]], ref: str
) -> None:
    for method, path in routes:
        if method == "get" and "{" in path:
            full = re.sub(r"\{\w+\}", lambda _: quote(ref, safe=""), path)
            tame(wire.get(full), f"{method} {path} {ref[:20]}")


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=1e9", "cursor=x", "since=x&before=y", "status='"]
)
def test_weak_spot_23_hostile_queries_are_no_500_and_leak_nothing(
    wire: Wire, routes: list[tuple[str, str]], query: str
) -> None:
    for method, path in routes:
        if method == "get" and "{" not in path:
            tame(wire.get(f"{path}?{query}"), f"{path}?{query}")


@pytest.mark.parametrize("body", HOSTILE_BODIES, ids=range(len(HOSTILE_BODIES)))
def test_weak_spot_23_hostile_bodies_are_no_500_and_leak_nothing(
    wire: Wire, routes: list[tuple[str, str]], body: bytes
) -> None:
    for method, path in routes:
        if method in ("post", "patch", "put"):
            full = re.sub(r"\{\w+\}", NOBODY, path)
            tame(wire.call(method.upper(), full, content=body), f"{method} {path} {body[:20]!r}")


def test_weak_spot_18_times_are_of_utc_and_say_so(wire: Wire) -> None:
    """Milliseconds since 1970 in the store, `Z` on the wire: no zone can shift a lease."""
    stamps = [wire.agent()["createdAt"], wire.get("/runtime/health")["serverTime"]]
    for stamp in stamps:
        assert stamp.endswith("Z")
        at = datetime.fromisoformat(stamp).timestamp()
        assert abs(at - time.time()) < 60


def times(value: Any) -> list[str]:
    """Every text that looks like a time, however deep."""
    if isinstance(value, dict):
        return [t for v in value.values() for t in times(v)]
    if isinstance(value, list):
        return [t for v in value for t in times(v)]
    looks = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", value)
    return [value] if looks else []


def test_weak_spot_18_every_list_gives_whole_times(
    wire: Wire, person: Wire, routes: list[tuple[str, str]]
) -> None:
    wire.task(wire.project()["id"])
    for method, path in routes:
        if method != "get" or "{" in path:
            continue
        reply = person.get(path)
        for stamp in times(reply.body) if reply.status == 200 else []:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp), (
                f"{path}: {stamp}"
            )
