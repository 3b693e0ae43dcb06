"""What a tool acts with. The turn loop has the real ones (`agents/toolbox.py`); tests their own.

    return a Result                        it only looks
    await hands.apply(capability, fn, …)   the store does it: intent, act and result are one unit
    await hands.begin(capability, …)       intent first; then the act; then the Result is returned

Every way in is judged by the kernel: under the turn's preflight, or under the claim of `work`. A
refusal is raised out of the tool; the loop makes of it what it has to become: a result for the
model, a parked turn, a real task in which the tool is run again.
"""

from collections.abc import Callable
from typing import Final, Protocol

from homarus.base.action import Effect
from homarus.base.errors import Refused
from homarus.flows.turn_tools import Result, ToolCall
from homarus.flows.turning import Started
from homarus.store.port import Store, Ts, Tx

WORKER: Final = "runner"
"""As receipts name the worker that does an agent's turns."""


class Hands(Protocol):
    """For one call. `work`: id of the real task that the turn works on, once one was needed."""

    store: Store
    started: Started
    call: ToolCall

    @property
    def work(self) -> str | None: ...

    async def apply(
        self, capability: str, fn: Callable[[Tx, *Ts], Result], *args: *Ts,
        target: str = "company:", callee: str | None = None, note: str | None = None,
    ) -> Result:  # fmt: skip
        ...

    async def begin(
        self, capability: str, *, target: str = "company:", effect: Effect = Effect.EXEC,
        what: str = "",
    ) -> None:  # fmt: skip
        ...


def need_work(hands: Hands, capability: str) -> str:
    """The real task that an act belongs to.

    Raises `divert.create_task`, also in a company that only observes R6: what runs programs,
    reaches outside or hands work on is a task's (design, 6).
    """
    if hands.work is not None:
        return hands.work
    raise Refused(
        "divert.create_task",
        f"a conversation does not do {capability} by itself: it becomes a task",
        "Take the road `create_task` instead.",
        rule="wild-task",
    )
