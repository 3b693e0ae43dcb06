"""`GET /v1/models`: agents as models (gateway contract, 14)."""

from typing import Any, Final

from homarus.base.errors import HomarusError, NotFound
from homarus.conversations import keys
from homarus.flows import answering
from homarus.gateway.http import asking
from homarus.store.port import Rx

OWNER: Final = "openclaw"
Doc = dict[str, Any]


def listed(rx: Rx, company: str, id_: str) -> Doc:
    """The default agent under two names, where there is one; then each by its own."""
    _ = id_
    rows = answering.targets(rx, company)
    names = [OWNER, f"{OWNER}/default"] if answering.default_of(rows) is not None else []
    names += dict.fromkeys(f"{OWNER}/{keys.slug(row.name)}" for row in rows)
    return {"object": "list", "data": [_model(name) for name in names]}


def one(rx: Rx, company: str, id_: str) -> Doc:
    """Every name that a request may use. Raises `model.unknown`."""
    try:
        agent = answering.target(rx, company, asking.agent_of(id_))
    except HomarusError:
        agent = None
    if agent is None or agent.id not in {row.id for row in answering.targets(rx, company)}:
        raise NotFound("model.unknown", f"no model {id_[:80]!r}", "`GET /v1/models` lists them.")
    return _model(id_)


def _model(name: str) -> Doc:
    return {"id": name, "object": "model", "created": 0, "owned_by": OWNER, "permission": []}
