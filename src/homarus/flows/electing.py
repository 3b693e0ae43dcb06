"""Who there is to approve a change, and who it is that decides, from agents and access tokens.

What counts as one person is decided here (docs/adr/0012): an agent by its id, an operator by the
name on the token. `owner.token` and `gateway.token` of a home lie side by side: one person.
"""

from typing import Final

from homarus.base.action import ActorKind, Proof
from homarus.changes.rules import Electorate, Voter
from homarus.flows import first_start
from homarus.kernel import tokens
from homarus.store.port import Rx, Tx

ROLES: Final = ("coo", "approver", "owner", "scoder", "pm", "marketer")
"""Roles whose holders approve or review; set by a person or by a change."""
MAX_VOTERS: Final = 1_000

_AGENTS: Final = (
    "select id, role from agent where company=? and deleted_ms is null and suspended=0 "
    "and role_confirmed=1 and role in ('coo','approver','owner','scoder','pm','marketer') "
    "order by no limit ?"
)
_OPERATORS: Final = (
    "select name, role from token where kind='operator' and company in ('', ?) "
    "and revoked_ms is null and (expires_ms is null or expires_ms>?) "
    "and role in ('operator','approver','owner') order by created_ms limit ?"
)
_RANK: Final = ("operator", "approver", "owner")
_OF_THE_HOME: Final = {
    first_start.GATEWAY.name: first_start.OWNER.name,
    first_start.OWNER.name: first_start.OWNER.name,
}


def operator(name: str) -> str:
    """The person behind an operator's token of this name."""
    folded = name.casefold().strip()
    return f"operator:{_OF_THE_HOME.get(folded, folded)}"


def electorate(rx: Rx, company: str) -> Electorate:
    holders = {f"agent:{i}": str(r) for i, r in rx.all(_AGENTS, (company, MAX_VOTERS))}
    operators: dict[str, str] = {}
    for name, role in rx.all(_OPERATORS, (company, rx.now_ms, MAX_VOTERS)):
        person = operator(name)
        best = max(role, operators.get(person, role), key=_RANK.index)
        operators[person] = best
    return Electorate(holders, operators)


def voter(tx: Tx) -> Voter:
    """Who acts in this unit, with the role that counts."""
    actor = tx.actor
    token = tokens.by_id(tx, actor.credential) if actor.credential else None
    persons = set()
    if actor.kind is ActorKind.AGENT:
        persons.add(actor.key)
    if token is not None and token.kind == "operator":
        persons.add(operator(token.name))
    elif token is not None and token.kind in ("runtime", "service"):
        persons.add(f"{token.kind}:{token.id}")
    return Voter(
        key=actor.key,
        persons=frozenset(persons),
        is_agent=actor.kind is ActorKind.AGENT,
        role=_role(tx),
        relayed=actor.proof is Proof.ASSERTED or actor.kind not in (
            ActorKind.AGENT, ActorKind.OPERATOR
        ),
    )  # fmt: skip


def _role(tx: Tx) -> str | None:
    if tx.actor.kind is not ActorKind.AGENT:
        return tx.actor.role
    row = tx.one("select role, role_confirmed from agent where id=?", (tx.actor.id,))
    return str(row[0]) if row is not None and row[1] and row[0] is not None else None
