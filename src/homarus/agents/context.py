"""What a model is shown: identity and rules, then the conversation since its last summary.

    gather(rx, started)          one read: everything that the rows have
    request_of(background, …)    pure: a `ModelRequest`

The system prompt is in `prompt.py`, the conversation in `messages.py`; how that is kept short is in
`compaction.py`.
"""

import msgspec

from homarus.agents.messages import Aside, messages_of
from homarus.agents.port import ModelRequest, ToolSpec
from homarus.agents.prompt import instructions_of, system_prompt
from homarus.agents.steps import Ask, Step, next_step
from homarus.base.action import ActorKind
from homarus.conversations import sessions, transcript
from homarus.conversations.sessions import Session
from homarus.conversations.transcript import Entry
from homarus.conversations.turns import CRON, HEARTBEAT, Turn
from homarus.flows import turn_inbound, turn_tools, turning
from homarus.flows.turning import Started
from homarus.store.port import Rx


class Background(msgspec.Struct, frozen=True):
    """One turn's rows. `step`: what comes next; `system` is made where that is to ask a model;
    `entries` since the session's `first_kept`, `full` where they are too many; `foreign`: turns
    whose words are no operator's, with whose they are (a heartbeat's are the daemon's own; others'
    in it name their source)."""

    step: Step
    system: str
    entries: tuple[Entry, ...]
    full: bool
    open_calls: tuple[turn_tools.ToolCall, ...]
    steering: bool
    session: Session
    turn: Turn
    foreign: dict[str, str]


def gather(rx: Rx, started: Started) -> Background:
    """Everything that the next step needs, in one read."""
    session = sessions.need(rx, started.turn.company, started.session.id)
    shown = transcript.shown(rx, session.id, session.first_kept)
    turn = turning.current(rx, started.turn)
    open_calls = turn_tools.unfinished(rx, turn.id)
    step = next_step(shown.entries, open_calls)
    first = shown.entries[0].seq if shown.entries else session.first_kept
    return Background(
        step=step,
        system=system_prompt(rx, started, turn) if isinstance(step, Ask) else "",
        entries=tuple(shown.entries),
        full=shown.full,
        open_calls=tuple(open_calls),
        steering=turn.origin != HEARTBEAT and turning.has_steering(rx, turn),
        session=session,
        turn=turn,
        foreign=_foreign(rx, session.id, first),
    )


def _foreign(rx: Rx, session: str, first: int) -> dict[str, str]:
    """Turns of the lines from `first` on whose words nobody vouches for, with whose they are. A
    job's are its maker's."""
    rows = rx.all(
        "select id, asked_by, case when origin=? then options end from turn where id in "
        "(select turn from entry where session=? and seq>=?) "
        "and person=0 and work_token is null and origin<>?",
        (CRON, session, first, HEARTBEAT),
    )
    found = {}
    for turn, asked_by, options in rows:
        maker = None if options is None else msgspec.json.decode(options).get(turn_inbound.MAKER)
        if maker is None or not maker.startswith(f"{ActorKind.OPERATOR}:"):
            found[turn] = maker or asked_by
    return found


def _aside(turn: Turn) -> Aside | None:
    text = "" if turn.person else instructions_of(turn)
    return Aside(turn.id, turn.asked_by, text) if text.strip() else None


def request_of(
    background: Background, model: str, tools: tuple[ToolSpec, ...], output_tokens: int
) -> ModelRequest:
    options = background.turn.options
    most = options.get("maxOutputTokens")
    temperature = options.get("temperature")
    return ModelRequest(
        model=model,
        system=background.system,
        messages=messages_of(background.entries, background.foreign, _aside(background.turn)),
        tools=tools,
        max_output_tokens=min(most, output_tokens) if isinstance(most, int) else output_tokens,
        thinking=str(options.get("thinking") or background.session.thinking or "off"),
        temperature=float(temperature) if isinstance(temperature, int | float) else None,
        tool_choice=str(options.get("toolChoice") or "auto"),
    )
