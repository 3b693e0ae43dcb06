"""Who calls: the bearer token, and the company that the request concerns.

The cache only spares a look-up. It authorises nothing: the kernel judges the credential again
inside each transaction, so a revoked token fails there at once, and its entry is dropped then.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from homarus.base.clock import Clock
from homarus.base.errors import HomarusError, NotFound, Refused, Unauthenticated
from homarus.company import founding
from homarus.kernel import tokens
from homarus.kernel.tokens import Token
from homarus.kernel.uses import Uses
from homarus.store.port import Rx, Store

log = structlog.get_logger("door")

MAX_CACHED: Final = 10_000
MAX_HEADER: Final = 512
INSTANCE: Final = "@instance"
STRANGERS_MS: Final = 60_000
"""Unknown tokens are logged at most this often, with how many there were."""


class Caller(msgspec.Struct, frozen=True):
    """An authenticated request: its token, and the id of the company ("" is the instance)."""

    token: Token
    company: str


class Door:
    """Authenticates. `default_company` is the id used when an instance token names none."""

    def __init__(
        self, store: Store, clock: Clock, default_company: str = "", uses: Uses | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self.default_company = default_company
        self.stands_for: Callable[[str], str] = lambda secret: secret
        """A secret that a setting makes stand for another one (`gateway.auth.password`)."""
        self._tokens: dict[bytes, Token] = {}
        self._companies: dict[str, str] = {}
        self._uses = Uses() if uses is None else uses
        self.strangers = 0
        self._told_ms = 0
        self._told = 0

    async def authenticate(self, headers: Mapping[bytes, bytes], scope: str = "caller") -> Caller:
        """Raises `identity.missing`, `identity.unknown`, `identity.expired`, `company.unknown`.

        `scope` as in `Route.scope`, without "path" and "instance", which name the company later.
        """
        token = await self.token(headers)
        named = headers.get(b"x-homarus-company")
        if named is None:
            return Caller(token, token.company or self.default_company)
        return Caller(token, await self._named(token, named.decode("latin-1"), scope))

    async def token(self, headers: Mapping[bytes, bytes]) -> Token:
        """The live token of the `Authorization` header, whatever company it is for."""
        header = headers.get(b"authorization")
        if header is None:
            raise Unauthenticated(
                "identity.missing",
                "no access token",
                "Send `Authorization: Bearer <token>`; `homarus token show` prints yours.",
            )
        words = header[:MAX_HEADER].split(None, 1)  # a password may have blanks
        if len(words) < 2 or words[0].lower() != b"bearer":
            raise self._stranger()
        return await self.of_secret(words[1].strip().decode("latin-1"))

    async def of_secret(self, secret: str) -> Token:
        """The live token of a clear secret. Raises `identity.*`."""
        secret = self.stands_for(secret)
        key = tokens.sha256(secret)
        token = self._tokens.get(key)
        if token is None:
            token = await self._store.read(tokens.by_secret, secret)
            if token is None:
                raise self._stranger()
            if len(self._tokens) >= MAX_CACHED:
                self._tokens.clear()
            self._tokens[key] = token
        now_ms = self._clock.now_ms()
        if not token.live(now_ms):
            self.forget(token.id)
            word = "revoked" if token.revoked_ms is not None else "expired"
            raise Unauthenticated(
                f"identity.{word}",
                f"the access token is {word}",
                "Ask an owner for a new one: `homarus token create`.",
            )
        self._uses.note(token, now_ms)
        return token

    def _stranger(self) -> Unauthenticated:
        """Nobody that is known: counted and logged, never chained (design, 5)."""
        self.strangers += 1
        now_ms = self._clock.now_ms()
        if now_ms - self._told_ms >= STRANGERS_MS:
            log.warning("unknown_tokens", since_last=self.strangers - self._told)
            self._told_ms, self._told = now_ms, self.strangers
        return Unauthenticated(
            "identity.unknown",
            "no such access token",
            "Use a token that exists and is not mistyped.",
        )

    async def _named(self, token: Token, ref: str, scope: str) -> str:
        if ref == INSTANCE:
            if scope != "any":
                raise NotFound("company.unknown", "this is not for the instance", "Name a company.")
            return ""
        company = await self.company(ref)
        if company is not None:
            return company
        if token.company:
            raise Refused(
                "identity.company",
                "the token belongs to another company",
                "Leave X-Homarus-Company out.",
                rule="identity",
            )
        raise NotFound(
            "company.unknown",
            f"no company {ref[: founding.MAX_NAME]!r}",
            "List them: `homarus company list`.",
        )

    async def company(self, ref: str) -> str | None:
        """The id of a company by slug or id; found ones are kept (neither ever changes)."""
        known = self._companies.get(ref)
        if known is None:
            known = await self._store.read(_company_id, ref)
            if known is not None:
                if len(self._companies) >= MAX_CACHED:
                    self._companies.clear()
                self._companies[ref] = known
        return known

    def forget(self, token: str) -> None:
        """Drop what is kept of a token's id."""
        for key in [k for k, t in self._tokens.items() if t.id == token]:
            del self._tokens[key]

    def heed(self, error: HomarusError, token: Token) -> None:
        """After a refusal: a token that the kernel no longer accepts is not kept."""
        if isinstance(error, Refused) and error.rule == "identity":
            self.forget(token.id)


def _company_id(rx: Rx, ref: str) -> str | None:
    company = founding.by_ref(rx, ref)
    return None if company is None else company.id
