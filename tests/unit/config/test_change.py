"""Changes by programs: secrets hidden and put back, merge patches that leave the rest alone."""

import json
from typing import Any

import pytest

from homarus.config import change
from homarus.config.change import HIDDEN
from homarus.config.problem import Problem


@pytest.mark.parametrize(
    ("value", "hides"),
    [
        ("{ gateway: { auth: { token: 's3cret' } } }", True),
        ("{ gateway: { auth: { password: 's3cret' } } }", True),
        ("{ channels: { telegram: { botToken: 's3cret' } } }", True),
        ("{ models: { providers: { x: { apiKey: 's3cret' } } } }", True),
        ("{ models: { providers: { x: { headers: { Authorization: 's3cret' } } } } }", True),
        ("{ channels: { slack: { accounts: [{ id: 'a', appToken: 's3cret' }] } } }", True),
        ("{ env: { vars: { PLAIN: 's3cret' } } }", True),
        ("{ store: 'postgres://u:s3cret@h/db' }", True),
        ("{ gateway: { auth: { token: '${TOKEN}' } } }", False),
        ("{ store: 'postgres://u:${PASS}@h/db' }", False),
        ("{ gateway: { auth: { mode: 'token' } } }", False),
        ("{ models: { maxTokens: 5, token: 5 } }", False),
        ("{ gateway: { auth: { token: '' } } }", False),
    ],
)
def test_secrets_are_hidden_and_put_back(value: str, hides: bool) -> None:
    shown = change.hidden(value)
    assert ("s3cret" not in shown) and ((HIDDEN in shown) is hides)
    assert change.restored(shown, value) == value
    assert change.concealed(change.plain(value)) == change.plain(shown)


SECRET_NAMES = (
    "token", "botToken", "authTokens", "adminTokens", "tokens", "BOT_TOKEN", "bottoken",
    "token2", "password", "dbPassword", "passwords", "passwd", "smtpPass", "pass", "passphrase",
    "secret", "clientSecret", "secrets", "credential", "credentials", "cookie", "cookies",
    "authorization", "Proxy-Authorization", "bearer", "webhookUrl", "webhook_url", "key",
    "keys", "apiKey", "api_keys", "api-key", "apikey", "APIKey", "APIKEY", "x-api-key",
    "X-Goog-Api-Key", "private-key", "privateKey", "accessKey", "secretKey", "signingKey",
    "encryptKey", "encryptionKey", "secretkey", "accesskey", "sshKey", "storageAccountKey",
    "clientKeys", "headers",
)  # fmt: skip
PLAIN_NAMES = (
    "sessionKey", "mainKey", "hotkey", "hotKey", "hot-key", "publicKey", "sshPublicKey",
    "cacheKey", "sort_key", "monkey", "spawnedBySessionKey", "maxTokens", "max_tokens",
    "maxtokens", "contextTokens", "reserveTokens", "inputTokens", "keepRecentTokens",
    "softThresholdTokens", "tokenBudget", "tokenFile", "keyPath", "passwordFile", "bypass",
    "compass", "userHeader", "tokenizer", "secretary", "keyboard", "authMode", "author",
    "cookieName", "apiKeyHint", "mode", "baseUrl",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "secret"),
    [*((name, True) for name in SECRET_NAMES), *((name, False) for name in PLAIN_NAMES)],
)
def test_what_names_a_secret(name: str, secret: bool) -> None:
    """As a text, in a list, commented out; and in a reply of plain values."""
    for text in (
        f"{{ a: {{ '{name}': 's3cret' }} }}", f"{{ a: {{ '{name}': ['x', 's3cret'] }} }}",
        f"{{ a: 1, // '{name}': 's3cret',\n}}", f'{{ a: 1, /* "{name}": "s3cret" */ }}',
        f"{{\n  // x: {{\n  //   {name}: 's3cret',\n  // }},\n  a: 1 }}",
    ):  # fmt: skip
        shown = change.hidden(text)
        assert ("s3cret" not in shown) is secret
        assert change.restored(shown, text) == text
        assert change.concealed(change.plain(text)) == change.plain(shown)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("{ a: { headers: { 'X-Any': 's3cret' } } }", True),
        ("{ a: { extraHeaders: { 'X-Any': 's3cret' } } }", True),
        ("{ a: { headers: ['X-Any: s3cret'] } }", True),
        ("{ a: { allowedHeaders: ['s3cret'] } }", False),
        ("{ a: { env: { PLAIN: 's3cret' } } }", True),
        ("{ a: { requires: { env: ['s3cret'] } } }", False),
        ("{ a: { tokens: { mia: 's3cret' } } }", True),
        ("{ a: { secrets: { mia: 's3cret' } } }", True),
        ("{ a: { apiKeys: { mia: 's3cret' } } }", True),
        ("{ secrets: { providers: { mia: { source: 's3cret' } } } }", False),
        ("{ a: { headers: { // 'X-Any': 's3cret'\n } } }", True),
        ("{ a: 1, // headers: {\n // 'X-Any': 's3cret'\n // }\n }", True),
        ("{ a: 1, // headers: {} , mode: 's3cret'\n }", False),
        ("{ a: 1, /* headers: { 'X-Any': { b: 's3cret' } }, */ }", True),
        ("{ a: 1, // botToken: 123:s3cret\n }", True),
        ("{ a: 1, // Authorization: Bearer s3cret\n }", True),
        ("{ a: 1, // don't: it's the token, s3cret\n }", False),
        ("{ a: 1, // postgres://u:s3cret@h/db\n }", True),
        ("{ a: 1, // store: 'postgres://u:s3cret@h/db'\n }", True),
        ("{ a: 1, /* postgres://u:s3cret@h/db*/ }", True),
        ("// token: 's3cret'\n{ a: 1 }", True),
        ("{ a: 1 } // token: 's3cret'", True),
        ("{ a: '// token: s3cret' }", False),
        ("{ a: 1, // token: '${TOKEN}', b: 's3cret'\n }", False),
    ],
)
def test_what_stands_under_a_secret_or_in_a_comment(text: str, secret: bool) -> None:
    shown = change.hidden(text)
    assert ("s3cret" not in shown) is secret
    assert change.restored(shown, text) == text
    assert change.concealed(change.plain(text)) == change.plain(shown)


