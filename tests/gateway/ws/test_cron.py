"""Jobs over the gateway's protocol (gateway contract, 9); a scripted model answers."""

from pathlib import Path
from typing import Any

import pytest

from homarus.gateway.ws import pump
from homarus.gateway.ws.pump import News
from tests.gateway.ws.conftest import ONE_LOOP
from tests.gateway.ws.talking import talking

pytestmark = ONE_LOOP
AT_SEVEN = {"kind": "cron", "expr": "0 7 * * *", "tz": "Asia/Kolkata"}
LAST = 2**62
ASK = {"kind": "agentTurn", "message": "What is new?"}


def job(**more: Any) -> dict[str, Any]:
    known = {"name": "Digest", "agentId": "ada", "schedule": AT_SEVEN, "payload": ASK,
             "sessionTarget": "isolated", "wakeMode": "now"}  # fmt: skip
    return known | {"delivery": {"mode": "none"}} | more


async def test_a_job_is_added_run_listed_changed_and_removed(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Nothing is new.") as (_, client):
        made = await client.call("cron.add", job(deleteAfterRun=False))
        assert (made["schedule"], made["payload"], made["agentId"]) == (AT_SEVEN, ASK, "ada")
        assert made["delivery"] == {"mode": "none"} and made["enabled"] is True
        assert made["state"]["nextRunAtMs"] > made["createdAtMs"]
        event = await client.event("cron")
        assert (event["action"], event["jobId"]) == ("added", made["id"])

        ran = await client.call("cron.run", {"id": made["id"], "mode": "force"})
        assert ran["ok"] and ran["enqueued"] and ran["runId"].startswith(f"manual:{made['id']}:")
        started = await client.event("cron", lambda e: e["action"] == "started")
        assert started["job"]["id"] == made["id"]
        ended = await client.event("cron", lambda e: e["action"] == "finished")
        assert (ended["status"], ended["runId"]) == ("ok", ran["runId"])
        (entry,) = (await client.call("cron.runs", {"id": made["id"]}))["entries"]
        assert (entry["status"], entry["summary"]) == ("ok", "Nothing is new.")
        assert entry["sessionKey"] == f"agent:ada:cron:{made['id']}"
        assert (await client.call("cron.runs", {"runId": ran["runId"]}))["total"] == 1
        assert (await client.call("cron.runs", {"status": "error"}))["entries"] == []

        listed = await client.call("cron.list", {"scheduleKind": "cron"})
        assert [row["state"]["lastStatus"] for row in listed["jobs"]] == ["ok"]
        patch = {"enabled": False, "schedule": {"kind": "every", "everyMs": 3_600_000}}
        changed = await client.call("cron.update", {"id": made["id"], "patch": patch})
        assert changed["schedule"]["everyMs"] == 3_600_000 and changed["enabled"] is False
        assert "nextRunAtMs" not in changed["state"] and changed["payload"] == ASK
        idle = await client.call("cron.run", {"id": made["id"], "mode": "if-enabled"})
        assert idle["enqueued"] is False
        after = await client.call("cron.list", {"includeDisabled": True})
        assert after["snapshotRevision"] != listed["snapshotRevision"]
        removed = await client.call("cron.remove", {"id": made["id"]})
        assert removed == {"ok": True, "removed": True}
        assert not (await client.call("cron.remove", {"id": made["id"]}))["removed"]


async def test_a_run_that_ended_before_its_news_were_read_still_started(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Nothing is new.") as (asked, client):
        made = await client.call("cron.add", job(deleteAfterRun=False))
        await client.call("cron.run", {"id": made["id"], "mode": "force"})
        await client.event("cron", lambda e: e["action"] == "finished")
        company = asked.daemon.company_id
        page = await asked.daemon.app.store.read(pump.read_page, company, 0, LAST)
        told = [one.payload for one in page.told if isinstance(one, News) and one.name == "cron"]
        assert [news["action"] for news in told] == ["added", "started", "finished"]
        assert told[1]["runAtMs"] == told[1]["ts"] and "status" not in told[1]


@pytest.mark.parametrize(
    "more, said",
    [
        ({"schedule": {"kind": "on-exit"}}, "schedule"),
        ({"schedule": {"kind": "cron", "expr": "0 0 31 2 *"}}, "never comes"),
        ({"schedule": {"kind": "every", "everyMs": 1000}}, "1000 ms after"),
        ({"schedule": {"kind": "at", "at": "2020-01-01T00:00:00Z"}}, "not in the future"),
        ({"schedule": {"kind": "cron", "expr": "0 7 * * *", "tz": "Mars/Base"}}, "time zone"),
        ({"payload": {"kind": "command", "argv": ["rm"]}}, "capability"),
        ({"payload": {"kind": "agentTurn", "message": ""}}, "empty"),
        ({"agentId": "nobody"}, "nobody"),
    ],
)
async def test_what_no_job_can_be(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        error = await client.error("cron.add", job(**more))
        assert error["code"] == "INVALID_REQUEST" and said in error["message"]
        assert (await client.call("cron.list", {"includeDisabled": True}))["jobs"] == []
