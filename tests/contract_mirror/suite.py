"""What every adapter of a mirror has to do, whatever it writes to (`outbox/port.py`).

An adapter's own tests build a `Subject` and name it in `test_adapters.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from homarus.base.canonical import digest
from homarus.outbox.port import Absent, Act, Change, Done, Fetched, Found, Health, Mirror, Refused

FIELDS = {"title": "Write the handbook", "state": "queued", "priority": 3, "skills": ["a", "b"],
          "due": None, "description": "two\nlines, \"quotes\" and ümlauts"}  # fmt: skip


@dataclass
class Subject:
    """An open adapter and how its test sees the target: `held(marker)` is what it holds of a
    marker, None where nothing; `down()` makes it unreachable, where that can be done."""

    mirror: Mirror
    held: Callable[[str], Any]
    down: Callable[[], None] | None = None


def change(act: Act = Act.CREATE, number: str = "T-1", **more: Any) -> Change:
    fields = {} if act is Act.DELETE else FIELDS | more.pop("fields", {})
    known: dict[str, Any] = {
        "row": "row-1", "company": "company-1", "mirror": "mirror-1", "entity_type": "task",
        "entity_id": f"id-of-{number}", "number": number, "act": act, "fields": fields,
        "digest": digest(fields), "token": "0b8b1a2e-0000-4000-8000-000000000001",
        "marker": f"homarus:task:{number}", "receipt": None,
    }  # fmt: skip
    return Change(**(known | more))


async def pushed(subject: Subject, what: Change) -> str:
    outcome = await subject.mirror.push(what)
    assert isinstance(outcome, Done), outcome
    return outcome.receipt


async def a_create_is_held_and_found(subject: Subject) -> None:
    receipt = await pushed(subject, change())
    assert receipt and subject.held("homarus:task:T-1") is not None
    found = await subject.mirror.lookup(change(receipt=receipt))
    assert isinstance(found, Found) and found.same in (True, None)


async def what_is_not_there_is_absent(subject: Subject) -> None:
    assert await subject.mirror.lookup(change(number="T-404")) == Absent()


async def the_same_push_twice_leaves_one(subject: Subject) -> None:
    first = await pushed(subject, change())
    again = change(Act.UPDATE, receipt=first)
    assert await pushed(subject, again) == first
    before = subject.held("homarus:task:T-1")
    assert await pushed(subject, again) == first
    assert subject.held("homarus:task:T-1") == before


async def an_update_sets_and_a_lookup_sees_the_difference(subject: Subject) -> None:
    receipt = await pushed(subject, change())
    later = change(Act.UPDATE, receipt=receipt, fields={"title": "Another", "due": "2026-01-02"})
    found = await subject.mirror.lookup(later)
    assert isinstance(found, Found) and found.same in (False, None)
    await pushed(subject, later)
    found = await subject.mirror.lookup(later)
    assert isinstance(found, Found) and found.same in (True, None)


async def a_delete_takes_it_away_and_is_harmless_twice(subject: Subject) -> None:
    receipt = await pushed(subject, change())
    gone = change(Act.DELETE, receipt=receipt)
    await pushed(subject, gone)
    assert subject.held("homarus:task:T-1") is None
    outcome = await subject.mirror.push(gone)
    assert isinstance(outcome, Done) or (isinstance(outcome, Refused) and outcome.kind == "gone")


async def entities_do_not_touch_each_other(subject: Subject) -> None:
    await pushed(subject, change())
    await pushed(subject, change(number="T-2", fields={"title": "Two"}))
    await pushed(subject, change(number="T-2", entity_type="wiki_doc", marker="homarus:wiki_doc:2"))
    one = await subject.mirror.lookup(change())
    assert isinstance(one, Found) and one.same in (True, None)


async def foreign_changes_come_in_pages(subject: Subject) -> None:
    fetched = await subject.mirror.fetch_changes(None)
    assert isinstance(fetched, Fetched)
    again = await subject.mirror.fetch_changes(fetched.cursor)
    assert again.changes == ()


async def a_dry_run_says_and_does_nothing(subject: Subject) -> None:
    lines = await subject.mirror.dry_run(change())
    assert lines and all(isinstance(line, str) for line in lines)
    assert subject.held("homarus:task:T-1") is None


async def its_health_tells(subject: Subject) -> None:
    assert (await subject.mirror.health()).ok
    if subject.down is None:
        return
    subject.down()
    health = await subject.mirror.health()
    assert isinstance(health, Health) and not health.ok and health.why
    outcome = await subject.mirror.push(change())
    assert not isinstance(outcome, Done | Refused)


async def its_manifest_is_complete(subject: Subject) -> None:
    manifest = subject.mirror.manifest
    assert manifest.entities and manifest.delay_s >= 0 and manifest.lag_s >= 0
    for name, known in (
        ("create_guard", ("token", "client_id", "none")),
        ("lookup", ("by_field", "by_marker_list", "by_search_lagging")),
        ("update", ("set", "replace", "append_only")),
        ("delete", ("hard", "soft", "archive")),
        ("changes", ("push", "sync_token", "sorted_poll", "since", "none")),
        ("serial_by", ("mirror", "entity_type", "entity")),
    ):
        assert getattr(manifest, name) in known, name
    assert msgspec.to_builtins(manifest)["target_type"]


CASES: tuple[Callable[[Subject], Awaitable[None]], ...] = (
    a_create_is_held_and_found,
    what_is_not_there_is_absent,
    the_same_push_twice_leaves_one,
    an_update_sets_and_a_lookup_sees_the_difference,
    a_delete_takes_it_away_and_is_harmless_twice,
    entities_do_not_touch_each_other,
    foreign_changes_come_in_pages,
    a_dry_run_says_and_does_nothing,
    its_health_tells,
    its_manifest_is_complete,
)
