"""`homarus agent heartbeat`, `heartbeat`, `session policy` and a company's clock, in a pipe."""

import pytest

from tests.support.commands import Running


@pytest.fixture(scope="module")
def eva(running: Running) -> Running:
    assert running("agent", "create", "eva").code == 0
    return running


def test_a_heartbeat_is_set_and_shown(eva: Running) -> None:
    assert eva("agent", "heartbeat", "eva").out.split() == ["heartbeat", "off"]
    refused = eva("agent", "heartbeat", "eva", "on")
    assert (refused.code, "--executor llm" in refused.err) == (5, True)
    assert eva("agent", "update", "eva", "--executor", "llm", "--model", "scripted").code == 0
    ran = eva("agent", "heartbeat", "eva", "on", "--every", "2h", "--hours", "08:00-20:00")
    assert ran.code == 0, ran.err
    assert "08:00 to 20:00 (UTC)" in ran.out and "0 of 0 looks asked the model" in ran.out
    shown = eva("agent", "show", "eva").out
    assert "heartbeat" in shown and "2h" in shown
    row = eva.json("agent", "heartbeat", "eva", "--always", "--hours", "all")["heartbeat"]
    assert (row["callsADay"], row["activeHours"], row["enabled"]) == (12, None, True)
    assert "asks the model 12 times a day" in eva("agent", "heartbeat", "eva").out
    assert "1 on, 1 asks the model each time (12 calls a day)" in eva("status").out
    row = eva.json("agent", "heartbeat", "eva", "off", "--on-news", "--prompt", "Look.")
    assert (row["heartbeat"]["enabled"], row["heartbeat"]["prompt"]) == (False, "Look.")
    assert eva.json("agent", "heartbeat", "eva", "--prompt", "")["heartbeat"]["prompt"] is None


@pytest.mark.parametrize(
    "words, code",
    [(("--every", "5s"), 2), (("--hours", "8"), 2), (("--hours", "8-9"), 2), (("maybe",), 2)],
)  # fmt: skip
def test_what_it_cannot_be(eva: Running, words: tuple[str, ...], code: int) -> None:
    assert eva("agent", "heartbeat", "eva", *words).code == code


def test_all_of_them(eva: Running) -> None:
    assert eva("agent", "heartbeat", "eva", "on", "--every", "7d").code == 0
    assert "eva" in eva("heartbeat", "list").out
    assert eva("heartbeat", "off").out == "Heartbeats are off.\n"
    assert "switched off" in eva("heartbeat", "list").out
    assert eva.json("heartbeat", "on")["enabled"] is True
    assert eva("heartbeat", "wake", "eva", "--later").out.startswith("It hears of it")
    assert eva.json("heartbeat", "wake", "eva", "fire")["ok"] is True


def test_when_sessions_begin_anew(eva: Running) -> None:
    assert "base" in eva("session", "policy").out
    assert eva("session", "policy", "--at-hour", "5").code == 2
    ran = eva("session", "policy", "type:group", "--mode", "idle", "--idle-minutes", "90")
    assert (ran.code, "type:group" in ran.out) == (0, True)
    assert eva("session", "policy", "--mode", "daily").code == 0
    assert eva("session", "policy", "type:group", "--remove").code == 0
    assert eva("session", "policy", "type:group", "--remove").code == 3
    slug = eva.json("company", "list")["companies"][0]["slug"]
    assert eva("company", "update", slug).code == 2
    assert "Europe/Berlin" in eva("company", "update", slug, "--time-zone", "Europe/Berlin").out
    found = eva.json("session", "policy")
    assert (found["timeZone"], [row["scope"] for row in found["policies"]]) == (
        "Europe/Berlin", ["base"]
    )  # fmt: skip
