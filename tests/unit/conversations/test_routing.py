"""Which agent answers, and in which session (gateway contract, 10): a line a case."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.config.channels import Binding, BindingScopes, Match, PeerMatch
from homarus.conversations import keys, routing
from homarus.conversations.routing import Origin, Peer, Roster, Rules

HERE = Origin("telegram", "default", Peer("direct", "7"))
ROOM = Origin("discord", "default", Peer("channel", "9"), parent=Peer("channel", "8"), guild="g",
              team="t", roles=frozenset({"Dev"}))  # fmt: skip
ALL = Roster({name: name for name in ("ada", "bob", "main")} | {"0199-id": "ada"}, "main")


def bound(agent: str, channel: str = "discord", **match: Any) -> Binding:
    return Binding(agent, Match(channel, **match))


NARROWER = (
    (1, {"peer": PeerMatch("channel", "9")}),
    (2, {"peer": PeerMatch("channel", "8")}),
    (3, {"peer": PeerMatch("channel", "*")}),
    (4, {"guild_id": "g", "roles": ("dev",)}),
    (5, {"guild_id": "g"}),
    (6, {"team_id": "t"}),
    (7, {}),
    (8, {"account_id": "*"}),
)


@pytest.mark.parametrize("n", range(len(NARROWER)))
def test_the_narrowest_of_those_that_fit_wins_wherever_it_stands(n: int) -> None:
    tier, match = NARROWER[n]
    wider = [bound("bob", **each) for _, each in NARROWER[n + 1 :]]
    for bindings in ((bound("ada", **match), *wider), (*wider, bound("ada", **match))):
        found = routing.route(Rules(bindings=tuple(bindings)), ROOM, ALL)
        assert found is not None and (found.agent, found.tier) == ("ada", tier)


@pytest.mark.parametrize("tier, match", NARROWER)
def test_within_a_tier_the_first_wins(tier: int, match: dict[str, Any]) -> None:
    rules = Rules(bindings=(bound("ada", **match), bound("bob", **match)))
    found = routing.route(rules, ROOM, ALL)
    assert found is not None and (found.agent, found.tier) == ("ada", tier)


@pytest.mark.parametrize(
    ("match", "tier"),
    [
        ({"channel": "telegram"}, 9),
        ({"account_id": "work"}, 9),
        ({"account_id": "default"}, 7),
        ({"account_id": "DEFAULT "}, 7),
        ({"guild_id": "other"}, 9),
        ({"guild_id": "G"}, 5),
        ({"guild_id": "g", "roles": ("chef",)}, 9),
        ({"guild_id": "g", "roles": ("chef", "DEV")}, 4),
        ({"roles": ("dev",)}, 7),
        ({"roles": ("chef",)}, 9),
        ({"team_id": "u"}, 9),
        ({"team_id": "t", "guild_id": "g"}, 5),
        ({"peer": PeerMatch("channel", "9"), "guild_id": "other"}, 9),
        ({"peer": PeerMatch("channel", 9)}, 1),
        ({"peer": PeerMatch("group", "9")}, 1),
        ({"peer": PeerMatch("direct", "9")}, 9),
        ({"peer": PeerMatch("dm", "*")}, 9),
        ({"peer": PeerMatch("channel", "10")}, 9),
        ({"peer": PeerMatch("group", "*")}, 3),
    ],
)
def test_all_that_a_binding_gives_must_hold(match: dict[str, Any], tier: int) -> None:
    binding = Binding("ada", Match(**({"channel": "discord"} | match)))
    found = routing.route(Rules(bindings=(binding,)), ROOM, ALL)
    assert found is not None
    assert (found.agent, found.tier) == ("main" if tier == 9 else "ada", tier)


@pytest.mark.parametrize(
    ("account", "defaults", "agent"),
    [
        ("default", {}, "ada"), ("work", {}, "main"), ("work", {"telegram": "work"}, "ada"),
        ("default", {"telegram": "work"}, "main"),
    ],
)  # fmt: skip
def test_no_account_means_the_channels_default(
    account: str, defaults: dict[str, str], agent: str
) -> None:
    rules = Rules(bindings=(bound("ada", "telegram"),), defaults=defaults)
    found = routing.route(rules, Origin("telegram", account, Peer("direct", "7")), ALL)
    assert found is not None and found.agent == agent


@pytest.mark.parametrize(
    ("agents", "default", "expected"),
    [
        ({"main"}, "main", ("main", "gone")), ({"gone"}, None, ("gone", None)),
        ({"ada", "bob"}, None, None),
    ],
)  # fmt: skip
def test_an_agent_that_is_not_there_is_stood_in_for(
    agents: set[str], default: str | None, expected: tuple[str, str | None] | None
) -> None:
    rules = Rules(bindings=(bound("gone", "telegram"),))
    found = routing.route(rules, HERE, Roster({name: name for name in agents}, default))
    assert (None if found is None else (found.agent, found.missing)) == expected


def test_a_binding_may_name_an_agent_by_its_id() -> None:
    found = routing.route(Rules(bindings=(bound("0199-id", "telegram"),)), HERE, ALL)
    assert found is not None and (found.key, found.missing) == ("agent:ada:main", None)


@pytest.mark.parametrize(
    ("rules", "origin", "key", "kind"),
    [
        ({}, {}, "agent:main:main", "direct"),
        ({"dm_scope": "per-peer"}, {}, "agent:main:direct:7", "direct"),
        ({"dm_scope": "per-channel-peer"}, {}, "agent:main:telegram:direct:7", "direct"),
        ({"dm_scope": "per-account-channel-peer"}, {}, "agent:main:telegram:default:direct:7",
         "direct"),
        ({"dm_scope": "per-peer", "links": {"telegram:7": "Mia"}}, {}, "agent:main:direct:mia",
         "direct"),
        ({"dm_scope": "per-channel-peer", "links": {"telegram:8": "mia"}}, {},
         "agent:main:telegram:direct:7", "direct"),
        ({"links": {"telegram:7": "mia"}}, {}, "agent:main:main", "direct"),
        ({}, {"peer": Peer("group", "-100")}, "agent:main:telegram:group:-100", "group"),
        ({}, {"peer": Peer("channel", "C1")}, "agent:main:telegram:channel:c1", "group"),
        ({"group_scope": "main"}, {"peer": Peer("group", "1")}, "agent:main:main", "group"),
        ({}, {"peer": Peer("group", "1"), "thread": "5"},
         "agent:main:telegram:group:1:thread:5", "thread"),
        ({}, {"peer": Peer("group", "1"), "thread": "5", "thread_word": "topic"},
         "agent:main:telegram:group:1:topic:5", "thread"),
        ({}, {"thread": "5"}, "agent:main:main:thread:5", "thread"),
        ({"scope": "global"}, {"peer": Peer("group", "1")}, "agent:main:global", "group"),
        ({"dm_scope": "per-peer"}, {"peer": Peer("direct", "@a:b.org")},
         "agent:main:direct:@a%3ab.org", "direct"),
    ],
)  # fmt: skip
def test_session_keys(rules: dict[str, Any], origin: dict[str, Any], key: str, kind: str) -> None:
    made = Origin(**({"channel": "telegram", "account": "default", "peer": HERE.peer} | origin))
    found = routing.route(Rules(**rules), made, ALL)
    assert found is not None and (found.key, found.kind) == (key, kind)


def test_a_binding_has_scopes_of_its_own() -> None:
    scopes = BindingScopes("per-peer", "main")
    rules = Rules(bindings=(Binding("ada", Match("telegram"), scopes),))
    room = Origin("telegram", "default", Peer("group", "1"))
    found = [routing.route(rules, origin, ALL) for origin in (HERE, room)]
    assert [each and each.key for each in found] == ["agent:ada:direct:7", "agent:ada:main"]


IDS = st.text(min_size=1, max_size=140).filter(lambda text: bool(text.strip()))
PEERS = st.builds(Peer, st.sampled_from(routing.KINDS), IDS)
ORIGINS = st.builds(
    Origin, st.sampled_from(["telegram", "x"]), st.sampled_from(["default", "work"]), PEERS,
    st.none() | PEERS, st.none() | IDS, st.sampled_from(["thread", "topic"]),
    st.none() | st.just("g"), st.none() | st.just("t"),
    st.frozensets(st.sampled_from(["a", "b"])),
)  # fmt: skip
MATCHES = st.builds(
    Match, st.sampled_from(["telegram", "x"]), st.sampled_from([None, "*", "default", "work"]),
    st.none() | st.builds(PeerMatch, st.sampled_from(["dm", "group", "channel"]), st.just("*")),
    st.sampled_from([None, "g", "h"]), st.sampled_from([None, "t"]),
    st.sampled_from([(), ("a",)]),
)  # fmt: skip
BINDINGS = st.builds(
    Binding, st.sampled_from(["ada", "Bob", "gone"]), MATCHES,
    st.builds(BindingScopes, st.sampled_from([None, "per-account-channel-peer", "per-peer"]),
              st.sampled_from([None, "main"])),
)  # fmt: skip


@given(ORIGINS, st.lists(BINDINGS, max_size=6), st.sampled_from(["per-sender", "global"]))
def test_exactly_one_agent_is_chosen_and_its_key_is_read_back(
    origin: Origin, bindings: list[Binding], scope: str
) -> None:
    rules = Rules(bindings=tuple(bindings), scope=scope, dm_scope="per-channel-peer")
    found = routing.route(rules, origin, ALL)
    assert found is not None and found.agent in ALL.agents.values()
    assert keys.parse(found.key) == found.key == keys.resolve(found.key, found.agent)
    assert keys.agent_of(found.key) == found.agent
    fits = [routing.tier_of(rules, each, origin) for each in bindings]
    assert found.tier == min([tier for tier in fits if tier is not None], default=9)


@given(IDS, IDS)
def test_two_people_have_two_sessions(one: str, other: str) -> None:
    if one.strip().lower() != other.strip().lower():
        assert keys.part(one) != keys.part(other)
