"""Errors that tell the fix.

    HomarusError              code, message, remedy, details
      Invalid                 the request is wrong as it stands              (HTTP 400)
      Unauthenticated         no known identity                              (401)
      Refused                 a rule said no; carries the verdict            (403)
      NotFound                no such thing for this company                 (404)
      Conflict                the state of the world forbids it now          (409)
      TooLarge                a named bound was passed                       (413)
      Incomplete              well formed; lacks what its new state needs    (422)
      Busy                    a named queue or rate is full: try again       (429)
      Unavailable             the daemon cannot do it at present             (503)
      Internal                a broken invariant of ours                     (500)
      NotOffered              this daemon has no part that does it           (501)

`code` is stable and dotted (`task.lease_lost`); `message` says what happened, with values;
`remedy` says what to do. `details` holds plain JSON values. Codes: docs/reference/errors.md.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from homarus.base.action import Consequence

CHANGE_TEXTS: Final = '--intent "..." --impact "..." --rollback "..." --validation "..."'
"""What `homarus change new` asks for besides what changes."""


class HomarusError(Exception):
    """An expected failure. `status` is the HTTP status that every surface uses for the kind.

    `consequences` stay when the unit that raised it is rolled back: they are applied beside its
    receipt of outcome `failed`, as those of a verdict are.
    """

    status: ClassVar[int] = 500
    consequences: tuple["Consequence", ...] = ()

    def __init__(self, code: str, message: str, remedy: str = "", **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        return f"{text} {self.remedy}" if self.remedy else text


class Invalid(HomarusError):
    """The request is malformed or breaks a schema."""

    status = 400


class Unauthenticated(HomarusError):
    """No token, or one that is unknown, expired or revoked."""

    status = 401


class NotFound(HomarusError):
    """No such thing that this company may see."""

    status = 404


class Conflict(HomarusError):
    """The present state forbids the act: lost lease, illegal move, used key."""

    status = 409


class TooLarge(HomarusError):
    """A named bound on a body, depth or count was passed."""

    status = 413


class Incomplete(HomarusError):
    """Well formed, but it lacks what the state that it asks for needs."""

    status = 422


class Busy(HomarusError):
    """A bounded queue or rate is full; the same call may succeed later."""

    status = 429


class Unavailable(HomarusError):
    """The daemon cannot do this now: disk full, store stopping, missing extra or system tool."""

    status = 503


class Internal(HomarusError):
    """A broken invariant. The message never carries SQL, parameters or secrets."""

    status = 500


class NotOffered(HomarusError):
    """Well formed and allowed, but this daemon has no part that could carry it out."""

    status = 501


class Refused(HomarusError):
    """The kernel refused or diverted. `rule` names the rule, `receipt` the row that says so."""

    status = 403

    def __init__(
        self,
        code: str,
        message: str,
        remedy: str,
        *,
        rule: str,
        receipt: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(code, message, remedy, rule=rule, receipt=receipt, **details)
        self.rule = rule
        self.receipt = receipt
