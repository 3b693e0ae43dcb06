"""What is said of a delivery, and what a job without a word on it does."""

from typing import Any

import msgspec
import pytest

from homarus.base.errors import Invalid
from homarus.flows import announcing
from homarus.jobs.model import COMMAND, TURN, Job

LAST = {"mode": "announce", "channel": "last"}
NONE = {"mode": "none"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, LAST),
        ({"mode": "none", "channel": "telegram"}, NONE),
        ({"channel": " Telegram ", "to": None}, {"mode": "announce", "channel": "telegram"}),
        ({"to": "7", "threadId": 5, "bestEffort": True},
         LAST | {"to": "7", "threadId": 5, "bestEffort": True}),
        ({"bestEffort": False, "implied": True}, LAST),
    ],
)  # fmt: skip
def test_what_is_said_is_kept_in_one_form(said: dict[str, Any], kept: dict[str, Any]) -> None:
    assert announcing.stored(announcing.read(said)) == kept


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("last", "delivery.shape"),
        ({"to": 7}, "delivery.shape"),
        ({"odd": 1}, "delivery.shape"),
        ({"mode": ""}, "delivery.mode"),
        ({"mode": "webhook"}, "delivery.webhook"),
    ],
)
def test_what_no_delivery_is(said: Any, code: str) -> None:
    with pytest.raises(Invalid) as error:
        announcing.read(said)
    assert error.value.code == code


def job(what: str = TURN, does: dict[str, Any] | None = None, **wire: Any) -> Job:
    blank: dict[str, Any] = dict.fromkeys(Job.__struct_fields__)
    return Job(**(blank | {"what": what, "does": {"message": "x"} | (does or {}), "wire": wire}))


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (job(), LAST),
        (job(does={"session": "main"}), NONE),
        (job(does={"session": "main", "delivery": LAST}), LAST),
        (job(does={"delivery": NONE}), NONE),
        (job(COMMAND), NONE),
        (job(sessionTarget="isolated"), LAST),
        (job(delivery=LAST), NONE),  # defined before deliveries were obeyed
        (job(does={"delivery": LAST}, delivery=NONE), LAST),
    ],
)
def test_where_the_answer_of_a_job_goes(of: Job, told: dict[str, Any]) -> None:
    assert announcing.told(of) == told
    assert announcing.of_job(of).implied is ("delivery" not in of.does and told == LAST)


def test_a_wish_is_read_back_as_it_was_stored() -> None:
    for wish in (announcing.SILENT, announcing.IMPLIED, announcing.Wish(to="7", thread_id="5")):
        assert msgspec.convert(announcing.stored(wish), announcing.Wish) == wish
