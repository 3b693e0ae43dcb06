"""Saying something to an agent, and what comes of it (gateway contract, 6).

`chat.send` answers at once, and events tell the rest; `agent` answers twice: accepted, and with the
result. Both are a turn of the runner's; its run id is the client's idempotency key.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

import msgspec

from homarus.base.errors import Busy, HomarusError
from homarus.company import models
from homarus.company.models import Model
from homarus.config.channels import OLDER_MODES, WEBCHAT
from homarus.conversations import keys, turns
from homarus.conversations.turns import State, Turn
from homarus.flows import answering, chatting, job_turns
from homarus.flows.answering import Answer
from homarus.flows.chatting import Line, Said
from homarus.gateway.http import content
from homarus.gateway.ws import announced, frames, runs
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Desk, Later, work
from homarus.gateway.ws.methods import words
from homarus.kernel.scopes import WRITE
from homarus.store.port import Rx, Tx

WAIT_MS: Final = 30_000
MAX_WAIT_S: Final = 3_600.0
MAX_ATTACHMENTS: Final = 20
NEVER: Final = "NO_REPLY"
FULL_PROMPT: Final = "full"
"""The one mode of prompts that there is."""
UNKNOWN_AGENT: Final = "`homarus agent list` names them; on the wire, `agents.list`."
Doc = dict[str, Any]


class Attachment(Params):
    type: str | None = None
    mime_type: str | None = None
    file_name: str | None = None
    content: str | None = None


class ChatSend(Params):
    session_key: str
    message: str
    idempotency_key: str
    agent_id: str | None = None
    session_id: str | None = None
    thinking: str | None = None
    fast_mode: Any = None
    attachments: tuple[Attachment, ...] = ()
    deliver: bool = False
    timeout_ms: int | None = None
    queue_mode: str | None = None
    reply_to_id: str | None = None
    originating_channel: str | None = None
    originating_to: str | None = None
    originating_account_id: str | None = None
    originating_thread_id: str | int | None = None
    suppress_command_interpretation: bool = False
    expected_existing_session_id: str | None = None
    expected_session_routing_contract: Any = None
    expected_session_settings: Any = None


class AgentCall(Params):
    message: str
    idempotency_key: str
    agent_id: str | None = None
    session_key: str | None = None
    session_id: str | None = None
    to: str | None = None
    reply_to: str | None = None
    channel: str | None = None
    reply_channel: str | None = None
    account_id: str | None = None
    reply_account_id: str | None = None
    thread_id: str | int | None = None
    group_id: str | None = None
    group_channel: str | None = None
    group_space: str | None = None
    deliver: bool = False
    best_effort_deliver: bool | None = None
    thinking: str | None = None
    provider: str | None = None
    model: str | None = None
    timeout: float | None = None
    lane: str | None = None
    cwd: str | None = None
    extra_system_prompt: str | None = None
    attachments: tuple[Attachment, ...] = ()
    label: str | None = None
    input_provenance: Any = None
    prompt_mode: str | None = None
    model_run: bool | None = None
    expected_existing_session_id: str | None = None
    spawned_by: str | None = None
    bootstrap_context_mode: str | None = None
    bootstrap_context_run_kind: str | None = None
    internal_events: Any = None
    internal_runtime_handoff_id: str | None = None
    session_effects: Any = None
    suppress_prompt_persistence: bool | None = None
    voice_wake_trigger: str | None = None
    acp_turn_source: str | None = None
    cleanup_bundle_mcp_on_run_end: bool | None = None


class AgentWait(Params):
    run_id: str
    timeout_ms: int = WAIT_MS


class Abort(Params):
    session_key: str
    run_id: str | None = None
    agent_id: str | None = None


# -- units ---------------------------------------------------------------------------------


def abort(
    tx: Tx, session: str | None, agent: str | None, run: str | None, turn: str | None
) -> list[str]:
    return chatting.abort(tx, session, run, turn, agent=agent)


# -- saying --------------------------------------------------------------------------------


def refuse_unmet(params: Params, *names: str) -> None:
    """A wish that would go unheard is refused, where it changes what happens. Raises Fault."""
    for name in names:
        if getattr(params, name):
            told = next(f.encode_name for f in msgspec.structs.fields(params) if f.name == name)
            raise Fault(frames.UNAVAILABLE, f"`{told}` is not offered",
                        {"code": "method.not_offered", "reason": told})  # fmt: skip


async def send(desk: Desk, params: ChatSend) -> Doc:
    refuse_unmet(params, "expected_session_routing_contract", "expected_session_settings")
    run = params.idempotency_key
    word = words.in_message(params.message)
    if word is not None and not params.suppress_command_interpretation:
        asked = words.Word(word, run, params.agent_id, params.session_key)
        return await words.say(desk, asked)
    timeout_s = _timeout_s(params.timeout_ms, "timeoutMs", 1_000)
    line = Line(
        text=_text(params.message, params.attachments), run=run, agent=params.agent_id,
        session=params.session_key, mode=_mode(params.queue_mode), default=default_mode(desk),
        content=_parts(params.attachments),
        options=_options(params.thinking, timeout_s=timeout_s),
        expected=params.expected_existing_session_id or params.session_id,
        deliver=announced.of_chat(params, desk.channels()), channels=desk.channels(),
    )  # fmt: skip
    said = await announced.accepted(desk, line)
    if said.turn.state in turns.OPEN:
        with suppress(Busy):  # it is a turn all the same; only nobody is told of it
            desk.hub.runs.follow(said.turn, said.key)
    if said.known:
        open_ = said.turn.state in turns.OPEN
        return {"runId": run, "status": "in_flight" if open_ else "ok"}
    return {"runId": run, "status": "started"}


def _mode(mode: str | None) -> str:
    """Words of older clients are read as the nearest of ours."""
    return OLDER_MODES.get(mode or "", mode or "")


def default_mode(desk: Desk) -> str:
    """Of messages of the gateway's clients whose session has none."""
    return desk.hub.settings().mode_for(WEBCHAT)


