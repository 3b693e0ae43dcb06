"""What the rules said of late: refusals, and what the level let pass, counted by rule."""

from typing import Final

import msgspec

from homarus.base.action import VerdictKind
from homarus.kernel import settings
from homarus.store.port import Rx

DAY_MS: Final = 86_400_000
_COUNT: Final = (
    "select verdict, rule, sum(1 + coalesce(repeats, 0)) from receipt "
    "where company_no=? and rule is not null and at_ms>=? group by verdict, rule order by rule"
)


class Ruled(msgspec.Struct, frozen=True, rename="camel"):
    """`refused` and diverted acts, and those that level `observe` let pass, by rule."""

    level: str
    refused: dict[str, int]
    would_refuse: dict[str, int]


def since(rx: Rx, company: str, company_no: int, at_ms: int) -> Ruled:
    found = Ruled(settings.level(rx, company), {}, {})
    for verdict, rule, n in rx.all(_COUNT, (company_no, at_ms)):
        counts = found.would_refuse if verdict == VerdictKind.ALLOW else found.refused
        counts[rule] = counts.get(rule, 0) + int(n)
    return found
