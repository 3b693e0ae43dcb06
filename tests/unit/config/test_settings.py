"""Settings: one name each, whole-file checks, the environment wins, mistakes name their place."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pyjson5
import pytest

from homarus.base.errors import Invalid
from homarus.config.channels import Binding, ChannelConfig, Match
from homarus.config.edit import changed
from homarus.config.problem import Rejected
from homarus.config.read import Origin, read, shown
from homarus.config.schema import BY_PATH, GOVERNED, KEYS, UNUSED, Key, json_schema
from homarus.config.settings import (
    DEFAULT_PORT,
    FILE,
    Settings,
    is_loopback,
    load,
    rows,
    source,
)
from homarus.kernel import settings as governed


def written(home: Path, text: str) -> Path:
    (home / "homarus.json").write_text(text)
    return home


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = load(tmp_path, {})
    assert settings == Settings(home=tmp_path)
    assert (settings.host, settings.port) == ("127.0.0.1", DEFAULT_PORT)


@pytest.mark.parametrize(
    ("file", "environment", "flag", "port", "origin"),
    [
        (None, None, None, DEFAULT_PORT, None),
        ("1", None, None, 1, Origin("file", "homarus.json:1:12")),
        ("1", "2", None, 2, Origin("environment", "HOMARUS_PORT")),
        (None, "2", 3, 3, Origin("flag", "--port")),
        ("1", None, 3, 3, Origin("flag", "--port")),
        ("1", "2", 3, 3, Origin("flag", "--port")),
        ("1", "", None, 1, Origin("file", "homarus.json:1:12")),
    ],
)
def test_flag_then_environment_then_file_then_default(
    tmp_path: Path, file: str | None, environment: str | None, flag: int | None, port: int,
    origin: Origin | None,
) -> None:  # fmt: skip
    if file is not None:
        written(tmp_path, f"{{gateway: {{port: {file}}}}}")
    environ = {} if environment is None else {"HOMARUS_PORT": environment}
    found = read(source(tmp_path, environ, port=flag))
    assert (found.settings.port, found.origins.get("gateway.port")) == (port, origin)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_every_key_is_read_from_each_place(tmp_path: Path, key: Key) -> None:
    other = OTHER[key.field]
    plain = msgspec.to_builtins(other)
    environ = NEEDS.get(key.field, {})
    if key.whole:
        environ, plain = {"SECRET": other}, "${SECRET}"
    written(tmp_path, changed("{}", key.path, plain))
    assert getattr(load(tmp_path, environ), key.field) == other
    (tmp_path / FILE).unlink()
    text = ",".join(other) if isinstance(other, tuple) and not key.shape else str(other).lower()
    if key.shape:
        text = msgspec.json.encode(other).decode()
    assert getattr(load(tmp_path, environ | {key.env: text}), key.field) == other
    given = plain if key.shape else other
    assert getattr(load(tmp_path, environ, **{key.field: given}), key.field) == other


NEEDS = {
    "host": {"HOMARUS_ALLOW_REMOTE": "true"}, "auth_mode": {"HOMARUS_TRUSTED_PROXIES": "::1"}
}  # fmt: skip
OTHER: dict[str, Any] = {
    "host": "::1", "port": 1, "allow_remote": True, "public_url": "https://a.example",
    "store": "postgresql://h/db", "log_level": "debug", "drain_s": 2.5, "anchor_s": 2.5,
    "lease_watch_s": 2.5, "session_watch_s": 2.5, "document_watch_s": 2.5, "document_hash_s": 2.5,
    "max_turns": 5, "max_task_turns": 0, "http_tools_allow": ("exec", "x"),
    "http_tools_deny": ("y",), "control_root": "/srv/control-ui", "max_connections": 5,
    "max_sockets": 5, "auth_mode": "trusted-proxy", "auth_user_header": "x-user",
    "auth_password": "correct horse battery", "trusted_proxies": ("10.0.0.0/8", "::1"),
    "reload_mode": "off", "reload_debounce_ms": 5,
    "bindings": (Binding("ada", Match("telegram")),), "channels": {"telegram": ChannelConfig()},
    "session_scope": "global", "dm_scope": "per-peer", "group_scope": "main", "main_key": "own",
    "queue_mode": "collect", "queue_by_channel": {"telegram": "steer"},
    "allowed_origins": ("https://desk.example:8443", "capacitor://localhost"),
    "identity_links": {"mia": ("telegram:1",)}, "node_commands_deny": ("system.run", "x.y"),
    "node_commands_allow": ("camera.list",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("bind", "host"),
    [("loopback", "127.0.0.1"), ("lan", "0.0.0.0"), ("127.9.9.9", "127.9.9.9"), ("::1", "::1")],
)
def test_words_for_addresses(tmp_path: Path, bind: str, host: str) -> None:
    text = f"{{gateway: {{bind: '{bind}', allowRemote: true}}}}"
    assert load(written(tmp_path, text), {}).host == host


def test_former_names_still_count_and_say_the_new_one(tmp_path: Path) -> None:
    found = read(source(written(tmp_path, "{port: 1, http_tools_deny: ['x']}"), {}))
    assert (found.settings.port, found.settings.http_tools_deny) == (1, ("x",))
    assert [(note.path, note.text) for note in found.notes] == [
        ("port", "It is called `gateway.port` now."),
        ("http_tools_deny", "It is called `gateway.tools.deny` now."),
    ]


def test_keys_of_the_originals_file_are_taken_and_named(tmp_path: Path) -> None:
    text = "{$schema: 'x', gateway: {mode: 'local', auth: {token: 'clear'}}, hooks: {a: 1}}"
    found = read(source(written(tmp_path, text), {}))
    assert [note.path for note in found.notes] == ["gateway.mode", "gateway.auth.token", "hooks"]
    assert all("not used" in note.text and "clear" not in note.text for note in found.notes)


@pytest.mark.parametrize("text, allowed", [("true", True), ("1", True), ("false", False)])
def test_a_remote_address_needs_consent(tmp_path: Path, text: str, allowed: bool) -> None:
    environ = {"HOMARUS_HOST": "0.0.0.0", "HOMARUS_ALLOW_REMOTE": text}
    if allowed:
        assert load(tmp_path, environ).host == "0.0.0.0"
    else:
        with pytest.raises(Invalid):
            load(tmp_path, environ)


@pytest.mark.parametrize(
    "host, local",
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_the_table_explains_every_setting() -> None:
    table: dict[str, Any] = {row.name: row for row in rows()}
    assert table.keys() == {"home"} | {key.path for key in KEYS}
    assert {key.field for key in KEYS} == {f.name for f in fields(Settings)} - {"home"}
    assert all(row.text and row.env.startswith("HOMARUS_") for row in table.values())


def test_what_only_a_change_sets_is_known_here() -> None:
    """Tier 0 knows the names only; the table of the kernel has the rest."""
    assert {*governed.SETTINGS} <= {*GOVERNED}


def test_no_key_is_both_used_and_not() -> None:
    paths = [*(key.path for key in KEYS), *UNUSED]
    assert len(paths) == len({*paths})
    assert [p for p in paths for other in UNUSED if p.startswith(f"{other}.")] == []


def test_the_json_schema_takes_what_the_reader_takes() -> None:
    check = jsonschema_rs.validator_for(json_schema())
    for key in KEYS:
        other = OTHER[key.field]
        value = pyjson5.decode(changed("{}", key.path, msgspec.to_builtins(other)))
        assert check.is_valid(value), key.path
    for text in ("{prot: 1}", "{gateway: {port: '1'}}", "{gateway: {port: 70000}}", "{level: 'x'}"):
        assert not check.is_valid(pyjson5.decode(text)), text
    assert check.is_valid({"store": {"source": "env", "id": "X"}, "hooks": {"x": 1}})


@pytest.mark.parametrize(
    ("gateway", "wrong"),
    [
        ("auth: {mode: 'none'}", "settings.value"),
        ("auth: {mode: 'password'}", "settings.auth"),
        ("auth: {mode: 'password', password: '${PASS}'}", None),
        ("auth: {mode: 'password', password: {source: 'env', id: 'PASS'}}", None),
        ("auth: {mode: 'password', password: '${SHORT}'}", "settings.value"),
        ("auth: {mode: 'password', password: 'correct horse battery'}", "settings.secret"),
        ("auth: {mode: 'trusted-proxy'}", "settings.auth"),
        ("auth: {mode: 'trusted-proxy'}, trustedProxies: ['10.0.0.1']", None),
        ("trustedProxies: ['10.0.0.0/8', 'fd00::/8']", None),
        ("trustedProxies: ['proxy.example']", "settings.value"),
        ("auth: {mode: 'token', token: 'x', rateLimit: {maxAttempts: 3}}", None),
        ("auth: {mode: 'tailscale'}", "settings.value"),
        ("auth: {trustedProxy: {userHeader: 'x user'}}", "settings.value"),
    ],
)
def test_how_clients_are_known(tmp_path: Path, gateway: str, wrong: str | None) -> None:
    environ = {"PASS": "correct horse battery", "SHORT": "horse"}
    place = source(written(tmp_path, f"{{gateway: {{{gateway}}}}}"), environ)
    if wrong is None:
        assert read(place).settings
        return
    with pytest.raises(Rejected) as rejected:
        read(place)
    assert rejected.value.code == wrong and "horse" not in str(rejected.value)


@pytest.mark.parametrize(
    ("nodes", "unused"),
    [
        ("commands: {allow: ['camera.list', 'system.run'], deny: ['own.thing']}", []),
        ("allowCommands: ['camera.list'], denyCommands: ['sms.send']", []),
        ("commands: {allow: ['camera.snap', 'system.run']}", ["camera.snap"]),
        ("commands: {allow: ['own.thing']}", ["own.thing"]),
        ("allowCommands: ['sms.send']", ["sms.send"]),
    ],
)  # fmt: skip
def test_commands_of_nodes(tmp_path: Path, nodes: str, unused: list[str]) -> None:
    """What nodes are never asked for is no mistake: files of OpenClaw allow it."""
    loaded = read(source(written(tmp_path, f"{{gateway: {{nodes: {{{nodes}}}}}}}"), {}))
    assert loaded.settings.node_commands_deny or loaded.settings.node_commands_allow
    said = [note.text for note in loaded.notes if note.text.startswith("Nodes are never asked")]
    assert [text.split()[5].rstrip(",") for text in said] == unused


def test_a_command_alone_is_no_list(tmp_path: Path) -> None:
    text = "{gateway: {nodes: {commands: {deny: 'system.run'}}}}"
    with pytest.raises(Rejected) as rejected:
        read(source(written(tmp_path, text), {}))
    assert "list of at most 200 texts" in str(rejected.value)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("messages: {queue: {mode: 'colect'}}", "messages.queue.mode", "Did you mean collect?"),
        ("messages: {queue: {byChannel: {telegram: 'x'}}}", "messages.queue.byChannel.telegram",
         "one of followup, collect, steer, interrupt, queue, steer-backlog"),
        ("messages: {queue: {byChannel: {Telegram: 'steer'}}}", "messages.queue.byChannel.Telegram",
         "no id of a channel"),
        ("messages: {queue: {byChannel: 'steer'}}", "messages.queue.byChannel", "object"),
        ("messages: {queue: {mod: 'steer'}}", "messages.queue.mod", "messages.queue.mode"),
        ("gateway: {controlUi: {allowedOrigins: ['*']}}", "gateway.controlUi.allowedOrigins",
         "any page that somebody visits could then speak to the gateway"),
        ("gateway: {controlUi: {allowedOrigins: ['https://a.example/']}}",
         "gateway.controlUi.allowedOrigins", "without a path"),
        ("gateway: {controlUi: {allowedOrigins: ['a.example']}}",
         "gateway.controlUi.allowedOrigins", "is no origin"),
        ("gateway: {controlUi: {allowedOrigins: ['null']}}",
         "gateway.controlUi.allowedOrigins", "is no origin"),
        ("gateway: {controlUi: {allowedOrigins: ['https://*.example']}}",
         "gateway.controlUi.allowedOrigins", "is no origin"),
        ("gateway: {controlUi: {allowedOrigins: 'https://a.example'}}",
         "gateway.controlUi.allowedOrigins", "list"),
    ],
)  # fmt: skip
def test_how_messages_wait_and_which_pages_connect(
    tmp_path: Path, text: str, path: str, words: str
) -> None:
    with pytest.raises(Rejected) as rejected:
        read(source(written(tmp_path, f"{{{text}}}"), {}))
    (problem,) = rejected.value.problems
    assert problem.path == path and problem.place is not None and problem.place.line == 1
    assert words in f"{problem.message} {problem.remedy} {problem.expected}"


def test_an_origin_of_the_environment_is_checked_too(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        load(tmp_path, {"HOMARUS_ALLOWED_ORIGINS": "https://a.example,*"})


def test_a_whole_secret_is_never_shown() -> None:
    key = BY_PATH["gateway.auth.password"]
    assert (shown(key, "correct horse battery"), shown(key, "")) == ("[redacted]", "")
