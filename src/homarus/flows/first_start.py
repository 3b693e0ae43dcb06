"""The first start of a home: the default company, and the three tokens kept in `run/`.

A token's file is written before its row. A crash between leaves a file whose secret has no row
yet, and the next start makes the row from it; so a home always ends with both (design, 5).
"""

import os
import re
from pathlib import Path
from typing import Final

import msgspec

from homarus.base import private
from homarus.base.action import Action
from homarus.base.failpoint import failpoint
from homarus.company import founding
from homarus.flows import opening
from homarus.kernel import tokens
from homarus.store.port import Store, Tx

WORKER: Final = "first-start"
_SECRET: Final = re.compile(r"(ec|ho)_[0-9a-f]{48}")


class Kept(msgspec.Struct, frozen=True):
    """A token whose secret stays on this machine. `of_instance`: belongs to no one company."""

    file: str
    name: str
    kind: str
    role: str | None
    of_instance: bool


OWNER: Final = Kept("owner.token", "owner", "operator", "owner", True)
COMPANY: Final = Kept("company.token", "default company", "runtime", None, False)
GATEWAY: Final = Kept("gateway.token", "gateway", "operator", "owner", True)
KEPT: Final = (OWNER, COMPANY, GATEWAY)


class Home(msgspec.Struct, frozen=True):
    """What a start leaves: the default company's id, and clear secrets by file name."""

    company: str
    secrets: dict[str, str]


async def run(store: Store, run_folder: Path) -> Home:
    """Make what is missing; a home that has it all costs four short units."""
    action = Action("", "company.create", "company:default", system=WORKER)
    company = await store.write(action, _default_company)
    secrets = {}
    for kept in KEPT:
        secrets[kept.file] = await _token(store, run_folder, kept, company)
    return Home(company, secrets)


def _default_company(tx: Tx) -> str:
    company = founding.ensure(tx, founding.DEFAULT_SLUG, "Default", "solo").id
    opening.furnish(tx, company)
    return company


async def _token(store: Store, folder: Path, kept: Kept, company: str) -> str:
    path = folder / kept.file
    owner = "" if kept.of_instance else company
    secret = private.read(path)
    if _SECRET.fullmatch(secret):
        path.chmod(0o600)
        if await store.write(_minting(owner, kept), _ensure_row, kept, owner, secret):
            return secret
    secret = tokens.PREFIX[kept.kind] + os.urandom(tokens.SECRET_BYTES).hex()
    private.write(path, secret + "\n")
    failpoint("first_start.file")
    await store.write(_minting(owner, kept), _ensure_row, kept, owner, secret)
    return secret


def _minting(company: str, kept: Kept) -> Action:
    return Action(company, "token.create", f"token:{kept.file}", system=WORKER)


def _ensure_row(tx: Tx, kept: Kept, company: str, secret: str) -> bool:
    """Whether this secret is a live token now: found, or minted. False: it was revoked."""
    found = tokens.by_secret(tx, secret)
    if found is not None:
        return found.live(tx.now_ms) and found.company == company
    tokens.mint(
        tx,
        company=company,
        kind=kept.kind,
        name=kept.name,
        role=kept.role,
        lifetime_ms=tokens.NEVER,
        secret=secret,
    )
    return True
