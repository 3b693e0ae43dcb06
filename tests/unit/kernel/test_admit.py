"""Who may do what: identity, suspension, permission and R1, as one table over real tokens."""

from typing import Any

import pytest

from homarus.base.action import Action, Effect
from homarus.base.errors import Refused
from homarus.company import agents
from homarus.kernel import preflights, registry, tokens
from homarus.kernel.admit import INTERCEPTORS
from homarus.store.port import Tx
from homarus.testing.ground import Ground, ground

DAY_MS = 86_400_000
NAMES = ("ada", "bob", "coo", "idle")


def cast(tx: Tx) -> dict[str, str]:
    """Agents and tokens: `runtime` may act for ada and coo; coo's role is governed."""
    who: dict[str, str] = {}
    for name in NAMES:
        change = agents.AgentChange(
            name=name, role="coo" if name == "coo" else "coder", suspended=name == "idle"
        )
        who[name] = agents.create(tx, change).id
        minted, _ = tokens.mint(tx, company=tx.company, kind="agent", agent=who[name], name=name)
        who[f"{name}-token"] = minted.id
    runtime, _ = tokens.mint(tx, company=tx.company, kind="runtime", name="runtime")
    revoked, _ = tokens.mint(tx, company=tx.company, kind="runtime", name="revoked")
    tokens.revoke(tx, revoked.id)
    old, _ = tokens.mint(tx, company=tx.company, kind="runtime", name="old", lifetime_ms=DAY_MS)
    other, _ = tokens.mint(tx, company="another", kind="runtime", name="other")
    who |= {"runtime": runtime.id, "revoked": revoked.id, "old": old.id, "other": other.id}
    for name in ("ada", "coo"):
        tokens.grant(tx, runtime.id, who[name], "granted")
    for role in ("viewer", "operator", "approver", "owner"):
        minted, _ = tokens.mint(
            tx, company=tx.company, kind="operator", role=role, name=f"the {role}"
        )
        who[role] = minted.id
    registry.register(
        tx,
        registry.NewCapability(
            id="files.count", title="Count", argv=("true",), grants=(f"agent:{who['ada']}",)
        ),
    )
    registry.register(tx, registry.NewCapability(id="files.off", title="Off", argv=("true",)))
    registry.disable(tx, "files.off")
    for name in ("ada", "bob"):
        who[f"{name}-preflight"] = tx.new_id()
        preflights.put(tx, thought(tx, who[f"{name}-preflight"], who[name]))
    return who


def thought(tx: Tx, id: str, agent: str) -> preflights.Preflight:
    """A preflight that covers every command, so that the rules behind R6 are reached."""
    return preflights.Preflight(
        id=id, company=tx.company, agent=agent, task=None, kind=preflights.QUERY, intent="count",
        verdict="hit", evidence={}, scope=(("files.*", "*"),), perm=preflights.READ_WRITE,
        route_level=0, capability=None, token=None, created_ms=tx.now_ms,
        expires_ms=tx.now_ms + 10 * DAY_MS,
    )  # fmt: skip


def touch(tx: Tx) -> str:
    tx.emit("touched", tx.new_id())
    return tx.actor.key


@pytest.fixture
async def stage(tmp_path: Any) -> Any:
    async with ground(tmp_path) as made:
        made.who = await made.store.write(  # type: ignore[attr-defined]
            Action(made.company, "company.create", "x:", system="tests"), cast
        )
        made.clock.advance(2 * DAY_MS)
        yield made


def action(g: Ground, token: str, capability: str, acting: str | None, **more: Any) -> Action:
    who: dict[str, str] = g.who  # type: ignore[attr-defined]
    credential = who.get(token, "0" * 8 + "-0000-7000-8000-" + "0" * 12)
    fields: dict[str, Any] = {"target": "company:"} | more
    if capability.startswith("files."):
        fields["preflight"] = who[f"{acting or token.removesuffix('-token')}-preflight"]
    return Action(
        g.company, capability, credential=credential, acting=who.get(acting or "", acting), **fields
    )


ALLOWED = [
    # token, capability, acting, actor
    ("ada-token", "task.claim", None, "agent:ada"),
    ("ada-token", "task.claim", "ada", "agent:ada"),
    ("runtime", "task.claim", "ada", "agent:ada"),
    ("runtime", "task.create", None, "runtime:runtime"),
    ("operator", "task.claim", "bob", "agent:bob"),
    ("operator", "task.create", None, "operator:operator"),
    ("approver", "task.create", None, "operator:approver"),
    ("owner", "token.create", None, "operator:owner"),
    ("coo-token", "task.claim", None, "agent:coo"),
    ("ada-token", "files.count", None, "agent:ada"),
]

