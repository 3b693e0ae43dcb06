"""What a command's exit code says. Documented in docs/reference/cli.md, made from this table."""

from enum import IntEnum
from typing import Final

from homarus.base.errors import (
    Conflict,
    HomarusError,
    Invalid,
    NotFound,
    Refused,
    Unauthenticated,
)
from homarus.client.errors import Unreachable
from homarus.config.problem import Rejected


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    CONFLICT = 5
    UNREACHABLE = 6
    NOT_VERIFIED = 7
    CONFIG = 78
    INTERRUPTED = 130


MEANING: Final = {
    Exit.OK: "done",
    Exit.FAILED: "it failed; the error says why and what to do",
    Exit.USAGE: "the command line or a given value is wrong",
    Exit.NOT_FOUND: "no such thing in this company",
    Exit.REFUSED: "a rule or the token refused it",
    Exit.CONFLICT: "the present state forbids it: a lost lease, an illegal move, a used key",
    Exit.UNREACHABLE: "the daemon cannot be reached",
    Exit.NOT_VERIFIED: "the ledger does not verify",
    Exit.CONFIG: "the configuration has mistakes; each is listed with its place",
    Exit.INTERRUPTED: "interrupted from the keyboard",
}

VERDICT: Final = {
    "hit": Exit.OK,
    "none": Exit.NOT_FOUND,
    "not_permitted": Exit.REFUSED,
    "other": Exit.CONFLICT,
}
"""Answers of `homarus query` (governance contract, 5): a capability fits, none does, it is not
permitted for this identity, it is another agent's work."""

_BY_KIND: Final[tuple[tuple[type[HomarusError], Exit], ...]] = (
    (Unreachable, Exit.UNREACHABLE),
    (Rejected, Exit.CONFIG),
    (Invalid, Exit.USAGE),
    (Unauthenticated, Exit.REFUSED),
    (Refused, Exit.REFUSED),
    (NotFound, Exit.NOT_FOUND),
    (Conflict, Exit.CONFLICT),
)


def of_error(error: HomarusError) -> Exit:
    for kind, code in _BY_KIND:
        if isinstance(error, kind):
            return code
    return Exit.FAILED
