"""The pure decisions of the four steps: who, whether, which level; with their exact boundaries."""

import pytest

from homarus.flows import intents, mainline, roster
from homarus.flows.roster import Member


def member(name: str, role: str | None = None, *skills: str, **more: object) -> Member:
    fields = {"trust": 60, "suspended": False, "active": 0, "limit": 1, "status": "online"}
    return Member(id=name, name=name, role=role, skills=frozenset(skills), **(fields | more))  # type: ignore[arg-type]


PM = member("pat", "pm")
WHO = [
    # the others, intent, professions, who it is for
    ([member("ops", "ops", "config")], "openclaw config file", {}, None),
    ([member("ops", "ops", "config file")], "openclaw config file", {}, "ops"),
    ([member("ops", "ops", "config", "file")], "openclaw config file", {}, "ops"),
    ([member("ops", "ops")], "ask ops about it", {}, "ops"),
    ([member("sue", "scoder")], "it", {"scoder": 1.9}, None),
    ([member("sue", "scoder")], "it", {"scoder": 2.0}, "sue"),
    ([member("sue", "scoder")], "it", {"scoder": 4.0, "pm": 2.1}, None),
    ([member("sue", "scoder")], "it", {"scoder": 4.0, "pm": 2.0}, "sue"),
    ([member("sue", "scoder", suspended=True)], "it", {"scoder": 9.0}, None),
    ([], "design it", {}, None),
]


@pytest.mark.parametrize("others, intent, professions, expected", WHO)
def test_who(
    others: list[Member], intent: str, professions: dict[str, float], expected: str | None
) -> None:
    found = roster.choose([PM, *others], "pat", intents.words(intent), professions)
    assert (found.other and found.other.id) == expected


@pytest.mark.parametrize(
    "better, worse",
    [
        ({}, {"active": 1}),
        ({"active": 1, "limit": 4}, {"active": 3, "limit": 4}),
        ({"trust": 80}, {"trust": 60}),
        ({}, {"limit": 0}),
    ],
)
def test_of_two_that_fit_the_freer_and_more_trusted_one_comes_first(
    better: dict[str, int], worse: dict[str, int]
) -> None:
    two = [member("a", "x", "sql", **worse), member("b", "x", "sql", **better)]
    found = roster.choose(two, None, intents.words("tune the sql"), {})
    assert [fit.member.id for fit in found.fits] == ["b", "a"]


CARD = [
    # intent, agents, new?, card there?, needed
    ("fix a heading", 1, False, None, False),
    ("move 9 files", 1, False, None, False),
    ("move 10 files", 1, False, None, True),
    ("move 10 python files", 1, False, None, True),
    ("fix a heading", 2, False, None, False),
    ("fix a heading", 3, False, None, True),
    ("in two phases", 1, False, None, True),
    ("fix it", 1, True, None, True),
    ("fix it", 1, True, "C-7", False),
]


@pytest.mark.parametrize("intent, agents, is_new, number, needed", CARD)
def test_whether(intent: str, agents: int, is_new: bool, number: str | None, needed: bool) -> None:
    found = mainline.card(
        intent, intents.words(intent), agents=agents, is_new=is_new, number=number
    )
    assert found.needed is needed
    assert found.evidence()["card"] == number


@pytest.mark.parametrize(
    "other, large, governance, level",
    [
        (False, False, False, 0),
        (True, False, False, 1),
        (False, True, False, 2),
        (True, True, False, 2),
        (False, False, True, 3),
        (True, True, True, 3),
    ],
)
def test_level(other: bool, large: bool, governance: bool, level: int) -> None:
    assert mainline.level_of(other=other, large=large, governance=governance) == level
