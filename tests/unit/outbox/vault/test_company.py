"""A company of 200 tasks in a vault: rows of a store, carried by a small driver over the port."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from homarus.company import calendar
from homarus.flows import mirror_records
from homarus.outbox.port import Done
from homarus.outbox.vault import names, note
from homarus.records import wiki
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as task_sql
from homarus.testing.ground import ground
from homarus.testing.shop import OWNER, Shop, open_shop
from homarus.testing.vaults import VaultBench

TASKS = 200
Fields = dict[str, Any]


def task_fields(rx: Rx, company: str) -> dict[str, Fields]:
    rows = task_sql.listed(rx, company, limit=TASKS + 10)
    return {
        task.number: {
            "title": spec.input["title"], "state": task.state.value, "priority": task.priority,
            "description": "Do it.\n\n- one\n- two",
        }
        for task, spec in rows
    }  # fmt: skip


def record_fields(rx: Rx, company: str) -> dict[str, Fields]:
    found = [
        mirror_records.calendar_event(rx, company, id_)
        for id_ in mirror_records.calendar_ids(rx, company, "", 100)
    ] + [
        mirror_records.wiki_doc(rx, company, id_)
        for id_ in mirror_records.wiki_ids(rx, company, "", 100)
    ]
    return dict(row for row in found if row is not None)


def fill(tx: Tx) -> None:
    top = wiki.create(tx, wiki.WikiChange(title="House", body="# Rules\n\nShut the door.\n"))
    wiki.create(tx, wiki.WikiChange(title="Door", body="Left one.", parent=top.id))
    change = calendar.EventChange(
        title="Review", start="2026-01-02T09:30", end="2026-01-02T10:30", zone="Europe/Berlin",
        attendees=("ada", "bob"), task=None,
    )  # fmt: skip
    calendar.create(tx, change)


KIND = {"T": "task", "E": "calendar_event", "W": "wiki_doc"}


class Driver:
    """Pushes each row as it stands, as the worker does."""

    def __init__(self, shop: Shop, bench: VaultBench) -> None:
        self.shop = shop
        self.bench = bench
        self.rows: dict[str, Fields] = {}

    async def drain(self) -> None:
        g = self.shop.ground
        rows = await g.read(record_fields, g.company) | await g.read(task_fields, g.company)
        for number in self.rows.keys() - rows.keys():
            await self._push(number, None)
        for number, fields in rows.items():
            await self._push(number, fields)
        self.rows = rows
        await self.bench.restart()

    def note(self, no: int) -> Path:
        return self.bench.path / self.bench.receipts[f"T-{no}"]

    async def _push(self, number: str, fields: Fields | None) -> None:
        kind, no = KIND[number[0]], int(number[2:])
        work = (
            self.bench.delete(kind, no) if fields is None else self.bench.push(kind, no, **fields)
        )
        assert isinstance(await work, Done), number


@pytest.fixture
async def driver(tmp_path: Path) -> Any:
    async with ground(tmp_path / "company", fresh=True) as g:
        shop = await open_shop(g)
        for n in range(TASKS):
            await shop.task(priority=n)
        await shop.do("wiki.create", OWNER, fill)
        yield Driver(shop, VaultBench(tmp_path))


async def test_a_company_in_a_vault(driver: Driver) -> None:
    bench, shop = driver.bench, driver.shop
    await driver.drain()
    files = bench.files()
    assert len(files) == TASKS + 3 + 2  # Tasks.base and Today.md
    for path, content in files.items():
        name = path.rpartition("/")[2]
        assert names.is_legal(name), name
        if name.endswith(names.SUFFIX):
            front = yaml.safe_load(content.decode().split("---\n")[1])
            assert front[note.ID] and front[note.HASH]
            assert not note.standing(note.parse(content.decode())).touched, path
    assert {view["type"] for view in yaml.safe_load(files["Homarus/Tasks.base"])["views"]} == {
        "table"
    }
    assert b"[[E-0001 Review|Review]]" in files["Homarus/Today.md"]
    assert b'hm_parent: "[[W-0001 House|House]]"' in files["Homarus/Wiki/W-0002 Door.md"]

    stamps = {path: (bench.path / path).stat().st_mtime_ns for path in files}
    await driver.drain()
    bench.open()
    await driver.drain()
    assert {path: (bench.path / path).stat().st_mtime_ns for path in files} == stamps

    for no in range(1, 21):
        bench.edit(driver.note(no), "homarus:end %%\n", f"homarus:end %%\nmine {no}\n")
    bench.edit(driver.note(30), "# t\n", "# changed by hand\n")
    for no in range(1, 31):
        await shop.patch(f"T-{no}", priority=1_000 + no)
    await shop.archive("T-5")
    await shop.do("wiki.delete", OWNER, wiki.delete, "W-2")
    await driver.drain()
    for no in range(1, 21):
        text = driver.note(no).read_text("utf-8")
        assert text.endswith(f"%% homarus:end %%\nmine {no}\n")
        assert (f"hm_priority: {1_000 + no}\n" in text) is (no != 5)
    archived = sorted(path.name for path in (bench.path / "Homarus/Archive").iterdir())
    assert archived == ["T-0005 t.md", "W-0002 Door.md"]
    [copy] = [path for path in bench.files() if "homarus conflict" in path]
    assert b"# changed by hand" in bench.files()[copy]
    assert [told.partition(":")[0] for told in bench.notes] == ["T-30"]
    assert "# t\n" in driver.note(30).read_text("utf-8")
