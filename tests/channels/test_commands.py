"""`homarus message`, `channels` and `pairing`, against a daemon with a channel."""

from pathlib import Path

import pytest

from homarus.cli.channels import issue_line
from homarus.testing.daemon import beside
from homarus.testing.fake_channel import FakeChannel
from tests.support.commands import Terminal


def test_saying_something_and_what_became_of_it(tmp_path: Path) -> None:
    channel, homarus = FakeChannel(), Terminal(tmp_path)
    with beside(tmp_path, channels=[channel]) as daemon:
        at = ("--url", daemon.url, "--token", daemon.owner_token)
        sent = homarus(*at, "message", "send", "--target", "7", "-m", "hello", "--key", "k")
        assert sent.code == 0 and "sent to telegram 7: message p1" in sent.out, sent.err
        again = homarus(*at, "--json", "message", "send", "--channel", "telegram", "-t", "7",
                        "--message", "hello", "--key", "k")  # fmt: skip
        assert '"messageId": "p1"' in again.out and channel.texts() == ["hello"]
        wrong = homarus(*at, "message", "send", "--channel", "signal", "-t", "7", "-m", "x")
        assert wrong.code != 0 and "channel not configured: signal" in wrong.err

        channel.modes = ["lost"]
        lost = homarus(*at, "message", "send", "-t", "8", "-m", "are you there?")
        assert lost.code != 0 and "homarus message show DL-2" in lost.err
        listed = homarus(*at, "message", "list", "--state", "unknown").out
        assert "DL-2" in listed and "the connection was cut" in listed
        shown = homarus(*at, "message", "show", "DL-2").out
        assert "telegram 8" in shown and "are you there?" in shown
        assert homarus(*at, "message", "retry", "DL-2").code == 0
        channel.seen(2)
        assert homarus(*at, "message", "drop", "DL-1").code == 5

        status = homarus(*at, "channels", "status", "--probe")
        assert status.code == 0 and "telegram" in status.out and "running" in status.out
        assert "telegram default: stopped" in homarus(*at, "channels", "stop", "telegram").out
        waits = homarus(*at, "message", "send", "-t", "7", "-m", "later")
        assert waits.code != 0 and "It is kept" in waits.err
        assert "telegram default: started" in homarus(*at, "channels", "start", "telegram").out
        channel.seen(3)


def test_letting_somebody_in(tmp_path: Path) -> None:
    channel, homarus = FakeChannel(), Terminal(tmp_path)
    (tmp_path / "homarus.json").write_text("{channels: {telegram: {}}}")
    with beside(tmp_path, channels=[channel]) as daemon:
        at = ("--url", daemon.url, "--token", daemon.owner_token)
        assert "Nobody" in homarus(*at, "pairing", "list").out
        channel.say("hello", sender="7", name="Mia")
        code = channel.seen(1)[0].text.partition("Pairing code: ")[2].split()[0]
        listed = homarus(*at, "pairing", "list", "telegram").out
        assert "Mia" in listed and code not in listed
        assert homarus(*at, "pairing", "approve", "telegram", "WRONG").code != 0
        assert "let in 7" in homarus(*at, "pairing", "approve", "telegram", code).out
        assert channel.seen(2)[1].text == "You are let in. Say something."


def test_a_binding_of_nobody_is_a_warning(tmp_path: Path) -> None:
    homarus = Terminal(tmp_path)
    (tmp_path / "homarus.json").write_text(
        "{channels: {telegram: {}}, bindings: [{agentId: 'gone', match: {channel: 'telegram'}}]}"
    )
    with beside(tmp_path, channels=[FakeChannel()]) as daemon:
        at = ("--url", daemon.url, "--token", daemon.owner_token)
        said = homarus(*at, "channels", "status")
        assert "names the agent 'gone'" in said.out + said.err


@pytest.mark.parametrize(
    ("kind", "account", "named"),
    [
        ("config", "work", "signal: a word. Do it."),
        ("runtime", "work", "signal work: a word. Do it."),
        ("runtime", "default", "signal: a word. Do it."),
    ],
)
def test_what_is_one_accounts_names_it(kind: str, account: str, named: str) -> None:
    issue = {"channel": "signal", "accountId": account, "kind": kind, "message": "a word",
             "fix": "Do it."}  # fmt: skip
    assert issue_line(issue) == named
