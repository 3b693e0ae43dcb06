"""What an edit of the file does to a running daemon. Pure.

plan(running, wanted) -> Plan(settings=what holds at once, hot, restart, by_hand)
"""

import dataclasses

import msgspec

from homarus.config.schema import BY_HAND, HOT, KEYS, RESTART, Settings


class Plan(msgspec.Struct, frozen=True):
    """Paths of the keys that differ, by when they count. `settings`: what the daemon runs with from
    now on. `restarts`: whether the daemon restarts in place for it."""

    settings: Settings
    hot: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    restarts: bool = False

    @property
    def waiting(self) -> tuple[str, ...]:
        """What does not count before the daemon was restarted."""
        return (*self.restart, *self.by_hand)


def plan(running: Settings, wanted: Settings) -> Plan:
    """The mode is the wanted one: whoever edits the mode and a port means both.

    A key of `by hand` never restarts anything: another store is another company.
    """
    differ = [k for k in KEYS if getattr(running, k.field) != getattr(wanted, k.field)]
    hot = {k.field: getattr(wanted, k.field) for k in differ if k.applies == HOT}
    restart = tuple(k.path for k in differ if k.applies == RESTART)
    by_hand = tuple(k.path for k in differ if k.applies == BY_HAND)
    mode = wanted.reload_mode
    wanted_for = {"hybrid": bool(restart), "restart": bool(restart or hot)}
    return Plan(
        dataclasses.replace(running, **hot),
        tuple(k.path for k in differ if k.applies == HOT), restart, by_hand,
        wanted_for.get(mode, False) and not by_hand,
    )  # fmt: skip