def _options(thinking: str | None, extra: str | None = None, timeout_s: float | None = None) -> Doc:
    found = {"thinking": thinking, "instructions": extra, turns.TIMEOUT_S: timeout_s}
    return {name: value for name, value in found.items() if value}


def _timeout_s(given: float | None, name: str, per_s: int = 1) -> float | None:
    """How long a run may take, given in parts of which a second has `per_s`; None, as 0 is read:
    no bound. Raises Fault."""
    if given is not None and given < 0:
        raise Fault(frames.INVALID_REQUEST, f"at {name}: must be >= 0")
    return min(given / per_s, job_turns.MAX_TIMEOUT_S) if given else None


def _text(message: str, attachments: tuple[Attachment, ...]) -> str:
    return message if message.strip() or not attachments else "(see the attachment)"


def _parts(attachments: tuple[Attachment, ...]) -> tuple[Doc, ...]:
    if len(attachments) > MAX_ATTACHMENTS:
        raise frames.bad_params("chat.send", f"at attachments: at most {MAX_ATTACHMENTS} items")
    given: list[Doc] = []
    for one in attachments:
        kind = (one.mime_type or "").lower()
        if kind.startswith("image/"):
            source = {"type": "base64", "media_type": kind, "data": one.content}
            given.append({"type": "input_image", "source": source})
        else:
            given.append({"type": "input_file", "filename": one.file_name or "file",
                          "file_data": one.content})  # fmt: skip
    return content.parts_of(given, "attachments")


async def agent(desk: Desk, params: AgentCall) -> Any:
    deliver = announced.of_run(params, desk.channels())
    refuse_unmet(params, "cwd", "model_run", "suppress_prompt_persistence", "session_effects")
    if params.prompt_mode != FULL_PROMPT:
        refuse_unmet(params, "prompt_mode")
    model = await _model(desk, params)
    session = params.session_key or params.session_id or desk.own().word
    line = Line(
        text=_text(params.message, params.attachments), run=params.idempotency_key,
        agent=params.agent_id, session=session, content=_parts(params.attachments),
        default=default_mode(desk),
        options=_options(params.thinking, params.extra_system_prompt,
                         _timeout_s(params.timeout, "timeout")), model=model,
        expected=params.expected_existing_session_id, label=params.label,
        deliver=deliver, channels=desk.channels(),
    )  # fmt: skip
    try:
        said: Said = await announced.accepted(desk, line)
    except HomarusError as error:
        if error.code == "agent.unknown":
            named = params.agent_id or session.removeprefix("agent:").split(":")[0]
            fault = frames.bad_params("agent", f'unknown agent id "{named[:80]}"')
            fault.details = {"code": "UNKNOWN_AGENT_ID", "remedy": UNKNOWN_AGENT}
            raise fault from None
        raise
    run = params.idempotency_key
    if said.turn.state not in turns.OPEN:
        return _result(run, await _answer_of(desk, said.turn.id))
    end = desk.hub.runs.follow(said.turn, said.key)
    first = {
        "runId": run, "sessionKey": said.key, "sessionId": said.turn.session,
        "agentId": keys.slug(said.agent.name), "status": "accepted",
        "acceptedAt": desk.hub.now_ms(),
    }  # fmt: skip

    async def rest() -> Doc:
        return _result(run, await ended(end, run))

    return Later(first, rest)


async def ended(end: "asyncio.Future[Answer]", run: str) -> Answer:
    """Raises Fault, with the payload of a run that failed. One that takes MAX_WAIT_S goes on."""
    try:
        async with asyncio.timeout(MAX_WAIT_S):
            return await asyncio.shield(end)
    except HomarusError as error:
        fault = frames.fault_of(error)
        fault.payload = {"runId": run, "status": "error", "summary": error.message}
        raise fault from None
    except TimeoutError:
        payload = {"runId": run, "status": "error", "summary": "no answer in time"}
        raise Fault(frames.UNAVAILABLE, "no answer in time", payload=payload) from None


