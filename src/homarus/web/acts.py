"""Forms: each is one action, judged by the kernel like any other (dashboard contract, 1).

A form carries the session's CSRF token and an idempotency key of its own, so that a double click
or a resend is one effect. Every form posts without JavaScript and ends in a page.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from homarus.base.action import Action, Proof
from homarus.base.errors import Invalid, Refused, TooLarge
from homarus.base.ids import new_id
from homarus.control_plane.auth import Caller
from homarus.control_plane.idempotency import key_of
from homarus.flows import approving, by_hand, hearing, queued, stopping, turn_ends
from homarus.kernel import stop
from homarus.store.port import Reply, Rx, Store, Tx
from homarus.tasks.model import State
from homarus.web import guard
from homarus.web.visit import Asked, chosen, token_of

MAX_FORM_BYTES: Final = 16_384
MAX_WRITTEN_BYTES: Final = 262_144
"""A form that holds a message: 20,000 characters, percent-encoded."""
MAX_KEY: Final = 100
MAX_NOTE: Final = 2_000
DONE: Final = Reply(200, b"{}")
KEPT: Final = "kept"
"""Where a request's state has its `Kept`."""

Form = Mapping[str, str]


class Act(msgspec.Struct, frozen=True):
    """A form's action. `target` with `{ref}` of the path; `fn(tx, ref, form)` does it. `again`: of
    a form in which somebody writes a message, the path that takes the text when this one did not,
    with `{ref}` or `{thread}` of the form. `speaks`: `fn` is given as `mode` what becomes of the
    message while a turn runs."""

    rule: str
    capability: str
    target: str
    fn: Callable[..., None]
    again: str = ""
    speaks: bool = False


class Kept(msgspec.Struct, frozen=True):
    """A text whose form failed: nobody has to write it twice. `fields`: hidden ones of the form
    that sends it to `action`."""

    action: str
    fields: dict[str, str]
    text: str


def csrf(secret: str) -> str:
    """What a form of this session carries; of it the session cannot be told."""
    return hashlib.sha256(b"csrf\0" + secret.encode("utf-8", "surrogatepass")).hexdigest()[:32]


