"""What an edit does, as a table; and which keys are of which kind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from homarus.config.reload import plan
from homarus.config.schema import BY_HAND, HOT, KEYS, RESTART, Settings

OLD = Settings(home=Path("/h"))
LEVEL, PORT, STORE = "logging.level", "gateway.port", "store"
EDITS: dict[str, dict[str, Any]] = {
    LEVEL: {"log_level": "debug"}, PORT: {"port": 1}, STORE: {"store": "postgresql://h/d"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "edits", "hot", "waiting", "restarts"),
    [
        ("hybrid", (), (), (), False),
        ("hybrid", (LEVEL,), (LEVEL,), (), False),
        ("hybrid", (PORT,), (), (PORT,), True),
        ("hybrid", (LEVEL, PORT), (LEVEL,), (PORT,), True),
        ("hybrid", (STORE,), (), (STORE,), False),
        ("hybrid", (PORT, STORE), (), (PORT, STORE), False),
        ("hot", (LEVEL, PORT), (LEVEL,), (PORT,), False),
        ("restart", (LEVEL,), (LEVEL,), (), True),
        ("restart", (PORT,), (), (PORT,), True),
        ("restart", (LEVEL, STORE), (LEVEL,), (STORE,), False),
        ("off", (LEVEL, PORT), (LEVEL,), (PORT,), False),
    ],
)
def test_what_an_edit_does(
    mode: str, edits: tuple[str, ...], hot: tuple[str, ...], waiting: tuple[str, ...],
    restarts: bool,
) -> None:  # fmt: skip
    old = replace(OLD, reload_mode=mode)
    wanted = replace(old, **{k: v for edit in edits for k, v in EDITS[edit].items()})
    found = plan(old, wanted)
    assert (found.hot, found.waiting, found.restarts) == (hot, waiting, restarts)
    assert found.settings == replace(old, **(EDITS[LEVEL] if LEVEL in hot else {}))


def test_the_mode_that_counts_is_the_new_one() -> None:
    assert plan(replace(OLD, reload_mode="hot"), replace(OLD, port=1)).restarts
    assert not plan(OLD, replace(OLD, port=1, reload_mode="hot")).restarts


def test_what_counts_at_once_is_what_the_daemon_asks_for_anew() -> None:
    kinds = {kind: {k.field for k in KEYS if k.applies == kind} for kind in (HOT, RESTART, BY_HAND)}
    assert kinds[HOT] == {
        "log_level", "drain_s", "max_turns", "max_task_turns", "http_tools_allow",
        "http_tools_deny", "control_root", "max_connections", "max_sockets", "auth_password",
        "auth_user_header", "trusted_proxies", "reload_mode", "reload_debounce_ms",
        "bindings", "channels", "session_scope", "dm_scope", "group_scope", "main_key",
        "identity_links", "queue_mode", "queue_by_channel", "allowed_origins",
        "node_commands_deny", "node_commands_allow",
    }  # fmt: skip
    assert kinds[BY_HAND] == {"store"}
