"""What of a turn in OpenClaw's file of jobs is taken, and what is named as left."""

import json
from typing import Any

import pytest

from homarus.importers import cron

NONE = {"mode": "none"}
LAST = {"mode": "announce", "channel": "last"}
THERE = {"mode": "announce", "channel": "telegram", "to": "7"}
HOOK = {"mode": "webhook", "to": "https://a.example"}


def plan(payload: dict[str, Any], **row: Any) -> cron.Plan:
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