async def form_of(request: Request, most: int = MAX_FORM_BYTES) -> dict[str, str]:
    """The form's fields. Raises `request.too_large`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge("request.too_large", "the form is too large", f"At most {most} bytes.")
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


class Acts:
    def __init__(self, store: Store, queue_mode: Callable[[], str]) -> None:
        self._store = store
        self._queue_mode = queue_mode

    def answer(self, act: Act) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            guard.check_origin(request.headers)
            form = await form_of(request, MAX_WRITTEN_BYTES if act.again else MAX_FORM_BYTES)
            secret = request.cookies.get(guard.SESSION_COOKIE)
            if act.again and form.get("text", "").strip():
                setattr(request.state, KEPT, _kept(act, request, form, csrf(secret or "")))
            caller = await self._store.read(_caller, secret, form.get("company"))
            if not hmac.compare_digest(csrf(secret or ""), form.get("csrf", "")):
                raise Refused(
                    "web.csrf", "the form is not of this session", "Load the page again.",
                    rule="csrf",
                )  # fmt: skip
            key = form.get("key", "")
            if not 0 < len(key) <= MAX_KEY:
                raise Invalid("web.key", "the form carries no key", "Load the page again.")
            ref = str(request.path_params.get("ref", ""))
            action = Action(
                company=caller.company,
                capability=act.capability,
                target=act.target.format(ref=ref),
                credential=caller.token.id,
                proof=Proof.SESSION,
                task=ref if act.target.startswith("task:") else None,
            )
            more = {"mode": self._queue_mode()} if act.speaks else {}
            await self._store.write_once(
                action, _done, act.fn, ref, form, more,
                key=key_of(key.encode(), caller, "POST", request.url.path, b""),
            )  # fmt: skip
            return RedirectResponse(_back(form), 303)

        return answered


def _caller(rx: Rx, secret: str | None, company: str | None) -> Caller:
    token = token_of(rx, secret)
    return Caller(token, chosen(rx, token, Asked(secret, company)).id)


def _kept(act: Act, request: Request, form: Form, secret: str) -> Kept:
    """With a key of its own: the text may be changed before it is sent again."""
    values = {"ref": request.path_params.get("ref", ""), "thread": form.get("thread", "")}
    action = act.again.format(**{name: quote(str(text), safe="") for name, text in values.items()})
    fields = {
        "csrf": secret,
        "key": new_id(),
        "company": form.get("company", ""),
        "back": guard.ours(form.get("back")),
    }
    return Kept(action, fields, form["text"])


def _done(tx: Tx, fn: Callable[..., None], ref: str, form: Form, more: Mapping[str, str]) -> Reply:
    fn(tx, ref, form, **more)
    return DONE


def _back(form: Form) -> str:
    """A page of ours to go on with."""
    return guard.ours(form.get("back"))


# -- what the forms do ---------------------------------------------------------------------


def _decide(tx: Tx, ref: str, form: Form) -> None:
    word, note = form.get("decision", ""), form.get("note", "").strip()[:MAX_NOTE]
    if word not in ("approve", "reject"):
        raise Invalid("approval.status", f"unknown answer {word[:40]!r}", "Approve or reject.")
    if word == "reject" and not note:
        raise Invalid("approval.note", "a rejection needs a reason", "Say why; the agent is told.")
    approving.decide(tx, ref, approve=word == "approve", note=note or None)


def _stop(tx: Tx, ref: str, form: Form) -> None:
    _ = ref
    scope = form.get("scope", "")
    if scope not in stop.SCOPES:
        raise Invalid("stop.scope", f"unknown scope {scope[:40]!r}", f"One of {stop.SCOPES}.")
    subject = form.get("subject", "").strip()
    stopping.put(tx, scope, subject, form.get("reason", "").strip() or "stopped in the dashboard")


def _lift(tx: Tx, ref: str, form: Form) -> None:
    _ = form
    stopping.lift(tx, ref)


def _move(tx: Tx, ref: str, form: Form) -> None:
    to = form.get("to", "")
    if to not in (State.QUEUED, State.DONE):
        raise Invalid("task.state", f"cannot be moved to {to[:40]!r}", "queued or done.")
    by_hand.move(tx, ref, State(to), form.get("note", "").strip()[:MAX_NOTE] or None)


def _say(tx: Tx, ref: str, form: Form, mode: str) -> None:
    hearing.say(tx, ref, _written(form), mode)


def _edit(tx: Tx, ref: str, form: Form) -> None:
    queued.edit(tx, ref, _written(form))


def _drop(tx: Tx, ref: str, form: Form) -> None:
    _ = form
    queued.drop(tx, ref)


def _end(tx: Tx, ref: str, form: Form) -> None:
    _ = form
    turn_ends.abort(tx, ref)


def _make_task(tx: Tx, ref: str, form: Form) -> None:
    given = {name: form.get(name, "").strip() or None for name in ("project", "agent")}
    queued.task_of(tx, ref, queued.NewTask(title=form.get("title", ""), **given))


def _written(form: Form) -> str:
    """Browsers send line ends as CR LF."""
    return form.get("text", "").replace("\r\n", "\n")


ACTS: Final = (
    Act("/app/approvals/{ref}", "approval.decide", "approval:{ref}", _decide),
    Act("/app/stops", "stop.set", "stop:new", _stop),
    Act("/app/stops/{ref}/lift", "stop.lift", "stop:{ref}", _lift),
    Act("/app/tasks/{ref}/move", "task.move", "task:{ref}", _move),
    Act("/app/threads/{ref}/messages", "message.send", "thread:{ref}", _say,
        "/app/threads/{ref}/messages", speaks=True),
    Act("/app/turns/{ref}/edit", "turn.accept", "turn:{ref}", _edit,
        "/app/threads/{thread}/messages"),
    Act("/app/turns/{ref}/drop", "turn.abort", "turn:{ref}", _drop),
    Act("/app/turns/{ref}/stop", "turn.abort", "turn:{ref}", _end),
    Act("/app/messages/{ref}/task", "task.create", "message:{ref}", _make_task),
)  # fmt: skip
