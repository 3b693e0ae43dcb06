"""What is blanked, and what stays readable."""

from typing import Any

import pytest

from homarus.base.redact import BLANK, redact, redact_text, redact_token_bytes

SECRET = "0123456789abcdef" * 3


@pytest.mark.parametrize(
    "text, clean",
    [
        ("plain words", "plain words"),
        (f"token ec_{SECRET} was used", f"token ec_{BLANK} was used"),
        (f"ho_{SECRET},ea_{SECRET}", f"ho_{BLANK},ea_{BLANK}"),
        ("Authorization: Bearer abc.def", f"Authorization: {BLANK} {BLANK}"),
        ("bearer abc.def", f"bearer {BLANK}"),
        ("password=hunter2 x", f"password={BLANK} x"),
        ('{"api_key": "k1", "name": "n"}', f'{{"api_key": {BLANK}, "name": "n"}}'),
        (f"< cookie: homarus_session={SECRET}", f"< cookie: {BLANK}"),
        (f"< cookie: a=b; homarus_session={SECRET}", f"< cookie: {BLANK}; homarus_session={BLANK}"),
        (f"'homarus_session={SECRET}'", f"'homarus_session={BLANK}'"),
        ("secret://github-token", "secret://github-token"),
        ("echo_1 the_token of T-192", "echo_1 the_token of T-192"),
    ],
)
def test_text(text: str, clean: str) -> None:
    assert redact_text(text) == clean


@pytest.mark.parametrize(
    "value, clean",
    [
        ({"token": "x", "name": "n"}, {"token": BLANK, "name": "n"}),
        ({"secretText": "x", "secret": None}, {"secretText": BLANK, "secret": None}),
        ({"accessToken": "x", "leaseToken": 4}, {"accessToken": BLANK, "leaseToken": BLANK}),
        ({"tokens_used": 7}, {"tokens_used": 7}),
        ([f"ec_{SECRET}", {"a": (f"ea_{SECRET}",)}], [f"ec_{BLANK}", {"a": [f"ea_{BLANK}"]}]),
        (f"hs_{SECRET}".encode(), f"hs_{BLANK}"),
        (3.5, 3.5),
    ],
)
def test_plain_data(value: Any, clean: Any) -> None:
    assert redact(value) == clean


def test_depth_is_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(50):
        deep = [deep]
    assert BLANK in str(redact(deep))


def test_bytes_keep_everything_but_whole_tokens() -> None:
    raw = b'{"text": "ec_' + SECRET.encode() + b'", "token": "mine", "n": "echo_1"}'
    assert redact_token_bytes(raw) == (
        b'{"text": "ec_' + BLANK.encode() + b'", "token": "mine", "n": "echo_1"}'
    )
    assert redact_token_bytes(b"nothing here") == b"nothing here"
