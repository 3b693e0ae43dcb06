"""Calendar events by their routes, on both engines: times and zones, windows, what is refused."""

import pytest

from homarus.control_plane import calendar
from tests.support.engines import BOTH
from tests.support.surface import surface

pytestmark = BOTH
DAY = "2026-11-20"
MEETING = {"title": "Review", "start": f"{DAY}T09:30", "timezone": "Europe/Berlin"}


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        made.bridge = await made.token(acts_for=[made.ada])
        made.viewer = await made.mint("", kind="operator", name="v", role="viewer")
        yield made


async def ask(s, method, path="", body=None, **how):
    path = f"/calendar/events{path}"
    return await s.call(calendar.ROUTES, method, path, body, **({"token": s.bridge} | how))


async def make(s, **body):
    answer = await ask(s, "POST", body=MEETING | body)
    assert answer.status == 201, answer.text
    return answer.body["event"]


TIMES = (
    ({}, f"{DAY}T09:30:00", f"{DAY}T10:30:00", f"{DAY}T08:30", f"{DAY}T09:30"),
    ({"start": f"{DAY}T09:30Z", "end": f"{DAY}T12:00+01:00"},
     f"{DAY}T10:30:00", f"{DAY}T12:00:00", f"{DAY}T09:30", f"{DAY}T11:00"),
    ({"start": DAY, "allDay": True}, DAY, DAY, "2026-11-19T23:00", "2026-11-20T23:00"),
    ({"start": DAY, "end": "2026-11-22", "allDay": True},
     DAY, "2026-11-22", "2026-11-19T23:00", "2026-11-22T23:00"),
    # the day on which the clocks go forward has 23 hours, and its 02:30 does not come
    ({"start": "2026-03-29", "allDay": True},
     "2026-03-29", "2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00"),
    ({"start": "2026-03-29T02:30"},
     "2026-03-29T03:30:00", "2026-03-29T04:30:00", "2026-03-29T01:30", "2026-03-29T02:30"),
    # 02:30 of the day on which they go back comes twice: the first
    ({"start": "2026-10-25T02:30"},
     "2026-10-25T02:30:00", "2026-10-25T02:30:00", "2026-10-25T00:30", "2026-10-25T01:30"),
)  # fmt: skip


async def test_times(s):
    for given, start, end, start_at, end_at in TIMES:
        made = await make(s, **given)
        assert (made["start"], made["end"]) == (start, end), given
        assert (made["startAt"][:16], made["endAt"][:16]) == (start_at, end_at), given
        read = await ask(s, "GET", f"/{made['number'].lower()}", token=s.viewer)
        assert read.body["event"] == made


CHANGES = (
    ({"start": "2026-12-01T08:00"}, "2026-12-01T08:00:00", "2026-12-01T10:00:00"),
    ({"timezone": "America/New_York"}, f"{DAY}T09:30:00", f"{DAY}T11:30:00"),
    ({"end": None}, f"{DAY}T09:30:00", f"{DAY}T10:30:00"),
    ({"allDay": True}, DAY, DAY),
    ({"allDay": True, "end": "2026-11-21"}, DAY, "2026-11-21"),
    ({"title": "Other"}, f"{DAY}T09:30:00", f"{DAY}T11:30:00"),
)  # fmt: skip


async def test_changes_of_time(s):
    for change, start, end in CHANGES:
        made = await make(s, end=f"{DAY}T11:30")
        after = (await ask(s, "PATCH", f"/{made['id']}", change)).body["event"]
        assert (after["start"], after["end"]) == (start, end), change


SECOND = {"start": "2026-10-25T01:30Z", "end": "2026-10-25T03:30Z"}
"""It begins when the clock in Berlin shows 02:30 the second time."""
NIGHT = (
    ({"end": "2026-10-25T05:00"}, "01:30", "04:00"),
    ({"end": None}, "01:30", "02:30"),
    ({"timezone": "Europe/Paris"}, "01:30", "03:30"),
    ({"title": "Other"}, "01:30", "03:30"),
    ({"start": "2026-10-25T02:30"}, "00:30", "02:30"),  # said anew it is the first time
    ({"timezone": "UTC"}, "02:30", "04:30"),  # by the clock there
)


async def test_a_start_that_the_clock_shows_twice_stays_where_it_is(s):
    for change, start_at, end_at in NIGHT:
        made = await make(s, **SECOND)
        assert made["start"] == "2026-10-25T02:30:00"
        after = (await ask(s, "PATCH", f"/{made['id']}", change)).body["event"]
        assert (after["startAt"][11:16], after["endAt"][11:16]) == (start_at, end_at), change


