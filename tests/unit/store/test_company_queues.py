"""Waiting units by company: order within one, one writer each, nothing left behind."""

import pytest

pytest.importorskip("psycopg")

from homarus.base.action import Action
from homarus.base.errors import Busy
from homarus.store.port import MAX_BATCH_UNITS, MAX_WAITING_UNITS
from homarus.store.postgres.queues import CompanyQueues
from homarus.store.unit import Unit


def unit(company: str, n: int = 0) -> Unit:
    return Unit(Action(company, "task.create", "company:"), print, (n,), None)


def numbers(units: list[Unit]) -> list[int]:
    return [u.args[0] for u in units]


def test_companies_take_turns_and_units_keep_their_order() -> None:
    queues = CompanyQueues()
    for n, company in enumerate("aabab"):
        queues.put(unit(company, n))
    company, units = queues.take() or ("", [])
    assert (company, numbers(units)) == ("a", [0, 1, 3])
    company, units = queues.take() or ("", [])
    assert (company, numbers(units)) == ("b", [2, 4])


def test_a_taken_company_is_nobody_elses_until_it_is_done() -> None:
    queues = CompanyQueues()
    queues.put(unit("a", 0))
    assert queues.take() is not None
    queues.put(unit("a", 1))
    queues.put(unit("b", 2))
    company, _ = queues.take() or ("", [])
    assert company == "b"
    queues.done("a")
    company, units = queues.take() or ("", [])
    assert (company, numbers(units)) == ("a", [1])


def test_more_belongs_to_the_same_batch() -> None:
    queues = CompanyQueues()
    queues.put(unit("a", 0))
    queues.take()
    for n in (1, 2, 3):
        queues.put(unit("a", n))
    assert numbers(queues.more("a", 2)) == [1, 2]
    assert numbers(queues.more("a", 2)) == [3]
    assert queues.more("a", 2) == []


def test_a_batch_is_bounded_and_the_rest_comes_next() -> None:
    queues = CompanyQueues()
    for n in range(MAX_BATCH_UNITS + 1):
        queues.put(unit("a", n))
    _, first = queues.take() or ("", [])
    queues.done("a")
    _, second = queues.take() or ("", [])
    assert (len(first), numbers(second)) == (MAX_BATCH_UNITS, [MAX_BATCH_UNITS])


def test_all_that_wait_together_are_bounded() -> None:
    queues = CompanyQueues()
    for n in range(MAX_WAITING_UNITS):
        queues.put(unit(f"c{n % 7}", n))
    with pytest.raises(Busy):
        queues.put(unit("new"))
    queues.take()
    queues.put(unit("new"))


def test_closed_queues_are_emptied_first() -> None:
    queues = CompanyQueues()
    queues.put(unit("a", 0))
    queues.close()
    company, _ = queues.take() or ("", [])
    assert company == "a"
    queues.done("a")
    assert queues.take() is None


def test_what_is_left_can_be_taken_at_once() -> None:
    queues = CompanyQueues()
    for n, company in enumerate("abc"):
        queues.put(unit(company, n))
    assert sorted(numbers(queues.take_left())) == [0, 1, 2]
    assert queues.take_left() == []