def test_comments_of_the_same_words_keep_their_secrets() -> None:
    text = "{\n  // token: 'one'\n  a: 1,\n  // token: 'two'\n  b: 1,\n}\n"
    shown = change.hidden(text)
    assert change.restored(shown, text) == text
    assert change.restored(shown.replace("b: 1", "c: 2"), text) == text.replace("b: 1", "c: 2")
    with pytest.raises(Problem, match="has none there"):
        change.restored(shown.replace("// token", "// the token"), text)
    literal = f"{{ a: 1, // what is {HIDDEN}?\n}}"
    assert change.restored(literal, literal) == literal


def test_a_text_that_has_a_key_twice_is_not_shown() -> None:
    with pytest.raises(Problem) as problem:
        change.hidden("{ a: { token: 'one', token: 'two' } }")
    assert problem.value.code == "settings.twice"


def test_two_secrets_and_a_comment_stay_where_they_are() -> None:
    text = "{\n  // mine\n  a: { token: 'one', },\n  hooks: { token: 'two' }, // end\n}\n"
    shown = change.hidden(text)
    assert shown.count(HIDDEN) == 2 and "// mine" in shown
    assert change.restored(shown.replace("// mine", "// ours"), text) == text.replace(
        "mine", "ours"
    )


@pytest.mark.parametrize(
    ("text", "before"),
    [
        (f"{{ token: '{HIDDEN}' }}", "{}"),
        (f"{{ token: '{HIDDEN}' }}", ""),
        (f"{{ a: ['{HIDDEN}'] }}", "{ a: [1] }"),
    ],
)
def test_a_mark_that_hides_nothing(text: str, before: str) -> None:
    with pytest.raises(Problem) as problem:
        change.restored(text, before)
    assert problem.value.code == "settings.hidden" and problem.value.path


A = {"id": "a", "n": 1, "token": "s"}
CASES: list[tuple[Any, Any, tuple[str, ...], Any]] = [
    ({}, {"a": 1}, (), {"a": 1}),
    ({"a": 1}, {"a": None}, (), {}),
    ({"a": 1}, {"b": None}, (), {"a": 1}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, (), {"a": {"b": 3, "c": 2}}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, (), {"a": {"c": 2}}),
    ({"a": {"b": 1}}, {"a": {"c": 2}}, ("a",), {"a": {"c": 2}}),
    ({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}}, ("a.b",), {"a": {"b": {"d": 2}}}),
    ({"a": 1}, {"a": {"b": {"c": None, "d": 2}}}, (), {"a": {"b": {"d": 2}}}),
    ({"a": [1, 2]}, {"a": [3]}, (), {"a": [3]}),
    ({"a": 1}, {"a": True}, (), {"a": True}),
    ({"m": {"gpt-4.1": {"x": 1}}}, {"m": {"gpt-4.1": {"y": 2}}}, (),
     {"m": {"gpt-4.1": {"x": 1, "y": 2}}}),
    ({"l": [A]}, {"l": [{"id": "a", "n": 2}]}, (), {"l": [{"id": "a", "n": 2, "token": "s"}]}),
    ({"l": [A]}, {"l": [{"id": "b"}]}, (), {"l": [A, {"id": "b"}]}),
    ({"l": [A]}, {"l": [{"id": "a", "n": None, "token": HIDDEN}]}, (),
     {"l": [{"id": "a", "token": "s"}]}),
    ({"l": [A]}, {"l": [{"id": "b"}]}, ("l",), {"l": [{"id": "b"}]}),
    ({"t": "s"}, {"t": HIDDEN}, (), {"t": "s"}),
]  # fmt: skip


@pytest.mark.parametrize(("before", "patch", "whole", "after"), CASES)
def test_a_merge_patch(before: Any, patch: Any, whole: tuple[str, ...], after: Any) -> None:
    text = json.dumps(before)
    found = change.merged(text, patch, whole)
    assert json.dumps(change.plain(found), sort_keys=True) == json.dumps(after, sort_keys=True)
    if json.dumps(before) == json.dumps(after):
        assert found == text


def test_a_patch_leaves_comments() -> None:
    text = "{\n  // the port\n  gateway: { port: 1 }, // here\n}\n"
    found = change.merged(text, {"gateway": {"port": 2, "bind": "lan"}})
    assert found == text.replace("port: 1", 'port: 2, bind: "lan"')


def test_a_patch_is_bounded() -> None:
    with pytest.raises(Problem, match=f"more than {change.MAX_STEPS}"):
        change.merged("{}", {str(n): n for n in range(change.MAX_STEPS + 1)})


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1.0}, ["a"]),
        ({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [1]}, "d": 1}, ["a.b", "d"]),
        ({"a": {"b": 1}}, {}, ["a.b"]),
        ({}, {"a": {"b": 1, "c": {}}}, ["a.b", "a.c"]),
        ({"a": {"b": 1}}, {"a": 1}, ["a"]),
        ({"a": [1]}, {"a": [2]}, ["a"]),
    ],
)
def test_what_differs(before: Any, after: Any, paths: list[str]) -> None:
    assert change.differences(before, after) == paths
