"""How often an agent may reach outside in an hour (governance contract, 8, 12).

Counted are admitted acts of effect `model` and `external_write`, in hours of UTC. A trusted agent
has one and a half times the setting, never more than the setting's range.
"""

from typing import Final

from homarus.base.action import Effect
from homarus.base.clock import iso_ms
from homarus.kernel.case import Case, Judgement
from homarus.kernel.settings import SETTINGS
from homarus.store.port import Rx, Tx

COUNTED: Final = frozenset({Effect.MODEL, Effect.EXTERNAL_WRITE})
SETTING: Final = "quota.calls_per_hour"
COUNT: Final = "quota.count"
"""What follows from an act that is counted, and only from one."""
HOUR_MS: Final = 3_600_000
HIGH_TRUST: Final = 80
_MOST: Final = int(SETTINGS[SETTING].most or 0)


def limit_of(setting: int, trust: int) -> int:
    """Calls in an hour (governance contract, 12: quota x 1.5 within the range from trust 80)."""
    return min(setting * 3 // 2, _MOST) if trust >= HIGH_TRUST else setting


def quota(case: Case) -> Judgement:
    """How often an agent may reach outside in an hour."""
    agent = case.agent
    if agent is None or case.effect not in COUNTED:
        return None
    company, now_ms = case.action.company, case.rx.now_ms
    hour = now_ms // HOUR_MS
    limit = limit_of(int(case.setting(SETTING)), agent.trust)
    case.then(COUNT, agent.id, hour=hour)
    if made(case.rx, company, agent.id, hour) < limit:
        return None
    next_ms = (hour + 1) * HOUR_MS
    return case.refuse(
        "quota.exhausted",
        "quota",
        f"{agent.name} has made its {limit} calls of this hour",
        f"Go on from {iso_ms(next_ms)}.",
        once=True,
        details={"limit": limit, "nextAt": iso_ms(next_ms)},
    )


def made(rx: Rx, company: str, subject: str, hour: int) -> int:
    """Calls of an agent, or of what else is counted here, in that hour."""
    row = rx.one(
        "select calls from quota_use where company=? and agent=? and hour>=?",
        (company, subject, hour),
    )
    return 0 if row is None else int(row[0])


def count(tx: Tx, subject: str, hour: int) -> None:
    """One more. A later hour begins anew; a clock that went back goes on counting."""
    tx.run(
        "insert into quota_use(company, agent, hour, calls) values(?,?,?,1) "
        "on conflict(company, agent) do update set "
        "calls=case when excluded.hour>quota_use.hour then 1 else quota_use.calls+1 end, "
        "hour=case when excluded.hour>quota_use.hour then excluded.hour else quota_use.hour end",
        (tx.company, subject, hour),
    )
