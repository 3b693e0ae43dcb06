"""Who may talk on a channel: policies of direct messages and rooms, a line a case."""

from typing import Any

import msgspec
import pytest

from homarus.config.channels import Account, ChannelConfig
from homarus.conversations import access
from homarus.conversations.routing import Peer


@pytest.mark.parametrize(
    ("channel", "said", "kept"),
    [
        ({"dmPolicy": "disabled"}, {}, False),
        ({"dmPolicy": "allowlist"}, {}, False),
        ({"dmPolicy": "allowlist", "allowFrom": [7]}, {}, True),
        ({"dmPolicy": "allowlist", "allowFrom": ["telegram:7"]}, {}, True),
        ({"dmPolicy": "allowlist", "allowFrom": ["8"]}, {}, False),
        ({"allowFrom": ["*"]}, {}, True),
        ({"dmPolicy": "open"}, {}, True),
        ({"dmPolicy": "open"}, {"room": "1", "mentioned": True}, False),
        ({"groupPolicy": "open"}, {"room": "1", "mentioned": True}, True),
        ({"groupPolicy": "open"}, {"room": "1"}, False),
        ({"groupPolicy": "disabled", "groups": {"1": {}}}, {"room": "1", "mentioned": True}, False),
        ({"groups": {"1": {}}}, {"room": "1", "mentioned": True}, True),
        ({"groups": {"1": {"requireMention": False}}}, {"room": "1"}, True),
        ({"groups": {"*": {"requireMention": False}}}, {"room": "1"}, True),
        ({"groups": {"2": {}}}, {"room": "1", "mentioned": True}, False),
        ({"groups": {"1": {"enabled": False}, "*": {}}}, {"room": "1", "mentioned": True}, False),
        ({"dmPolicy": "open", "accounts": {"default": {"dmPolicy": "disabled"}}}, {}, False),
        ({"dmPolicy": "disabled", "accounts": {"default": {"dmPolicy": "open"}}}, {}, True),
        ({}, {}, None),
        ({}, {"paired": True}, True),
        ({"dmPolicy": "allowlist"}, {"paired": True}, True),
        ({"dmPolicy": "disabled"}, {"paired": True}, False),
        ({"groupPolicy": "open", "groups": {"1": {"requireMention": False}}}, {"room": "2"}, False),
    ],
)  # fmt: skip
def test_who_is_heard(channel: dict[str, Any], said: dict[str, Any], kept: bool | None) -> None:
    """None: may ask to be let in."""
    config = msgspec.convert(channel, ChannelConfig)
    policies = access.of("telegram", config, config.accounts.get("default", Account()))
    peer = Peer("group", said["room"]) if "room" in said else Peer("direct", "7")
    found = access.decide(
        policies, peer, "7", mentioned=said.get("mentioned", False),
        paired=said.get("paired", False),
    )  # fmt: skip
    words = {True: access.HEAR, False: access.IGNORE, None: access.PAIR}
    assert found.what == words[kept]
