"""What an operator does with mirrors: add, pause, resume, resync, remove.

What a target type is, and whether a configuration fits it, is the adapter's to say: whoever adds
one has had it checked (`Checked`).
"""

import json
import re
from typing import Any, Final

import msgspec

from homarus.base.errors import CHANGE_TEXTS, Conflict, Invalid
from homarus.flows import (
    mirror_alerts,
    mirror_mapping,
    mirror_resyncs,
    mirror_rows,
    mirror_secrets,
)
from homarus.flows.mirrors import (
    ACTIVE,
    CHANGED,
    MAX_MIRRORS,
    PAUSED,
    REMOVED,
    Mirror,
    listed,
    need,
    waiting,
)
from homarus.kernel import settings
from homarus.kernel.redlines import MIRRORS
from homarus.store.port import Rx, Tx

MAX_DELAY_MS: Final = 24 * 3_600_000
MAX_CONFIG: Final = 65_536
MAX_REASON: Final = 500
DROP_ROWS: Final = 500
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")


class Checked(msgspec.Struct, frozen=True):
    """What an adapter said of a configuration, and its manifest of its target: `takes`, the
    entities; `delay_ms`, its delay with no load; `nests`: places below another are the same."""

    target_type: str
    place: str
    hosts: tuple[str, ...]
    secrets: tuple[str, ...]
    takes: frozenset[str]
    delay_ms: int
    nests: bool = False


class NewMirror(msgspec.Struct, frozen=True):
    """`mapping` "": every entity that the target takes, with all its fields. `delay_ms` None: the
    target's own."""

    name: str
    config: dict[str, Any]
    mapping: str
    checked: Checked
    delay_ms: int | None = None


def add(tx: Tx, new: NewMirror) -> Mirror:
    """Raises `mirror.name|mapping|delay|config_size|many|exists|place|not_allowed`."""
    checked = new.checked
    if not _NAME.match(new.name):
        raise Invalid(
            "mirror.name", f"{new.name[:60]!r} is no name of a mirror",
            "Up to 40 small letters, digits and dashes, beginning with a letter.",
        )  # fmt: skip
    delay_ms = checked.delay_ms if new.delay_ms is None else new.delay_ms
    if not 0 <= delay_ms <= MAX_DELAY_MS:
        raise Invalid("mirror.delay", "the delay is out of range", "0 to 86400 seconds.")
    config = json.dumps(new.config, ensure_ascii=False)
    if len(config) > MAX_CONFIG:
        raise Invalid(
            "mirror.config_size", "the configuration is too large", f"{MAX_CONFIG} bytes."
        )
    mapping = mirror_mapping.parse(new.mapping, checked.takes, checked.target_type)
    allowed(tx, tx.company, checked.target_type)
    others = listed(tx, tx.company)
    if len(others) >= MAX_MIRRORS:
        raise Conflict("mirror.many", f"{MAX_MIRRORS} mirrors are there", "Remove one first.")
    if any(other.name == new.name for other in others):
        raise Conflict("mirror.exists", f"a mirror is called {new.name}", "Give another name.")
    taken = _taken(tx, checked)
    if taken is not None:
        whose = f"the mirror {taken[1]}" if taken[0] == tx.company else "another company's mirror"
        raise Conflict(
            "mirror.place", f"{whose} already writes there",
            "Two mirrors on one target would undo each other: name another, or remove that one.",
        )  # fmt: skip
    secrets = mirror_secrets.named(tx, tx.company, checked.secrets)
    former = _former(tx, checked.place)
    mirror = former or tx.new_id()
    parts = mirror_resyncs.whole(tuple(mapping), look=former is not None)
    tx.run("delete from mirror where id=?", (mirror,))
    tx.run(
        "insert into mirror(id, company, name, target_type, place, config, hosts, secrets, "
        "mapping, entities, state, delay_ms, resync, created_ms, created_by, updated_ms) "
        "values(?,?,?,?,?,?,?,?,?,?,'active',?,?,?,?,?)",
        (
            mirror, tx.company, new.name, checked.target_type, checked.place, config,
            json.dumps(checked.hosts), json.dumps(secrets), new.mapping,
            " ".join(sorted(mapping)), delay_ms, mirror_resyncs.text(parts), tx.now_ms,
            tx.actor.key, tx.now_ms,
        ),
    )  # fmt: skip
    _changed(tx, mirror, new.name, "added")
    return need(tx, tx.company, mirror)


def _taken(rx: Rx, checked: Checked) -> tuple[str, str] | None:
    """Company and name of the mirror that writes there, or around it, or in it."""
    for company, name, place in rx.all(
        "select company, name, place from mirror where target_type=? and state<>'removed' "
        "order by place",
        (checked.target_type,),
    ):
        if place == checked.place or (checked.nests and _nested(place, checked.place)):
            return company, name
    return None


def _nested(one: str, other: str) -> bool:
    """Whether a path lies below the other."""
    one, other = f"{one.rstrip('/')}/", f"{other.rstrip('/')}/"
    return one.startswith(other) or other.startswith(one)


