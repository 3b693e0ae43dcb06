"""doctor: the whole exchange once, as a bridge would have it (contract, 14).

token -> socket -> runtime -> agent -> session -> heartbeat by name -> message -> its frame on the
socket -> checkpoint -> end. The socket is read from the handshake on, by a thread of its own, into
a queue: neither `connected` in the handshake's own packet nor a frame that overtakes its reply is
missed (contract, 9, rules 1 and 2). What runs beside stays as it is: the session is the doctor's
own and is ended whatever happens, and the heartbeat repeats the load that the agent has.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from homarus.base.errors import HomarusError, Internal, Unauthenticated, Unavailable
from homarus.client.errors import Unreachable
from homarus.client.http import COMPANY_HEADER, Client
from homarus.client.paths import path_part
from homarus.companion import reports, wire
from homarus.companion.journal import now_iso
from homarus.companion.settings import Settings
from homarus.companion.wire import MOUNT

OPEN_S: Final = 15.0
FRAME_WAIT_S: Final = 15.0
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
MAX_UNREAD: Final = 4_096
SEEN_WHILE_WAITING: Final = 100_000
TEXT: Final = "Connection check by `homarus companion doctor`."

Say = Callable[[str, str], None]
"""`say(tag, text)`; tags: step, ok, warn, next, done, sync, inspect."""


def run(settings: Settings, say: Say) -> dict[str, Any]:
    """The report, also left in last-doctor.json. Raises what failed, after noting that it did."""
    report = {
        "inspectedAt": now_iso(),
        "apiBaseUrl": settings.need_url(),
        "wsUrl": settings.need_socket(),
        "runtimeId": settings.runtime_id,
        "agentName": settings.agent_name,
        "sessionId": settings.session_id or f"doctor-{uuid4()}",
    }
    try:
        with wire.connect(settings) as api:
            _exchange(api, settings, str(report["sessionId"]), say)
    except HomarusError as error:
        failed = report | {"status": "failed", "error": f"{error.code}: {error.message}"}
        with contextlib.suppress(HomarusError):  # the first failure is the one to tell
            reports.write(settings.state_dir, reports.DOCTOR, failed)
        raise
    report["status"] = "passed"
    path = reports.write(settings.state_dir, reports.DOCTOR, report)
    say("done", f"the whole exchange works; report in {path}")
    return report


def _exchange(api: Client, settings: Settings, session_name: str, say: Say) -> None:
    say("step", f"token at {api.url}")
    wire.validate(api)
    say("ok", "the token is accepted")

    say("step", f"socket at {settings.need_socket()}")
    with listening(settings) as frames:
        frames.wait(lambda frame: frame.get("type") == "connected", "`connected`")
        say("ok", "the socket says `connected`")

        say("step", f"runtime {settings.runtime_id}")
        node = api.post(f"{MOUNT}/runtime/register", _node(settings))
        say("ok", f"registered as {_field(node, 'runtimeNode', 'runtimeId')}")

        say("step", f"agent {settings.agent_name}")
        agent, created = wire.need_agent(api, settings)
        say("ok", f"{'created' if created else 'found'} {agent['name']} ({agent['id']})")

        with _session(api, settings, str(agent["id"]), session_name, say) as session:
            _talk(api, agent, frames, say)
            say("step", "checkpoint")
            checkpoint = {"checkpointJson": {"doctor": now_iso()}, "summary": "Connection check"}
            api.post(f"{session}/checkpoint", checkpoint)
            say("ok", "the session's state is stored")


def _talk(api: Client, agent: dict[str, Any], frames: "Frames", say: Say) -> None:
    name = str(agent["name"])
    say("step", f"heartbeat of {name}")
    load = agent.get("currentLoad")
    beat = {"agentId": name, "currentLoad": load if isinstance(load, int | float) else 0}
    api.post(f"{MOUNT}/agents/heartbeat", beat)
    say("ok", "the heartbeat is taken")

    say("step", f"message as {name}, and its frame")
    sent = api.post(
        f"{MOUNT}/messages/send", {"agentId": name, "thread_type": "direct", "text": TEXT}
    )
    message = _field(sent, "message_id")
    frames.wait(
        lambda frame: frame.get("type") == "thread_message" and _id(frame) == message,
        f"the frame of message {message}",
    )
    say("ok", "the message came back on the socket")


@contextlib.contextmanager
def _session(api: Client, settings: Settings, agent: str, name: str, say: Say) -> Iterator[str]:
    """A session for the length of the block; its path. Ended whatever happens inside."""
    base = f"{MOUNT}/agents/{path_part(agent)}/sessions"
    say("step", f"session {name}")
    body = {
        "openclawSessionId": name,
        "runtimeId": settings.runtime_id,
        "sessionType": "doctor",
        "channel": "companion",
    }
    started = api.post(f"{base}/start", body)
    session = f"{base}/{path_part(_field(started, 'session', 'id'))}"
    say("ok", "the session has started")
    ending = {"status": "ended", "summary": "Connection check"}
    try:
        yield session
    except BaseException:
        with contextlib.suppress(HomarusError):  # what failed inside is the one to tell
            api.post(f"{session}/end", ending)
        raise
    say("step", "end of the session")
    api.post(f"{session}/end", ending)
    say("ok", "the session has ended")


def _node(settings: Settings) -> dict[str, Any]:
    return {
        "runtimeId": settings.runtime_id,
        "name": settings.runtime_id,
        "capabilitiesJson": ["companion"],
    }


def _field(reply: dict[str, Any], *names: str) -> str:
    value: Any = reply
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise Internal(
            "companion.reply",
            f"the control plane's answer lacks `{'.'.join(names)}`",
            "Check that --api-base-url names a control plane of a fitting version.",
        )
    return value


def _id(frame: dict[str, Any]) -> str | None:
    message = frame.get("message")
    return message.get("id") if isinstance(message, dict) else None


class Frames:
    """The frames of one socket, in order, from the handshake on."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def wait(self, wanted: Callable[[dict[str, Any]], bool], name: str) -> dict[str, Any]:
        """The first frame that is wanted, within FRAME_WAIT_S; others are passed over.

        Raises `companion.frame`, `companion.socket`.
        """
        until = time.monotonic() + FRAME_WAIT_S
        for _ in range(SEEN_WHILE_WAITING):
            try:
                text = self._socket.recv(timeout=max(0.0, until - time.monotonic()))
            except TimeoutError:
                break
            except ConnectionClosed as error:
                raise _no_socket(f"it closed while {name} was awaited: {error}") from error
            frame = _frame(text)
            if wanted(frame):
                return frame
        raise Unavailable(
            "companion.frame",
            f"{name} did not come within {FRAME_WAIT_S:g} s",
            "Something between here and the control plane may hold back its WebSocket; "
            "try without a proxy, and see the daemon's log.",
        )


def _frame(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[Frames]:
    """An open event socket. Raises `companion.socket`, `companion.socket_refused`."""
    headers = {"Authorization": f"Bearer {settings.need_token()}"}
    if settings.company is not None:
        headers[COMPANY_HEADER] = settings.company
    try:
        socket = connect(
            settings.need_socket(),
            additional_headers=headers,
            open_timeout=OPEN_S,
            max_size=MAX_FRAME_BYTES,
            max_queue=MAX_UNREAD,
            proxy=None,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise Unauthenticated(
            "companion.socket_refused",
            f"the socket at {settings.need_socket()} answers {status}",
            "Check wsUrl in bridge.config.json and the token.",
        ) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise _no_socket(str(error) or type(error).__name__) from error
    with socket:
        yield Frames(socket)


def _no_socket(what: str) -> Unreachable:
    return Unreachable(
        "companion.socket",
        f"the event socket does not work: {what}",
        "Check wsUrl in bridge.config.json; a proxy between must let WebSockets through.",
    )
