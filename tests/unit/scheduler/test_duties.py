"""Housekeeping by jobs, all of it, in a daemon."""

from pathlib import Path

from homarus.flows.scheduling import DUTIES
from homarus.testing.daemon import key, running


async def test_every_duty_runs_in_a_daemon(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon:
        for duty in DUTIES:
            body = {"name": duty, "work": {"kind": "maintenance", "duty": duty}}
            made = await daemon.owner.post("/api/v1/jobs", json=body, headers=key())
            assert made.status_code == 201, made.text
            path = f"/api/v1/jobs/cron.company.{duty}/runs"
            assert (await daemon.owner.post(path, json={}, headers=key())).status_code == 201
        states = await settled(daemon, len(DUTIES))
        assert states == dict.fromkeys((f"cron.company.{duty}" for duty in DUTIES), ("done", None))
        assert list((tmp_path / "home" / "backups").iterdir())


async def settled(daemon, count: int):  # type: ignore[no-untyped-def]
    """Each job's run, once all have ended."""
    feed, company = daemon.app.feed, daemon.app.home_facts.company
    while True:
        seq = await feed.head(company)
        rows = (await daemon.owner.get("/api/v1/job-runs")).json()["runs"]
        if sum(row["endedAt"] is not None for row in rows) == count:
            return {row["jobName"]: (row["state"], row["reason"]) for row in rows}
        await feed.wait(company, seq, 30)