REFUSED = [
    # token, capability, acting, code, rule
    ("nobody", "task.create", None, "identity.unknown", "identity"),
    ("revoked", "task.create", None, "identity.revoked", "identity"),
    ("old", "task.create", None, "identity.expired", "identity"),
    ("other", "task.create", None, "identity.company", "identity"),
    ("ada-token", "task.claim", "bob", "identity.not_you", "identity"),
    ("runtime", "task.claim", None, "identity.agent_missing", "identity"),
    ("runtime", "task.claim", "bob", "identity.not_granted", "identity"),
    ("runtime", "task.claim", "coo", "identity.governed_role", "identity"),
    ("runtime", "task.claim", "zed", "agent.unknown", "identity"),
    ("viewer", "task.claim", "ada", "identity.role", "identity"),
    ("idle-token", "task.claim", None, "suspended.agent", "suspended"),
    ("viewer", "task.create", None, "permission.capability", "permission"),
    ("operator", "token.create", None, "permission.capability", "permission"),
    ("approver", "stop.lift", None, "permission.capability", "permission"),
    ("ada-token", "token.create", None, "permission.capability", "permission"),
    ("runtime", "stop.set", None, "permission.capability", "permission"),
    ("owner", "task.expire", None, "permission.capability", "permission"),
    ("ada-token", "files.nothing", None, "permission.unknown_capability", "permission"),
    ("ada-token", "files.off", None, "permission.disabled", "permission"),
    ("bob-token", "files.count", None, "permission.capability", "permission"),
]


@pytest.mark.parametrize("token, capability, acting, actor", ALLOWED)
async def test_allowed(
    stage: Any, token: str, capability: str, acting: str | None, actor: str
) -> None:
    effect = Effect.EXEC if capability.startswith("files.") else Effect.LOCAL_WRITE
    found = await stage.store.write(action(stage, token, capability, acting, effect=effect), touch)
    kind, _, name = actor.partition(":")
    assert found == f"{kind}:{stage.who[name]}"


@pytest.mark.parametrize("token, capability, acting, code, rule", REFUSED)
async def test_refused(
    stage: Any, token: str, capability: str, acting: str | None, code: str, rule: str
) -> None:
    with pytest.raises(Refused) as caught:
        await stage.store.write(action(stage, token, capability, acting), touch)
    assert (caught.value.code, caught.value.rule) == (code, rule)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "target, refused",
    [
        ("task:", False),
        ("task:T-192", False),
        ("task:t-1", False),
        ("task:019a0000-0000-7000-8000-000000000000", False),
        ("task:lark:recAbC123", True),
        ("task:obsidian/Tasks/one.md", True),
        ("task:192", True),
        ("task:T-1a", True),
    ],
)
async def test_r1_a_claim_names_only_our_own_records(
    stage: Any, target: str, refused: bool
) -> None:
    wanted = action(stage, "ada-token", "task.claim", None, target=target)
    if not refused:
        assert await stage.store.write(wanted, touch)
        return
    with pytest.raises(Refused) as caught:
        await stage.store.write(wanted, touch)
    assert (caught.value.code, caught.value.rule) == ("R1.external_id", "R1")


async def test_a_worker_of_the_daemon_has_the_permissions_of_the_agent_it_works_for(
    stage: Any,
) -> None:
    who = stage.who
    for agent, allowed in (("ada", True), ("bob", False)):
        wanted = Action(
            stage.company, "files.count", "task:", Effect.EXEC, acting=who[agent],
            system="worker", preflight=who[f"{agent}-preflight"],
        )  # fmt: skip
        if allowed:
            assert await stage.store.write(wanted, touch) == f"agent:{who[agent]}"
        else:
            with pytest.raises(Refused, match="not granted"):
                await stage.store.write(wanted, touch)


def test_the_order_of_interceptors_is_the_contracts() -> None:
    assert [name for name, *_ in INTERCEPTORS] == [
        "identity", "stop", "suspended", "trust", "R5", "R6", "permission", "R1", "R2", "R3", "R4",
        "gates", "approval", "budget", "quota",
    ]  # fmt: skip
