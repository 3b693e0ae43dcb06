"""Backups over the wire leave a receipt before and after, and a folder that verifies."""

import json

import pytest

from homarus.base.errors import HomarusError
from homarus.control_plane import backups
from homarus.records.blobs import Blobs
from homarus.store.restore import verify
from homarus.testing.ground import ground
from homarus.testing.streams import BodyStream, call


@pytest.fixture
async def g(tmp_path):
    async with ground(tmp_path) as made:
        yield made


def stream(g):
    return BodyStream(g.store, g.home, Blobs(g.home / "blobs"), g.action("store.backup"))


async def kinds(g):
    rows = await g.read(
        lambda rx: rx.all("select kind from event where company_no=1 and kind like 'backup%'")
    )
    return [row[0] for row in rows]


async def test_take_and_list(g):
    reply = await backups.taken(stream(g), call(g.company))
    made = json.loads(reply.body)["backup"]
    assert reply.status == 201
    assert verify(g.home / "backups" / made["name"])[1] == []
    g.clock.advance(1_000)
    again = json.loads((await backups.taken(stream(g), call(g.company))).body)["backup"]
    listed = json.loads((await backups.listed(stream(g), call(g.company))).body)["backups"]
    assert [one["name"] for one in listed] == [again["name"], made["name"]]
    assert await kinds(g) == ["backup_started", "backup_taken"] * 2


async def test_a_failure_is_told_and_noted(g):
    (g.home / "run" / "master.key").unlink()
    with pytest.raises(HomarusError, match=r"backup\.failed"):
        await backups.taken(stream(g), call(g.company))
    assert await kinds(g) == ["backup_started", "backup_failed"]
    assert json.loads((await backups.listed(stream(g), call(g.company))).body)["backups"] == []