async def test_a_moved_event_of_days_keeps_its_days(s):
    made = await make(s, start="2026-03-28", end="2026-03-30", allDay=True)
    after = (await ask(s, "PATCH", f"/{made['id']}", {"start": "2026-10-24"})).body["event"]
    assert (after["start"], after["end"]) == ("2026-10-24", "2026-10-26")


REFUSED = (
    ({"title": ""}, "event.title"),
    ({"title": "x" * 501}, "event.title"),
    ({"title": "two\nlines"}, "event.title"),
    ({"start": "soon"}, "event.time"),
    ({"start": ""}, "event.time"),
    ({"start": "2026-02-30T10:00"}, "event.time"),
    ({"start": "2026-11-20T25:00"}, "event.time"),
    ({"start": "1969-12-31T10:00"}, "event.time"),
    ({"start": "9999-12-31T23:59"}, "event.time"),
    ({"start": "0001-01-01T00:00+14:00"}, "event.time"),
    ({"start": "x" * 1_000}, "event.time"),
    ({"start": "32.1.2026", "allDay": True}, "event.time"),
    ({"end": f"{DAY}T09:30"}, "event.length"),
    ({"end": f"{DAY}T09:00"}, "event.length"),
    ({"end": "2028-01-01T00:00"}, "event.length"),
    ({"start": DAY, "end": "2026-11-19", "allDay": True}, "event.length"),
    ({"timezone": "Mars/Olympus"}, "time.zone"),
    ({"timezone": "../etc/passwd"}, "time.zone"),
    ({"timezone": ""}, "time.zone"),
    ({"location": "a\tb"}, "event.location"),
    ({"description": "x" * 20_001}, "event.description"),
    ({"description": "a\0b"}, "event.description"),
    ({"attendees": [f"p{n}" for n in range(101)]}, "event.attendees"),
    ({"attendees": [""]}, "event.attendees"),
    ({"attendees": ["x" * 201]}, "event.attendees"),
    ({"taskId": "T-9"}, "task.unknown"),
    ({"allDay": "yes"}, "request.schema"),
)  # fmt: skip


async def test_bad_input_writes_nothing(s):
    for given, code in REFUSED:
        answer = await ask(s, "POST", body=MEETING | given)
        assert answer.body["code"] == code, given
    assert (await ask(s, "GET")).body["events"] == []


async def test_a_window_has_what_overlaps_it_page_by_page(s):
    for hour in (8, 9, 9, 11):
        await make(s, title=f"at {hour}", start=f"{DAY}T{hour:02}:00", timezone="UTC")
    await make(s, title="whole", start=DAY, allDay=True, timezone="UTC")
    gone = await make(s, start=f"{DAY}T09:00", timezone="UTC")
    assert (await ask(s, "DELETE", f"/{gone['number']}")).status == 200
    window = {"from": f"{DAY}T09:00Z", "to": f"{DAY}T11:00Z"}
    seen, cursor = [], None
    while True:
        query = window | {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        page = (await ask(s, "GET", query=query)).body
        seen += [row["title"] for row in page["events"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == ["whole", "at 9", "at 9"]
    bad = await ask(s, "GET", query={"from": "then"})
    assert bad.body["code"] == "request.time"


async def test_attendees_task_and_no_change(s):
    made = await make(s, attendees=["Ada", "bob@acme.example", "ada"], location=" Room 1 ")
    assert (made["attendees"], made["location"]) == (["Ada", "bob@acme.example"], "Room 1")
    same = {"attendees": ["Ada", "bob@acme.example"], "start": f"{DAY}T08:30Z"}
    after = await ask(s, "PATCH", f"/{made['number']}", same)
    assert after.body["event"] == made
    assert await s.events("calendar_event_updated") == []
    assert (await ask(s, "PATCH", f"/{made['id']}", {})).body["code"] == "event.nothing"
    await ask(s, "DELETE", f"/{made['id']}")
    for method, body in (("GET", None), ("PATCH", {"title": "x"}), ("DELETE", None)):
        gone = await ask(s, method, f"/{made['number']}", body)
        assert (gone.status, gone.body["code"]) == (404, "event.unknown")
    for kind in ("calendar_event_created", "calendar_event_deleted"):
        assert [event.subject for event in await s.events(kind)] == [made["id"]]
