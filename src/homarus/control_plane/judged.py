"""Reads through the kernel: judged in the transaction that reads, without a unit or a receipt."""

from collections.abc import Callable
from typing import Any

from homarus.base.action import Action, Allow, Verdict
from homarus.store.port import Rx, T, Ts
from homarus.store.unit import refusal

Admit = Callable[[Any, Action], Verdict]


def judged(rx: Rx, admit: Admit, action: Action, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> T:
    """`fn(rx, *args)` when the kernel allows `action`. Raises Refused."""
    verdict = admit(rx, action)
    if not isinstance(verdict, Allow):
        raise refusal(verdict, None)
    return fn(rx, *args)