async def _model(desk: Desk, params: AgentCall) -> str | None:
    """A provider counts where it has the model that is named. Raises Fault."""
    if not params.provider or not params.model:
        refuse_unmet(params, "provider")
        return params.model
    found: Model | None = await desk.read(
        models.of_provider, desk.peer.company, params.provider, params.model
    )
    if found is None:
        refuse_unmet(params, "provider")
        return params.model
    return found.name


async def _answer_of(desk: Desk, turn: str) -> Answer:
    found: Answer = await desk.read(answering.answer, desk.peer.company, turn)
    return found


def _result(run: str, answer: Answer) -> Doc:
    """The final reply of `agent`. Raises Fault."""
    turn = answer.turn
    outcome = turn.outcome or {}
    if turn.state is State.FAILED:
        why = runs.error_text(turn)
        payload = {"runId": run, "status": "error", "summary": why}
        details = {"code": outcome.get("error")} if outcome.get("error") else None
        raise Fault(frames.UNAVAILABLE, why, details, payload=payload)
    text = str(outcome.get("text") or "")
    aborted = turn.state is State.ABORTED
    used = runs.usage(answer)
    meta: Doc = {
        "durationMs": (turn.ended_ms or 0) - (turn.started_ms or turn.created_ms),
        "aborted": aborted,
        "agentMeta": {
            "sessionId": turn.session,
            "provider": "homarus",
            "model": str(outcome.get("model") or ""),
            "usage": {"input": used["input"], "output": used["output"],
                      "cacheRead": used["cacheRead"], "cacheWrite": 0,
                      "total": used["totalTokens"]},
        },
        "stopReason": "aborted" if aborted else runs.stop_reason(answer),
    }  # fmt: skip
    payloads = [{"text": text, "mediaUrl": None}] if text and text.strip() != NEVER else []
    return {
        "runId": run,
        "status": "ok",
        "summary": "aborted" if aborted else "completed",
        "result": {"payloads": payloads, "meta": meta},
    }


# -- waiting -------------------------------------------------------------------------------


async def wait(desk: Desk, params: AgentWait) -> Doc:
    """The end of a run; that it is not known, or takes longer, is no error."""
    company, hub = desk.peer.company, desk.hub

    def found(rx: Rx) -> Turn | None:
        own = chatting.find(rx, company, desk.peer.token.id, params.run_id)
        if own is not None:
            return own
        turn = hub.runs.turn_of(company, params.run_id)
        return None if turn is None else turns.by_id(rx, company, turn)

    async def over() -> Turn | None:
        row: Turn | None = await desk.read(found)
        return row if row is not None and row.state not in turns.OPEN else None

    timeout_s = min(max(params.timeout_ms, 0) / 1000, MAX_WAIT_S)
    row: Turn | None = await desk.until(over, timeout_s)
    if row is None:
        return {"runId": params.run_id, "status": "timeout"}
    outcome = row.outcome or {}
    ended: Doc = {
        "runId": params.run_id,
        "status": "ok",
        "startedAt": row.started_ms or row.created_ms,
        "endedAt": row.ended_ms,
    }
    if row.state is State.ABORTED:
        return ended | {"status": "error", "error": "aborted", "stopReason": "rpc"}
    if row.state is State.FAILED:
        return ended | {"status": "error", "error": runs.error_text(row)}
    text = str(outcome.get("text") or "")
    reply = {"disposition": "text" if text else "silent", "text": text}
    return ended | {"stopReason": str(outcome.get("stop") or "stop"), "terminalReply": reply}


# -- stopping ------------------------------------------------------------------------------


async def stop(desk: Desk, params: Abort) -> Doc:
    known = None
    if params.run_id is not None:
        known = desk.hub.runs.turn_of(desk.peer.company, params.run_id)
    ended = await desk.write(abort, params.session_key, params.agent_id, params.run_id, known)
    return {"ok": True, "aborted": bool(ended), "runIds": ended}


_TURN: Final[Doc] = {"capability": "turn.accept", "target": "turn:new"}
METHODS: Final = (
    work("agent", WRITE, AgentCall, agent,
         "Let an agent answer; the reply comes twice. The run ends after `timeout` seconds. `lane` "
         "and `group*` are taken as hints and change nothing",
         "accepted, then the result", waits=True, **_TURN),
    work("agent.wait", WRITE, AgentWait, wait, "Wait until a run has ended",
         "status ok, error or timeout", waits=True),
    work("chat.send", WRITE, ChatSend, send,
         "Say something; events tell what comes of it. The run ends after `timeoutMs`. `fastMode` "
         "is taken as a hint and changes nothing",
         "runId, status", **_TURN),
    work("chat.abort", WRITE, Abort, stop, "End a run, or all of a session", "aborted, runIds",
         capability="turn.abort", target="turn:"),
)  # fmt: skip
