"""Who may have a secret (contract, 11, lease rule, made stricter), how long, beside whom."""

import msgspec
import pytest

from homarus.base.errors import Invalid
from homarus.company.secret_leases import Asked, SecretLease, Work, held, length_ms, refusal

HELD = Work("t", project="p", customer="c", token=1, held=True)
ANYBODY = Asked("company", None, None)
ADA = Asked("agent", "ada", "ada")
PROJECT = Asked("project", "p", "ada", named_work=True, work=HELD)
CUSTOMER = Asked("customer", "c", "ada", named_work=True, work=HELD)


def but(asked: Asked, **changes: object) -> Asked:
    return msgspec.structs.replace(asked, **changes)


def not_held(**changes: object) -> Work:
    return msgspec.structs.replace(HELD, held=False, **changes)


@pytest.mark.parametrize(
    "asked, code",
    [
        (ANYBODY, None),
        (but(ANYBODY, agent="ada"), None),
        (but(ANYBODY, agent="ada", named_work=True, work=HELD), None),
        (but(ANYBODY, agent="ada", named_work=True, work=not_held()), "lease.task_not_held"),
        (but(ANYBODY, agent="ada", named_work=True), "task.unknown"),
        (but(ANYBODY, agent="ada", named_session=True, session=True), None),
        (but(ANYBODY, agent="ada", named_session=True), "lease.session"),
        (but(ANYBODY, named_session=True), "lease.session"),
        (ADA, None),
        (but(ADA, agent="bob"), "lease.agent"),
        (but(ADA, agent=None), "lease.agent"),
        (but(ADA, named_work=True, work=not_held()), "lease.task_not_held"),
        (PROJECT, None),
        (but(PROJECT, named_work=False, work=None), "lease.task_missing"),
        (but(PROJECT, work=None), "task.unknown"),
        (but(PROJECT, work=not_held()), "lease.task_not_held"),
        (but(PROJECT, scope="q"), "lease.task_foreign"),
        (CUSTOMER, None),
        (but(CUSTOMER, named_work=False, work=None), "lease.task_missing"),
        (but(CUSTOMER, scope="d"), "lease.task_foreign"),
        (but(CUSTOMER, work=msgspec.structs.replace(HELD, customer=None)), "lease.task_foreign"),
        (but(CUSTOMER, work=not_held()), "lease.task_not_held"),
    ],
)
def test_who_may_have_it(asked, code):
    found = refusal(asked)
    assert (None if found is None else found.code) == code
    assert found is None or found.status in (403, 404)


@pytest.mark.parametrize(
    "seconds, expected",
    [(None, 600_000), (1, 1_000), (3_600, 3_600_000), (0, None), (-1, None), (3_601, None)],
)
def test_how_long(seconds, expected):
    if expected is None:
        with pytest.raises(Invalid, match=r"lease\.length"):
            length_ms(seconds)
    else:
        assert length_ms(seconds) == expected


def lease(exclusive: bool) -> SecretLease:
    return SecretLease(
        "l", 1, "c", "resource", "r", None, None, None, None, "k", exclusive, 1, 1, None, 0, 9,
        None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    "exclusive, others, waits",
    [
        (False, [], False),
        (True, [], False),
        (False, [False, False], False),
        (True, [False], True),
        (False, [True], True),
        (False, [False, True], True),
    ],
)
def test_one_at_a_time(exclusive, others, waits):
    found = held(exclusive, [lease(other) for other in others])
    assert (found is not None) is waits
    assert found is None or (found.code, found.status) == ("lease.held", 409)
