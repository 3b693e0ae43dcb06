"""Who may approve a change: every case of governance contract 10, as a table."""

import pytest

from homarus.base.errors import Conflict, Invalid, Refused
from homarus.changes import rules
from homarus.changes.model import MOVES, ROLE_OF_KIND, Kind, NewChange, Status
from homarus.changes.rules import Electorate, Voter

COO, CHIEF, CODER, PM, GUARD = (f"agent:{n}" for n in ("coo", "chief", "coder", "pm", "guard"))
ANN, BEN, OLA = "operator:ann", "operator:ben", "operator:ola"

NOBODY = Electorate({}, {ANN: "owner"})
TWO = Electorate({}, {ANN: "owner", BEN: "approver"})
HELPER = Electorate({}, {ANN: "owner", OLA: "operator"})
WITH_COO = Electorate({COO: "coo"}, {ANN: "owner", BEN: "approver"})
TWO_COOS = Electorate({COO: "coo", CHIEF: "coo"}, {ANN: "owner"})
WITH_GUARD = Electorate({GUARD: "approver"}, {ANN: "owner"})
TECH = Electorate({CODER: "scoder", COO: "coo"}, {ANN: "owner"})


def agent(key: str, role: str | None, **more: bool) -> Voter:
    return Voter(key, frozenset({key}), True, role, **more)


def person(key: str, role: str) -> Voter:
    return Voter(key, frozenset({key}), False, role)


YES, CONFIRM = True, False
CASES = [
    # who there is, role that is needed, author, who decides, outcome
    (WITH_COO, "coo", ANN, agent(COO, "coo"), YES),
    (WITH_COO, "coo", PM, agent(COO, "coo"), YES),
    (WITH_COO, "coo", PM, person(ANN, "owner"), "change.role"),
    (WITH_COO, "coo", PM, person(BEN, "approver"), "change.role"),
    (WITH_COO, "coo", PM, agent(CODER, "scoder"), "change.role"),
    (WITH_COO, "coo", PM, agent(PM, "pm"), "change.author"),
    # its holder is the author: a second holder, or an approver or owner
    (WITH_COO, "coo", COO, agent(COO, "coo"), "change.author"),
    (WITH_COO, "coo", COO, person(BEN, "approver"), YES),
    (WITH_COO, "coo", COO, person(OLA, "operator"), "change.role"),
    (TWO_COOS, "coo", COO, agent(CHIEF, "coo"), YES),
    (TWO_COOS, "coo", COO, person(ANN, "owner"), "change.role"),
    # no holder
    (TWO, "coo", ANN, person(BEN, "approver"), YES),
    (TWO, "coo", ANN, person(ANN, "owner"), "change.author"),
    (TWO, "coo", PM, person(ANN, "owner"), YES),
    (TWO, "coo", PM, person(OLA, "operator"), "change.role"),
    (TWO, "coo", PM, agent(CODER, None), "change.role"),
    (WITH_GUARD, "coo", ANN, agent(GUARD, "approver"), YES),
    (WITH_GUARD, "coo", ANN, person(ANN, "owner"), "change.author"),
    # the only operator is the author and nobody else may
    (NOBODY, "coo", ANN, person(ANN, "owner"), CONFIRM),
    (NOBODY, "coo", PM, person(ANN, "owner"), YES),
    (HELPER, "coo", ANN, person(ANN, "owner"), "change.author"),
    (NOBODY, "coo", COO, agent(COO, None), "change.author"),
    # technical: scoder, whatever a coo says
    (TECH, "scoder", ANN, agent(CODER, "scoder"), YES),
    (TECH, "scoder", ANN, agent(COO, "coo"), "change.role"),
    (TECH, "pm", ANN, person(ANN, "owner"), CONFIRM),
    # found on disk: nobody is the author
    (NOBODY, "coo", None, person(ANN, "owner"), YES),
    (WITH_COO, "coo", None, agent(COO, "coo"), YES),
    (WITH_COO, "coo", None, person(ANN, "owner"), "change.role"),
    # a credential that speaks for an agent decides nothing
    (WITH_COO, "coo", ANN, agent(COO, "coo", relayed=True), "change.relayed"),
]


@pytest.mark.parametrize("there, role, author, voter, outcome", CASES)
def test_who_approves(
    there: Electorate, role: str, author: str | None, voter: Voter, outcome: bool | str
) -> None:
    persons = frozenset() if author is None else frozenset({author})
    if isinstance(outcome, bool):
        assert rules.may_approve(role, persons, voter, there) is outcome
        return
    with pytest.raises(Refused) as caught:
        rules.may_approve(role, persons, voter, there)
    assert caught.value.code == outcome
    assert caught.value.remedy


@pytest.mark.parametrize(
    "voter, code",
    [
        (agent(COO, "coo"), None),
        (agent(GUARD, "approver"), None),
        (person(ANN, "owner"), None),
        (person(BEN, "approver"), None),
        (person(OLA, "operator"), "change.role"),
        (agent(PM, "pm"), "change.role"),
        (agent(COO, "coo", relayed=True), "change.relayed"),
    ],
)
def test_who_puts_in_force(voter: Voter, code: str | None) -> None:
    if code is None:
        rules.may_put_in_force("coo", voter, WITH_COO)
        return
    with pytest.raises(Refused) as caught:
        rules.may_put_in_force("coo", voter, WITH_COO)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "before, major, after",
    [
        ("1.0.0", False, "1.0.1"),
        ("5.0.9", False, "5.0.10"),
        ("5.0.9", True, "6.0.0"),
        ("5.2", False, "5.3"),
    ],
)
def test_versions(before: str, major: bool, after: str) -> None:
    assert rules.next_version(before, major=major) == after


def test_every_status_is_reached_and_final_ones_are_not_left() -> None:
    left = {status for status, _ in MOVES}
    reached = {*MOVES.values(), Status.PROPOSED, Status.FOUND}
    assert reached == {*Status}
    assert {*Status} - left == {Status.REJECTED, Status.ROLLED_BACK}
    assert {*ROLE_OF_KIND} == {*Kind}


GOOD = {
    "kind": "governed_setting", "patch": {}, "intent": "i", "impact": "i",
    "rollback_plan": "r", "validation": "v",
}  # fmt: skip


@pytest.mark.parametrize(
    "field, value, code",
    [
        ("kind", "wish", "change.kind"),
        ("intent", " ", "change.text"),
        ("impact", "", "change.text"),
        ("rollback_plan", "", "change.text"),
        ("validation", "x" * 4001, "change.text"),
        ("aspects", ("taste",), "change.aspect"),
        ("validation", "x" * 4000, None),
        ("aspects", ("content",), None),
    ],
)
def test_all_four_texts_are_wanted(field: str, value: object, code: str | None) -> None:
    new = NewChange(**(GOOD | {field: value}))  # type: ignore[arg-type]
    if code is None:
        rules.check_new(new)
        return
    with pytest.raises(Invalid) as caught:
        rules.check_new(new)
    assert caught.value.code == code


def test_a_move_that_is_none_says_what_is_possible() -> None:
    class Row:
        number, status = "C-1", Status.APPROVED

    with pytest.raises(Conflict) as caught:
        rules.moved(Row(), "validate")  # type: ignore[arg-type]
    assert caught.value.remedy == "Possible now: reject, switch."
