"""`openclaw message send`, unmodified: through a daemon of ours to a channel that it knows."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from homarus.flows import first_start
from homarus.testing.daemon import beside
from homarus.testing.fake_channel import FakeChannel
from tests.contract_openclaw.openclaw import OpenClaw, program

SEND = ("message", "send", "--channel", "telegram")


class Post(NamedTuple):
    openclaw: OpenClaw
    channel: FakeChannel


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """A daemon with one channel, and whoever owns it."""
    found = program()
    home = tmp_path_factory.mktemp("openclaw-channels")
    channel = FakeChannel("telegram")
    with beside(home / "homarus", channels=[channel]) as daemon:
        token = (home / "homarus" / "run" / first_start.GATEWAY.file).read_text().strip()
        client = OpenClaw(found, home / "client")
        client.point_at(daemon.url, token)
        yield Post(client, channel)


def test_it_is_sent(post: Post) -> None:
    done = post.openclaw.run(*SEND, "--target", "1234567", "--message", "Hello there")
    assert (done.code, "Sent via telegram" in done.out) == (0, True), done.out
    sent = post.channel.sent()[-1]
    assert (sent.target, sent.text) == ("1234567", "Hello there")


def test_its_id_as_json(post: Post) -> None:
    done = post.openclaw.run(*SEND, "--target", "1234567", "--message", "Again", "--json")
    assert done.code == 0, done.out
    assert post.channel.sent()[-1].text == "Again"
    assert '"messageId"' in done.out, done.out


def test_the_channel_is_shown(post: Post) -> None:
    done = post.openclaw.run("channels", "status")
    assert (done.code, "Telegram" in done.out) == (0, True), done.out


def test_what_the_channel_refuses_is_told(post: Post) -> None:
    post.channel.modes = ["refused"]
    done = post.openclaw.run(*SEND, "--target", "1234567", "--message", "No")
    assert (done.code, "there is no such chat" in done.out) == (1, True), done.out
