"""Routes of agents (control-plane contract, 4.2, 4.3)."""

from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.company import agents, memory, sessions
from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import by_hand, changing, leases, leaving, spending, wallet
from homarus.kernel import tokens
from homarus.kernel.facts import GOVERNED_ROLES
from homarus.kernel.prices import CENT
from homarus.store.port import Event, Reply, Rx, Tx

UNSET = msgspec.UNSET
DEFAULT_ROLE: Final = "operator"
"""Role text of an agent that is created without one (contract, 4.2)."""


class AgentBody(msgspec.Struct, rename="camel"):
    """POST and PATCH /agents; unknown fields are allowed."""

    name: str | msgspec.UnsetType = UNSET
    role: str | msgspec.UnsetType | None = UNSET
    avatar_url: str | msgspec.UnsetType | None = UNSET
    skills_json: list[Any] | msgspec.UnsetType | None = UNSET
    memory: str | msgspec.UnsetType | None = UNSET
    model_policy_json: dict[str, Any] | msgspec.UnsetType | None = UNSET
    concurrency_limit: int | msgspec.UnsetType = UNSET
    llm_provider: str | msgspec.UnsetType | None = UNSET
    llm_model: str | msgspec.UnsetType | None = UNSET
    monthly_budget_cents: int | msgspec.UnsetType = UNSET
    monthly_cost_cents: int | msgspec.UnsetType = UNSET
    monthly_token_usage: int | msgspec.UnsetType = UNSET
    budget_status: str | msgspec.UnsetType = UNSET
    suspended: bool | msgspec.UnsetType = UNSET
    executor: str | msgspec.UnsetType = UNSET
    executor_config: dict[str, Any] | msgspec.UnsetType | None = UNSET

    def change(self) -> agents.AgentChange:
        return agents.AgentChange(
            name=self.name,
            role=self.role,
            avatar_url=self.avatar_url,
            skills_wire=self.skills_json,
            memory=self.memory,
            model_policy=self.model_policy_json,
            concurrency_limit=self.concurrency_limit,
            llm_provider=self.llm_provider,
            llm_model=self.llm_model,
            suspended=self.suspended,
            executor=self.executor,
            executor_config=self.executor_config,
        )

    def money(self) -> wallet.WalletChange:
        return wallet.WalletChange(
            budget_cents=self.monthly_budget_cents,
            cost_cents=self.monthly_cost_cents,
            tokens=self.monthly_token_usage,
            status=self.budget_status,
        )


def _plain_fields(tx: Tx, body: AgentBody) -> None:
    """Governed roles and suspension are not a token's to give (design, 5, 9)."""
    if tx.actor.kind is ActorKind.OPERATOR:
        return
    if body.role is not UNSET and body.role in GOVERNED_ROLES:
        by_hand.only_operators(tx, f"give the governed role {body.role}")
    if body.executor is not UNSET and body.executor != "external":
        by_hand.only_operators(tx, "let the daemon do an agent's work")
    if body.executor_config is not UNSET:
        by_hand.only_operators(tx, "say where an agent's executor is")
    if body.suspended is not UNSET:
        by_hand.only_operators(tx, "suspend or restore an agent")


def create(tx: Tx, call: Call[AgentBody]) -> Reply:
    body = call.body
    if body.name is UNSET:
        raise Invalid("request.schema", "Object missing required field `name`", "Give `name`.")
    _plain_fields(tx, body)
    changing.check_role_given(tx, body.role, None)
    change = body.change()
    if change.role is UNSET:
        change = msgspec.structs.replace(change, role=DEFAULT_ROLE)
    agent = agents.create(tx, change)
    wallet.change(tx, agent, body.money())
    if call.token.kind == "runtime":
        tokens.grant(tx, call.token.id, agent.id, "created")
    if isinstance(body.memory, str) and body.memory:
        memory.write(tx, agent.id, memory.NewEntry(content=body.memory, snapshot=body.memory))
    return _agent_reply(tx, "Agent created", agent.id, 201)


def update(tx: Tx, call: Call[AgentBody]) -> Reply:
    agent = agents.need(tx, tx.company, call.id())
    _plain_fields(tx, call.body)
    if call.body.role is not UNSET:
        changing.check_role_given(tx, call.body.role, agent.role or "")
    change, money = call.body.change(), call.body.money()
    if change != agents.AgentChange() or money == wallet.WalletChange():
        agent = agents.update(tx, agent.id, change)
    wallet.change(tx, agent, money)
    if isinstance(call.body.memory, str) and call.body.memory:
        entry = memory.NewEntry(
            content=call.body.memory, snapshot=call.body.memory, kind="checkpoint"
        )
        memory.write(tx, agent.id, entry)
    return _agent_reply(tx, "Agent updated", agent.id)