def _former(tx: Tx, place: str) -> str | None:
    """A removed mirror on the same place is taken up again: what it knows to be there is looked
    for, and not made twice."""
    row = tx.one(
        "select id from mirror where company=? and place=? order by updated_ms desc limit 1",
        (tx.company, place),
    )
    return None if row is None else str(row[0])


def allowed(rx: Rx, company: str, target_type: str) -> None:
    """Whether the company may have a mirror there at all; at level observe R3 records only.

    Raises `mirror.not_allowed`.
    """
    if settings.level(rx, company) == settings.OBSERVE:
        return
    named = settings.value(rx, company, MIRRORS)
    if target_type not in named:
        types = '", "'.join([*named, target_type])
        raise Conflict(
            "mirror.not_allowed",
            f"the governed setting `{MIRRORS}` does not name {target_type} (R3)",
            f"Propose it: `homarus change new --setting {MIRRORS}='[\"{types}\"]' {CHANGE_TEXTS}`.",
        )


def pause(tx: Tx, ref: str, reason: str) -> Mirror:
    """Nothing is pushed; what changes waits. Raises `mirror.unknown|state`."""
    row = _in_state(tx, ref, ACTIVE)
    tx.run(
        "update mirror set state='paused', reason=?, updated_ms=? where id=?",
        (reason[:MAX_REASON] or None, tx.now_ms, row.id),
    )
    _changed(tx, row.id, row.name, "paused")
    return need(tx, tx.company, row.id)


def resume(tx: Tx, ref: str) -> Mirror:
    """Raises `mirror.unknown|state`."""
    row = _in_state(tx, ref, PAUSED)
    tx.run(
        "update mirror set state='active', reason=null, updated_ms=? where id=?",
        (tx.now_ms, row.id),
    )
    _changed(tx, row.id, row.name, "resumed")
    return need(tx, tx.company, row.id)


def _in_state(tx: Tx, ref: str, state: str) -> Mirror:
    row = need(tx, tx.company, ref)
    if row.state != state:
        raise Conflict("mirror.state", f"{row.name} is {row.state}, not {state}",
                       "See `homarus mirror list`.")  # fmt: skip
    return row


def resync(tx: Tx, ref: str) -> Mirror:
    """Ask the target for everything, in chunks: equal content costs no write. Raises
    `mirror.unknown`, `mirror.state`."""
    row = need(tx, tx.company, ref)
    if row.state == REMOVED:
        raise Conflict("mirror.state", f"{row.name} is removed", "Add it again.")
    tx.run(
        "update mirror set resync=? where id=?",
        (mirror_resyncs.text(mirror_resyncs.whole(row.entities, look=True)), row.id),
    )
    _changed(tx, row.id, row.name, "resync")
    return need(tx, tx.company, row.id)


def remove(tx: Tx, ref: str, *, drop: str | None) -> Mirror:
    """End a mirror; what its target holds stays there. `drop`: the reason why what waits is
    dropped; None: nothing may wait. Raises `mirror.unknown|state|waiting|in_flight`."""
    row = need(tx, tx.company, ref)
    if row.state == REMOVED:
        raise Conflict("mirror.state", f"{row.name} is removed", "See `homarus mirror list`.")
    counts, flying = waiting(tx, row.id), mirror_rows.in_flight(tx, row.id)
    left = counts.get(mirror_rows.PENDING, 0) + counts.get(mirror_rows.UNKNOWN, 0)
    if flying:
        raise Conflict(
            "mirror.in_flight", f"{flying} changes are being pushed to {row.name} now",
            "Pause it, and remove it a moment later.",
        )  # fmt: skip
    if left and drop is None:
        raise Conflict(
            "mirror.waiting",
            f"{left} changes wait for {row.name}",
            f"Let them out first (`homarus mirror status {row.name}`), or drop them: "
            f"`homarus mirror remove {row.name} --drop REASON`.",
            waiting=left,
        )
    if left > DROP_ROWS:
        _drop_waiting(tx, row.id, drop or "")
        raise Conflict("mirror.waiting", "too many wait to be dropped at once",
                       f"Drop them first: `homarus outbox drop --mirror {row.name} "
                       "--reason REASON`.",
                       waiting=left)  # fmt: skip
    _drop_waiting(tx, row.id, drop or "")
    tx.run(
        "update mirror set state='removed', reason=?, resync=null, updated_ms=? where id=?",
        ((drop or "")[:MAX_REASON] or None, tx.now_ms, row.id),
    )
    mirror_alerts.over(tx, row)
    _changed(tx, row.id, row.name, "removed")
    return need(tx, tx.company, row.id)


def _drop_waiting(tx: Tx, mirror: str, reason: str) -> None:
    """Up to DROP_ROWS of what waits."""
    rows = tx.all(
        "select id from outbox_v2 where mirror_id=? and status in ('pending', 'unknown') limit ?",
        (mirror, DROP_ROWS),
    )
    for (row,) in rows:
        mirror_rows.drop(tx, row, reason)


def _changed(tx: Tx, mirror: str, name: str, what: str) -> None:
    tx.emit(CHANGED, mirror, {"name": name, "what": what})
