"""Governed settings of a company: rows that a change record sets, never configuration (design, 9).

Each has a type, a range and a default; `docs/reference/governed-settings.md` is generated from the
table.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.store.port import Rx, Tx

ENFORCE: Final = "enforce"
OBSERVE: Final = "observe"
LEVELS: Final = (ENFORCE, OBSERVE)
LEVEL: Final = "level"
LEVEL_OF_TEMPLATE: Final = {"solo": OBSERVE, "studio": ENFORCE}


class Setting(msgspec.Struct, frozen=True):
    """`least` and `most` bound numbers; `choices` bounds texts; `about` is one line for people."""

    name: str
    default: Any
    about: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()


SETTINGS: Final[dict[str, Setting]] = {
    row.name: row
    for row in (
        Setting(LEVEL, ENFORCE, "Whether redlines, gates and quota refuse or only record.",
                choices=LEVELS),
        Setting("routing.note_s", 600, "How long a routing note is valid, in seconds.", 10, 86_400),
        Setting("routing.depth", 5, "How deep agents may spawn on one trace.", 1, 20),
        Setting("routing.tasks", 100, "How many tasks agents may spawn on one trace.", 1, 10_000),
        Setting("routing.messages", 100,
                "How many messages agents may send each other on one message from elsewhere.",
                1, 10_000),
        Setting("preflight.s", 1800, "How long a preflight is valid, in seconds.", 30, 86_400),
        Setting("registry.floor", 1.0, "Search scores below this are a miss.", 0.0, 100.0),
        Setting("gates.threshold", 3.0, "Classifier scores above this divert or block.",
                0.0, 100.0),
        Setting("approval.s", 86_400, "How long an approval may stay open, in seconds.",
                60, 2_592_000),
        Setting("reservation.s", 900, "How long money stays reserved for an act, in seconds.",
                10, 86_400),
        Setting("quota.calls_per_hour", 100, "Calls outside that an agent may make in an hour.",
                10, 1_000),
        Setting("mirrors", [], "Mirror targets that the outbox may write to."),
        Setting("egress.hosts", [], "Hosts that agents' tools may reach, such as `*.example.com`."),
        Setting("approval.webhook", "", "Where a one-tap link for each approval is posted."),
        Setting("approval.approver", "",
                "Id of the approver's token that one-tap links act for; empty: no links."),
        Setting("approval.address", "",
                "Where people reach this daemon, for links; empty: where it listens."),
    )
}  # fmt: skip


def level(rx: Rx, company: str) -> str:
    """`enforce` or `observe`. The instance itself enforces."""
    row = rx.one("select level from company where id=?", (company,))
    return ENFORCE if row is None else str(row[0])


def value(rx: Rx, company: str, name: str) -> Any:
    """The value in force: the company's row, else the default."""
    row = rx.one("select value from governed_setting where company=? and name=?", (company, name))
    return SETTINGS[name].default if row is None else json.loads(row[0])


def check(name: str, new: Any) -> None:
    """Raises `setting.unknown`, `setting.value`."""
    setting = SETTINGS.get(name)
    if setting is None:
        raise Invalid(
            "setting.unknown", f"no governed setting {name[:100]!r}", f"One of {sorted(SETTINGS)}."
        )
    if setting.choices:
        fits = new in setting.choices
    elif setting.least is not None and setting.most is not None:
        number = isinstance(new, int | float) and not isinstance(new, bool)
        fits = number and setting.least <= new <= setting.most
    else:
        fits = isinstance(new, type(setting.default))
    if not fits:
        wanted = setting.choices or (
            f"a number from {setting.least} to {setting.most}"
            if setting.least is not None
            else f"a {type(setting.default).__name__}"
        )
        raise Invalid("setting.value", f"{name} cannot be {new!r}"[:300], f"Give {wanted}.")


def put(tx: Tx, name: str, new: Any) -> None:
    """Set it; a change record's switch is the only caller. Raises `setting.*`."""
    check(name, new)
    if name == LEVEL:
        tx.run("update company set level=? where id=?", (new, tx.company))
    else:
        tx.run(
            "insert into governed_setting(company, name, value, set_ms) values(?,?,?,?) "
            "on conflict(company, name) do update set value=excluded.value, set_ms=excluded.set_ms",
            (tx.company, name, json.dumps(new), tx.now_ms),
        )
    tx.emit("governed_setting_changed", "", {"name": name, "value": new})
