"""The awaited client and its event socket against a real daemon."""

from homarus.base.errors import Conflict
from homarus.client import AsyncClient
from homarus.testing.daemon import Daemon
from tests.support.refusals import refused


async def test_a_task_from_claim_to_done(daemon: Daemon) -> None:
    project = await daemon.project()
    async with AsyncClient(daemon.url, daemon.company_token) as client:
        node = await client.runtime.register("box-1", "The box")
        agent = await client.agents.create("tally", role="counter")
        started = await client.sessions.start(agent.id, "main", runtime_id=node.runtime_id)
        assert (started.session.status, started.memory.entries) == ("active", [])
        assert await client.agents.integrations(agent.id) == []
        await client.agents.remember(agent.id, "tabs are bad", metadata={"messageId": "m"})
        (entry,) = (await client.agents.memory(agent.id)).entries
        assert (entry.content, entry.metadata_json) == ("tabs are bad", {"messageId": "m"})

        made = await client.tasks.create(project, "some_work", "t", allowUnderspecified=True)
        assert [task.id for task in await client.tasks.list(state="inbox")] == [made.id]
        claim = await client.tasks.claim(agent.id, key="k")
        again = await client.tasks.claim(agent.id, key="k")
        assert claim is not None
        assert (claim.id, claim.number) == (made.id, made.number)
        assert again == claim
        assert await client.tasks.claim(agent.id) is None
        assert (await client.tasks.renew(claim.id, agent.id)).last_seen_at
        back = await client.tasks.release(claim.id, agent.id, lease_token=claim.lease_token)
        assert back.canonical_state == "queued"
        anew = await client.tasks.claim(agent.id, task=claim.id)
        assert anew is not None
        with refused("task.lease_lost"):
            await client.tasks.result(claim.id, agent.id, "done", lease_token=claim.lease_token)
        done = await client.tasks.result(
            anew.id, agent.id, "done", output=[1], lease_token=anew.lease_token
        )
        assert (done.state, done.output_json) == ("done", [1])
        assert [event["eventType"] for event in await client.tasks.notes(made.id)][
            -1
        ] == "task_done"
        assert (await client.sessions.end(agent.id, started.session.id)).status == "ended"
        try:
            await client.sessions.checkpoint(agent.id, started.session.id, {})
        except Conflict as error:
            assert error.code == "session.ended"


async def test_events_go_on_where_they_stopped(daemon: Daemon) -> None:
    async with AsyncClient(daemon.url, daemon.company_token) as client:
        head = (await client.runtime.feed_head()).head
        agent = await client.agents.create("tally")
        async with client.events(since_seq=head) as events:
            assert events.start.type == "connected"
            first = await anext(events)
        assert (first.type, first.data["agent"]["id"]) == ("agent_registered", agent.id)
        await client.talk.send("hello", agent=agent.id)
        async with client.events(since_seq=first.seq) as events:
            assert (await anext(events)).data["message"]["text"] == "hello"


async def test_stop_is_told(daemon: Daemon) -> None:
    async with AsyncClient(daemon.url, daemon.company_token) as client, client.events() as events:
        body = {"scope": "company", "reason": "fire"}
        made = await daemon.owner.post("/api/v1/stops", json=body)
        stop = made.json()["stop"]
        told = await anext(events)
        assert told.type == "stop_set"
        assert told.data["stop"].items() >= {
            "id": stop["id"], "scope": "company", "subject": stop["subject"], "reason": "fire",
        }.items()  # fmt: skip
        assert [one.id for one in await client.runtime.stops()] == [stop["id"]]
        await daemon.owner.delete(f"/api/v1/stops/{stop['id']}")
        assert (await anext(events)).type == "stop_lifted"
        assert await client.runtime.stops() == []
