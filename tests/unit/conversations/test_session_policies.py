"""When a session begins anew by itself (gateway contract, 12.5). Pure."""

from datetime import UTC, datetime
from typing import Any

import pytest

from homarus.base.errors import Invalid
from homarus.conversations import session_policies as policies
from homarus.conversations.session_policies import Policy
from homarus.conversations.sessions import Session

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
DAILY = Policy("daily")
IDLE = Policy("idle", idle_minutes=60)
BOTH = Policy("daily", at_hour=4, idle_minutes=60)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def session(begun: str, spoken: str) -> Session:
    return Session(
        id="s", company="c", agent="a", key="agent:ada:main", kind="direct", conversation="k",
        task="t", label=None, model=None, thinking=None, queue_mode=None, entries=2, first_kept=1,
        compactions=0, input_tokens=0, output_tokens=0, context_tokens=0, created_ms=at(begun),
        updated_ms=at(spoken), interaction_ms=at(spoken), ended_ms=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    "policy, zone, begun, spoken, now, stale",
    [
        (policies.NEVER, "UTC", "2020-01-01T00:00", "2020-01-01T00:00", "2026-01-01T00:00", False),
        # daily: begun before the last 04:00
        (DAILY, "UTC", "2026-05-05T03:59", "2026-05-05T03:59", "2026-05-05T03:59:59.999", False),
        (DAILY, "UTC", "2026-05-05T03:59", "2026-05-05T03:59", "2026-05-05T04:00", True),
        (DAILY, "UTC", "2026-05-05T04:00", "2026-05-05T04:00", "2026-05-05T04:00", False),
        (DAILY, "UTC", "2026-05-05T04:00", "2026-05-05T04:00", "2026-05-06T03:59", False),
        (DAILY, "UTC", "2026-05-05T04:00", "2026-05-06T03:59", "2026-05-06T04:00", True),
        (Policy("daily", at_hour=0), "UTC", "2026-05-05T23:59", "2026-05-05T23:59",
         "2026-05-06T00:00", True),
        (Policy("daily", at_hour=23), "UTC", "2026-05-05T23:00", "2026-05-05T23:00",
         "2026-05-06T22:59", False),
        # on the company's clock
        (DAILY, BERLIN, "2026-01-05T02:59", "2026-01-05T02:59", "2026-01-05T03:00", True),
        (DAILY, BERLIN, "2026-07-05T01:59", "2026-07-05T01:59", "2026-07-05T02:00", True),
        (DAILY, NEW_YORK, "2026-01-05T08:59", "2026-01-05T08:59", "2026-01-05T08:59:59", False),
        # the night in which the clocks go forward has 23 hours, the one back 25
        (DAILY, BERLIN, "2026-03-28T03:00", "2026-03-28T03:00", "2026-03-29T01:59", False),
        (DAILY, BERLIN, "2026-03-28T03:00", "2026-03-28T03:00", "2026-03-29T02:00", True),
        (DAILY, BERLIN, "2026-10-24T02:00", "2026-10-24T02:00", "2026-10-25T02:59", False),
        (DAILY, BERLIN, "2026-10-24T02:00", "2026-10-24T02:00", "2026-10-25T03:00", True),
        # an hour that is left out counts where it would have been: 02:00 in New York is 03:00
        (Policy("daily", at_hour=2), NEW_YORK, "2026-03-08T06:59", "2026-03-08T06:59",
         "2026-03-08T07:00", True),
        # an hour that comes twice counts the first time
        (Policy("daily", at_hour=1), NEW_YORK, "2026-11-01T05:00", "2026-11-01T05:00",
         "2026-11-01T06:30", False),
        # idle: more than so long without a word
        (IDLE, "UTC", "2026-05-05T10:00", "2026-05-05T12:00", "2026-05-05T13:00", False),
        (IDLE, "UTC", "2026-05-05T10:00", "2026-05-05T12:00", "2026-05-05T13:00:00.001", True),
        (IDLE, "UTC", "2026-05-01T10:00", "2026-05-05T12:00", "2026-05-05T12:30", False),
        # whichever comes first
        (BOTH, "UTC", "2026-05-05T10:00", "2026-05-05T12:00", "2026-05-05T13:01", True),
        (BOTH, "UTC", "2026-05-05T03:50", "2026-05-05T03:59", "2026-05-05T04:00", True),
        (BOTH, "UTC", "2026-05-05T10:00", "2026-05-05T12:00", "2026-05-05T12:59", False),
    ],
)  # fmt: skip
def test_stale(policy: Policy, zone: str, begun: str, spoken: str, now: str, stale: bool) -> None:
    assert policies.is_stale(policy, session(begun, spoken), zone, at(now)) is stale


@pytest.mark.parametrize(
    "key, kind, expected",
    [
        ("agent:ada:main", "direct", ["session:agent:ada:main", "type:direct", "base"]),
        ("agent:ada:telegram:group:7", "group",
         ["session:agent:ada:telegram:group:7", "channel:telegram", "type:group", "base"]),
        ("agent:ada:telegram:group:7:thread:9", "group",
         ["session:agent:ada:telegram:group:7:thread:9", "channel:telegram", "type:thread",
          "base"]),
        ("agent:ada:telegram:direct:7", "http",
         ["session:agent:ada:telegram:direct:7", "channel:telegram", "type:direct", "base"]),
        ("agent:ada:side", "http", ["session:agent:ada:side", "base"]),
    ],
)  # fmt: skip
def test_the_narrowest_scope_first(key: str, kind: str, expected: list[str]) -> None:
    assert policies.scopes(key, kind) == expected


@pytest.mark.parametrize(
    "given, kept",
    [
        ("base", "base"), (" BASE ", "base"), ("type:Group", "type:group"),
        ("channel:Telegram", "channel:telegram"),
        ("session:agent:Ada:main", "session:agent:ada:main"),
    ],
)  # fmt: skip
def test_scopes(given: str, kept: str) -> None:
    assert policies.check_scope(given) == kept


@pytest.mark.parametrize(
    "scope",
    ["", "base:x", "type:", "type:http", "channel:", "channel:a b", "session:", "session:x"],
)
def test_no_scopes(scope: str) -> None:
    with pytest.raises(Invalid):
        policies.check_scope(scope)


@pytest.mark.parametrize(
    "values",
    [("weekly",), ("daily", 24), ("daily", -1), ("idle",), ("idle", 4, 0), ("idle", 4, 525_601)],
)
def test_no_policies(values: Any) -> None:
    with pytest.raises(Invalid):
        policies.check(Policy(*values))