def _agent_reply(tx: Tx, message: str, agent: str, status: int = 200) -> Reply:
    """The agent as it stands after all of the request: row, memory and money."""
    row = agents.need(tx, tx.company, agent)
    return json_reply({"message": message, "agent": shapes.agent(tx, row)}, status)


def delete(tx: Tx, call: Call[None]) -> Reply:
    before = agents.by_id(tx, tx.company, call.id())
    if before is not None and before.role in GOVERNED_ROLES:
        by_hand.only_operators(tx, f"remove the {before.role}")
    agent = leaving.dismiss(tx, call.id())
    return json_reply({"message": "Agent deleted", "agent": shapes.agent(tx, agent)})


def listed(rx: Rx, call: Call[None]) -> Reply:
    rows = agents.listed(rx, call.company, limit=call.limit(), before=call.cursor())
    more = behind(rows, call.limit())
    return json_reply({"agents": shapes.agents(rx, rows)} | more)


def show(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"agent": shapes.agent(rx, agents.need(rx, call.company, call.id()))})


class Heartbeat(msgspec.Struct, rename="camel"):
    agent_id: str
    current_load: float
    task_id: str | None = None


def heartbeat(tx: Tx, call: Call[Heartbeat]) -> Reply:
    """The three effects of contract 4.3; leases only of work claimed by this access token."""
    agents.beat(tx, tx.actor.id, int(call.body.current_load))
    renewed = leases.renew(tx, tx.actor.id, call.body.task_id)
    sessions.heartbeat(tx, tx.actor.id)
    return json_reply(
        {"message": "Heartbeat received", "lastSeenAt": iso_ms(tx.now_ms), "renewed": renewed}
    )


class Usage(msgspec.Struct, rename="camel"):
    agent_id: str
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens_used: int | None = None


LEGACY_INPUT_PERCENT = 80
"""How `tokensUsed` is split into input and output (control-plane contract, 4.3)."""

MAX_TOKENS = 10**12


def usage(tx: Tx, call: Call[Usage]) -> Reply:
    """Tokens at the price of their model, as spend in all scopes of the agent."""
    body = call.body
    inputs, outputs = body.input_tokens or 0, body.output_tokens or 0
    if not inputs and not outputs and body.tokens_used:
        inputs = body.tokens_used * LEGACY_INPUT_PERCENT // 100
        outputs = body.tokens_used - inputs
    if min(inputs, outputs) < 0 or inputs + outputs > MAX_TOKENS:
        raise Invalid("usage.tokens", "token counts are out of range", "0 to 10^12.")
    used = spending.report(tx, tx.actor.id, body.model, inputs, outputs)
    purse = wallet.of(tx, agents.need(tx, tx.company, tx.actor.id))
    return json_reply(
        {
            "ok": True,
            "agentId": tx.actor.id,
            "monthlyTokenUsage": purse.tokens,
            "monthlyCostCents": purse.cost_cents,
            "budgetStatus": purse.status,
            "model": body.model,
            "costCents": (used.money + CENT // 2) // CENT,
        }
    )


ROUTES: tuple[Route, ...] = (
    read_route("/agents", listed, "List agents, newest first", query=("limit", "cursor")),
    read_route("/agents/{id}", show, "Show an agent"),
    write_route(
        "POST", "/agents", "agent.create", create, "Create an agent",
        body=AgentBody, keyed="required", status=201, target="agent:new",
    ),
    write_route(
        "PATCH", "/agents/{id}", "agent.update", update, "Change an agent",
        body=AgentBody, keyed="required", target="agent:{id}",
    ),
    write_route(
        "DELETE", "/agents/{id}", "agent.delete", delete, "Remove an agent",
        keyed="required", target="agent:{id}",
    ),
    write_route(
        "POST", "/agents/heartbeat", "agent.heartbeat", heartbeat, "Say that an agent lives",
        body=Heartbeat, keyed="ignored", acting=lambda call: call.body.agent_id,
        target="agent:self",
    ),
    write_route(
        "POST", "/agents/report-usage", "agent.usage", usage, "Report tokens used",
        body=Usage, keyed="accepted", acting=lambda call: call.body.agent_id, target="agent:self",
    ),
)  # fmt: skip


def _agent_frame(kind: str) -> Any:
    def frames(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
        row = agents.by_id(rx, company, event.subject)
        return [] if row is None else [{"type": kind, "agent": shapes.agent(rx, row)}]

    return frames


FRAMES = {
    "agent_registered": _agent_frame("agent_registered"),
    "agent_updated": _agent_frame("agent_updated"),
}
