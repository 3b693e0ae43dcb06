"""What of a turn in OpenClaw's file of jobs is taken, and what is named as left."""

import json
from typing import Any

import pytest

from homarus.importers import cron
from homarus.importers.cron_plan import Plan

NONE = {"mode": "none"}
LAST = {"mode": "announce", "channel": "last"}
THERE = {"mode": "announce", "channel": "telegram", "to": "7"}
HOOK = {"mode": "webhook", "to": "https://a.example"}


def plan(payload: dict[str, Any], **row: Any) -> Plan:
    turn = {"kind": "agentTurn", "message": "Well?"} | payload
    known = {"name": "Digest", "schedule": {"kind": "every", "everyMs": 600_000}, "payload": turn}
    return cron.openclaw(json.dumps({"version": 1, "jobs": [known | row]}), "ada")


@pytest.mark.parametrize(
    ("payload", "row", "how", "delivery", "left"),
    [
        ({}, {}, {}, None, []),
        ({"model": "m", "thinking": "low", "timeoutSeconds": 60}, {},
         {"model": "m", "thinking": "low", "timeoutSeconds": 60}, None, []),
        ({"timeoutSeconds": 0, "toolsAllow": ["*"]}, {}, {"toolsAllow": ["*"]}, None, []),
        ({"toolsAllow": ["read", "web_*"]}, {}, {"toolsAllow": ["read", "web_*"]}, None, []),
        ({"toolsAllow": []}, {}, {"toolsAllow": []}, None, []),
        ({"thinking": "xhigh", "lightContext": True}, {}, {}, None, ["lightContext", "thinking"]),
        ({}, {"delivery": NONE}, {}, NONE, []),
        ({}, {"delivery": LAST}, {}, LAST, []),
        ({}, {"delivery": THERE | {"bestEffort": True}}, {}, THERE | {"bestEffort": True}, []),
        ({}, {"delivery": THERE | {"failureDestination": {}}}, {}, THERE,
         ["delivery.failureDestination"]),
        ({}, {"delivery": HOOK}, {}, NONE, ["delivery"]),
        ({"deliver": True, "channel": "telegram", "to": "7"}, {}, {}, THERE, []),
        ({"to": "7", "channel": "telegram"}, {}, {}, THERE, []),
        ({"deliver": True}, {}, {}, LAST, []),
        ({"deliver": False, "to": "7"}, {}, {}, NONE, []),
    ],
)  # fmt: skip
def test_a_turn(
    payload: dict[str, Any], row: dict[str, Any], how: dict[str, Any],
    delivery: dict[str, Any] | None, left: list[str],
) -> None:  # fmt: skip
    found = plan(payload, **row)
    (job,) = found.jobs
    assert job.body["work"] == {"kind": "turn", "message": "Well?"} | how
    assert job.body.get("delivery") == delivery
    assert [one.what for one in found.left] == [f"Digest: {field}" for field in left]


@pytest.mark.parametrize("named", [["group:fs"], "read", [1]])
def test_a_turn_that_may_use_a_group_of_tools_is_left(named: Any) -> None:
    found = plan({"toolsAllow": named})
    assert found.jobs == () and "groups of tools" in found.left[0].why


def rows(*rows: dict[str, Any]) -> Plan:
    known = {"schedule": {"kind": "cron", "expr": "0 9 * * *"},
             "payload": {"kind": "agentTurn", "message": "Well?"}}  # fmt: skip
    return cron.openclaw(json.dumps({"version": 1, "jobs": [known | row for row in rows]}), "ada")


def test_a_job_is_the_same_wherever_it_stands_in_the_file() -> None:
    nameless = {"payload": {"kind": "agentTurn", "message": "Who am I?"}}
    alone, beside = rows(nameless), rows({"id": "a"}, nameless)
    assert alone.jobs[0].key == beside.jobs[1].key


@pytest.mark.parametrize(
    "second", [{"id": "a"}, {"id": "A"}, {"id": None, "name": "a"}, {"id": "a", "agentId": "ada"}]
)
def test_of_two_jobs_with_one_id_the_second_is_left(second: dict[str, Any]) -> None:
    found = rows({"id": "a", "name": "First"}, {"name": "Second"} | second)
    assert [job.body["name"] for job in found.jobs] == ["First"]
    assert found.left[0].why.startswith("its id is that of job 1")


def test_one_id_at_two_agents_is_two_jobs() -> None:
    assert len(rows({"id": "a"}, {"id": "a", "agentId": "bob"}).jobs) == 2


@pytest.mark.parametrize(
    "odd",
    [
        {"agentId": 7}, {"payload": []}, {"schedule": "daily"}, {"schedule": {"kind": "every"}},
        {"schedule": {"kind": "cron", "expr": None}}, {"schedule": {"kind": "on-exit"}},
    ],
)  # fmt: skip
def test_a_row_that_says_nothing_usable_is_left(odd: dict[str, Any]) -> None:
    found = rows(odd, {"id": "b"})
    assert [job.body["key"] for job in found.jobs] == ["b"] and len(found.left) == 1


def test_a_moment_may_be_said_as_older_files_do() -> None:
    (job,) = rows({"id": "a", "schedule": {"kind": "at", "atMs": 1_900_000_000_000}}).jobs
    assert job.body["schedule"] == {"kind": "at", "at": 1_900_000_000_000}
