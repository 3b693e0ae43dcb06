"""Parsing: nesting without recursion, queries, bodies; exact boundaries."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.base.errors import HomarusError, Invalid
from homarus.control_plane import parse
from homarus.control_plane.parse import BodyParser, too_deep
from homarus.control_plane.route import MAX_BODY_BYTES, MAX_DEPTH


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


@pytest.mark.parametrize(
    "raw, deep",
    [
        (b"", False),
        (b"1", False),
        (nested(MAX_DEPTH), False),
        (nested(MAX_DEPTH + 1), True),
        (b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH, False),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), True),
        (b"[" + b"[]," * 1000 + b"[]]", False),
        (b'["' + b"[" * 1000 + b'"]', False),
        (b'["\\"' + b"[" * 1000 + b'"]', False),
        (b'["\\\\", ' + nested(MAX_DEPTH) + b"]", True),
    ],
)
def test_depth(raw: bytes, deep: bool) -> None:
    assert too_deep(raw) is deep


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=60,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(value=JSON, wraps=st.integers(0, 40))
def test_depth_agrees_with_a_plain_walk(value: Any, wraps: int) -> None:
    for _ in range(wraps):
        value = [value]
    raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert too_deep(raw) is (depth_of(value) > MAX_DEPTH)


class Body(msgspec.Struct):
    name: str
    parts: list[int] = []


class Loose(msgspec.Struct):
    note: str | None = None


@pytest.mark.parametrize(
    "raw, code, said",
    [
        (b"", "request.body_missing", "body"),
        (b"{", "request.json", "truncated"),
        (b'{"name": nope}', "request.json", "byte"),
        (b"\x00", "request.json", ""),
        (b'{"name": "\xed\xa0\x80"}', "request.json", ""),
        (b'{"name": "\\ud800"}', "request.json", ""),
        (b"{}", "request.schema", "name"),
        (b'{"name": "a", "parts": [1, "2"]}', "request.schema", "$.parts[1]"),
        (b'{"name": "a\\u0000"}', "request.nul", "U+0000"),
        (nested(MAX_DEPTH + 1), "request.too_deep", "32"),
        (nested(5_000), "request.too_deep", "32"),
        (b"[" * 100, "request.json", ""),
        (b"[" * 5_000, "request.too_deep", "32"),
    ],
)
def test_bad_bodies(raw: bytes, code: str, said: str) -> None:
    with pytest.raises(HomarusError) as caught:
        BodyParser(Body).parse(raw)
    assert caught.value.code == code
    assert said in caught.value.message


def test_good_bodies() -> None:
    assert BodyParser(Body).parse(b'{"name": "a", "other": 1}') == Body("a")
    assert BodyParser(Body).parse(b'{"name": "a\\\\u0000"}') == Body("a\\u0000")
    assert BodyParser(Loose).parse(b"") == Loose()
    assert BodyParser(Any).parse(b'{"x": [1]}') == {"x": [1]}


@pytest.mark.parametrize(
    "raw, values",
    [
        (b"", {}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a=", {"a": ""}),
        (b"a", {"a": ""}),
        (b"a=%C3%A9+x", {"a": "é x"}),
        (b"a=%FF", {"a": "�"}),
    ],
)
def test_query(raw: bytes, values: dict[str, str]) -> None:
    assert parse.query(raw) == values


@pytest.mark.parametrize(
    "raw, code",
    [
        (b"a=%00", "request.nul"),
        (b"&".join(b"a%d=1" % i for i in range(parse.MAX_QUERY_FIELDS + 1)), "request.query"),
    ],
)
def test_bad_queries(raw: bytes, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse.query(raw)
    assert caught.value.code == code


class Pieces:
    """An ASGI `receive` that hands out these pieces, then says that the client went away."""

    def __init__(self, *pieces: bytes) -> None:
        self.messages = [
            {"type": "http.request", "body": piece, "more_body": i < len(pieces) - 1}
            for i, piece in enumerate(pieces)
        ]
        self.taken = 0

    async def __call__(self) -> dict[str, Any]:
        self.taken += 1
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}


@pytest.mark.parametrize(
    "pieces, size",
    [
        ((b"",), 0),
        ((b"ab", b"", b"c"), 3),
        ((b"x" * MAX_BODY_BYTES,), MAX_BODY_BYTES),
        ((b"x" * (MAX_BODY_BYTES - 1), b"x"), MAX_BODY_BYTES),
    ],
)
async def test_bodies_within_the_bound(pieces: tuple[bytes, ...], size: int) -> None:
    assert len(await parse.read_body(Pieces(*pieces), {})) == size


@pytest.mark.parametrize(
    "pieces, headers, code",
    [
        ((b"x" * (MAX_BODY_BYTES + 1),), {}, "request.body_too_large"),
        ((b"x" * MAX_BODY_BYTES, b"x"), {}, "request.body_too_large"),
        ((b"x",), {b"content-length": b"%d" % (MAX_BODY_BYTES + 1)}, "request.body_too_large"),
        ((b"x",), {b"content-length": b"9" * 30}, "request.body_too_large"),
        ((), {}, "request.disconnected"),
    ],
)
async def test_bodies_beyond_it(
    pieces: tuple[bytes, ...], headers: dict[bytes, bytes], code: str
) -> None:
    with pytest.raises(HomarusError) as caught:
        await parse.read_body(Pieces(*pieces), headers)
    assert caught.value.code == code


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    endless = Pieces(*[b"x" * 65_536] * 1_000)
    with pytest.raises(HomarusError):
        await parse.read_body(endless, {})
    assert endless.taken * 65_536 <= MAX_BODY_BYTES + parse.MAX_DRAIN_BYTES + 4 * 65_536
