"""Bindings, channels and identity links in the file: what is taken, and each mistake's place."""

from pathlib import Path

import msgspec
import pytest

from homarus.config.channels import Account, Binding, ChannelConfig, Group, Match, PeerMatch
from homarus.config.problem import Rejected
from homarus.config.read import Loaded, read
from homarus.config.reload import plan
from homarus.config.settings import source


def loaded(home: Path, text: str) -> Loaded:
    (home / "homarus.json").write_text(text)
    return read(source(home, {"TEAM": "blue"}))


def test_a_file_of_the_originals_kind(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        """{
          bindings: [{agentId: "ada", match: {channel: "telegram", accountId: "${TEAM}",
                      peer: {kind: "group", id: -100}}, comment: "the room"}],
          channels: {telegram: {
            dmPolicy: "allowlist", allowFrom: [7, "*"], groups: {"*": {requireMention: false}},
            accounts: {default: {}, work: {dmPolicy: "open"}}, botToken: "123:secret",
          }},
          session: {dmScope: "per-peer", identityLinks: {mia: ["telegram:7", "discord:8"]}},
        }""",
    )
    settings = found.settings
    assert settings.bindings == (
        Binding("ada", Match("telegram", "blue", PeerMatch("group", -100)), comment="the room"),
    )
    assert settings.channels == {
        "telegram": ChannelConfig(
            dm_policy="allowlist", allow_from=(7, "*"), groups={"*": Group(require_mention=False)},
            accounts={"default": Account(), "work": Account(dm_policy="open")},
        )
    }  # fmt: skip
    assert settings.identity_links == {"mia": ("telegram:7", "discord:8")}
    assert [note.path for note in found.notes] == ["channels.telegram.botToken"]
    assert b"secret" not in msgspec.json.encode(msgspec.to_builtins(settings.channels))


def test_all_of_it_counts_at_once(tmp_path: Path) -> None:
    old = loaded(tmp_path, "{}").settings
    text = "{channels: {x: {}}, bindings: [], session: {dmScope: 'per-peer', scope: 'global'}}"
    found = plan(old, loaded(tmp_path, text).settings)
    assert set(found.hot) == {"channels", "session.dmScope", "session.scope"}
    assert not found.waiting


@pytest.mark.parametrize(
    ("text", "path", "column"),
    [
        ("{bindings: {}}", "bindings", 12),
        ("{bindings: [{match: {channel: 'x'}}]}", "bindings[0]", 13),
        ("{bindings: [{agentId: 'a', match: {chanel: 'x'}}]}", "bindings[0].match", 35),
        ("{bindings: [{agentId: 'a', match: {channel: 'x', peer: {kind: 'cat', id: 1}}}]}",
         "bindings[0].match.peer.kind", 63),
        ("{bindings: [{agentId: 'a', match: {channel: 'x'}, session: {dmScope: 'all'}}]}",
         "bindings[0].session.dmScope", 70),
        ("{channels: {telegram: {dmPolicy: 'all'}}}", "channels.telegram.dmPolicy", 34),
        ("{channels: {a: {}, telegram: {allowFrom: 'x'}}}", "channels.telegram.allowFrom", 42),
        ("{channels: {t: {accounts: {a: {enabled: 1}}}}}", "channels.t.accounts.a.enabled", 41),
        ("{channels: {t: {groups: {'*': {requireMention: 'x'}}}}}",
         "channels.t.groups.*.requireMention", 48),
        ("{channels: {t: 1}}", "channels.t", 16),
        ("{channels: {Tele: {}}}", "channels.Tele", 19),
        ("{channels: {t: {accounts: {'a b': {}}}}}", "channels.t.accounts.a b", 35),
        ("{channels: {t: {defaultAccount: 'x'}}}", "channels.t.defaultAccount", 33),
        ("{session: {dmScope: 'all'}}", "session.dmScope", 21),
        ("{session: {identityLinks: {mia: ['7']}}}", "session.identityLinks.mia[0]", 34),
        ("{session: {identityLinks: {a: ['t:7'], b: ['T:7']}}}", "session.identityLinks.b[0]", 44),
        ("{session: {identityLinks: {a: 't:7'}}}", "session.identityLinks.a", 31),
        ("{channels: {t: {name: '${NOBODY}'}}}", "channels", 23),
    ],
)  # fmt: skip
def test_a_mistake_names_its_place(tmp_path: Path, text: str, path: str, column: int) -> None:
    with pytest.raises(Rejected) as rejected:
        loaded(tmp_path, text)
    (problem,) = rejected.value.problems
    assert problem.place is not None and problem.remedy
    assert (problem.path, problem.place.column) == (path, column)
