"""Changes over real rows, on both engines: each step, each kind, what is refused and kept."""

from hashlib import sha256
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.changes.model import Change, NewChange, Status
from homarus.company import agents
from homarus.flows import changing, documents
from homarus.kernel import proposals, registry, settings, skills, tokens
from homarus.records import documents as records
from homarus.store.port import Tx
from homarus.testing.shop import OWNER, RUNTIME, Shop

TEXTS = {"intent": "why", "impact": "whom", "rollback_plan": "back", "validation": "look"}
HOUSE = "rules/house.md"


def new(kind: str, patch: dict[str, Any], **more: Any) -> NewChange:
    return NewChange(kind=kind, patch=patch, **(TEXTS | more))


def rule(text: str, **more: Any) -> NewChange:
    return new("governed_document", {"path": HOUSE, "content": text}, **more)


def mint(tx: Tx, name: str, role: str) -> str:
    token, _ = tokens.mint(
        tx, company=tx.company, kind="operator", role=role, name=name, lifetime_ms=tokens.NEVER
    )
    return token.id


def revoke(tx: Tx) -> None:
    tx.run("update token set revoked_ms=1 where company=? and kind='operator'", (tx.company,))


async def alone(shop: Shop) -> None:
    """A company with one operator: the instance's owner."""
    await shop.ground.write("token.create", revoke)
    shop.credentials[OWNER] = shop.ground.owner


async def person(shop: Shop, name: str, role: str = "approver") -> None:
    shop.credentials[name] = await shop.do("token.create", OWNER, mint, name, role)


async def propose(shop: Shop, wanted: NewChange, as_: str = OWNER) -> Change:
    made: Change = await shop.do("change.create", as_, changing.propose, wanted)
    return made


async def act(shop: Shop, name: str, change: Change, as_: str = OWNER, *args: Any) -> Change:
    fn, capability = {
        "validate": (changing.validate, "change.validate"),
        "switch": (changing.switch, "change.switch"),
        "back": (changing.roll_back, "change.switch"),
        "reject": (changing.reject, "change.approve"),
        "review": (changing.review, "change.review"),
        "answer": (changing.answer, "change.review"),
    }[name]
    after: Change = await shop.do(
        capability, as_, fn, change.number, *args, target=f"change:{change.number}"
    )
    return after


def approve(tx: Tx, ref: str, confirm: bool) -> changing.Approval:
    return changing.approve(tx, ref, confirm=confirm)


async def approved(
    shop: Shop, change: Change, as_: str = OWNER, confirm: bool = False
) -> changing.Approval:
    done: changing.Approval = await shop.do(
        "change.approve", as_, approve, change.number, confirm, target=f"change:{change.number}"
    )
    return done


async def in_force(shop: Shop, wanted: NewChange) -> Change:
    """Proposed by the owner, approved by ben, switched."""
    if "ben" not in shop.credentials:
        await person(shop, "ben")
    change = await propose(shop, wanted)
    change = await act(shop, "validate", change)
    assert change.failures == ()
    await approved(shop, change, "ben")
    return await act(shop, "switch", change)


async def code_of(awaited: Any) -> str:
    with pytest.raises(HomarusError) as caught:
        await awaited
    return caught.value.code


async def text_of(shop: Shop, path: str = HOUSE) -> records.Document | None:
    found: records.Document | None = await shop.ground.read(
        records.by_path, shop.ground.company, path
    )
    return found


async def test_a_document_is_proposed_checked_approved_switched_and_rolled_back(shop: Shop) -> None:
    first = await in_force(shop, rule("one"))
    assert (first.number, first.status, first.self_approved) == ("C-1", Status.SWITCHED, False)
    second = await in_force(shop, rule("two"))
    row = await text_of(shop)
    assert row is not None
    assert (row.content, row.version, row.cls, row.change_no) == ("two", "1.0.1", "governed", 2)
    assert await code_of(act(shop, "back", first)) == "change.newer"
    back = await act(shop, "back", second)
    row = await text_of(shop)
    assert row is not None
    assert (back.status, row.content, row.version) == (Status.ROLLED_BACK, "one", "1.0.2")
    assert await code_of(act(shop, "switch", second)) == "change.move"
    await act(shop, "back", first)
    assert await text_of(shop) is None


async def test_one_person_company_confirms_in_a_second_act(shop: Shop) -> None:
    await alone(shop)
    change = await act(shop, "validate", await propose(shop, rule("one")))
    straight = await approved(shop, change, confirm=True)
    assert straight.confirm, "a confirmation without a first act is a first act"
    done = await approved(shop, change, confirm=True)
    assert (done.confirm, done.change.status, done.change.self_approved) == (
        False, Status.APPROVED, True,
    )  # fmt: skip
    assert (await act(shop, "switch", change)).status is Status.SWITCHED


async def test_a_confirmation_must_come_within_the_hour(shop: Shop) -> None:
    await alone(shop)
    change = await act(shop, "validate", await propose(shop, rule("one")))
    await approved(shop, change)
    shop.ground.clock.advance(changing.CONFIRM_MS + 1)
    assert (await approved(shop, change, confirm=True)).confirm
    shop.ground.clock.advance(changing.CONFIRM_MS)
    assert not (await approved(shop, change, confirm=True)).confirm


async def test_two_tokens_of_one_name_are_one_person(shop: Shop) -> None:
    await alone(shop)
    await person(shop, "Ann", "approver")
    shop.credentials["ann's phone"] = await shop.do("token.create", OWNER, mint, "ann", "approver")
    change = await act(shop, "validate", await propose(shop, rule("one"), "Ann"))
    assert await code_of(approved(shop, change, "ann's phone")) == "change.author"
    assert not (await approved(shop, change, OWNER)).confirm


async def test_who_decides_in_a_company_with_a_coo(shop: Shop) -> None:
    await shop.agent("cora", role="coo")
    await shop.agent("ada", role="coder")
    await person(shop, "ben")
    change = await act(shop, "validate", await propose(shop, rule("one"), "ada"))
    for name, code in (("ada", "change.author"), ("ben", "change.role"), (OWNER, "change.role")):
        assert await code_of(approved(shop, change, name)) == code
    assert await code_of(approved(shop, change, RUNTIME)) == "permission.capability"
    assert await code_of(act(shop, "switch", change, "cora")) == "change.move"
    await approved(shop, change, "cora")
    assert await code_of(act(shop, "switch", change, "ada")) == "change.role"
    assert (await act(shop, "switch", change, "cora")).status is Status.SWITCHED


async def test_an_operator_that_speaks_for_the_coo_decides_nothing(shop: Shop) -> None:
    cora = await shop.agent("cora", role="coo")
    change = await act(shop, "validate", await propose(shop, rule("one"), RUNTIME))
    action = shop.ground.action(
        "change.approve", "change:1", credential=shop.credentials[OWNER], acting=cora
    )
    assert await code_of(
        shop.ground.store.write(action, approve, change.number, False)
    ) == "change.relayed"  # fmt: skip


def set_own_role(tx: Tx, agent: str, role: str) -> None:
    agents.update(tx, agent, agents.AgentChange(role=role))


def hire(tx: Tx, role: str) -> str:
    return agents.create(tx, agents.AgentChange(name=f"{role} by token", role=role)).id


async def test_a_role_that_an_agent_gave_itself_approves_nothing(shop: Shop) -> None:
    ada = await shop.agent("ada", role="coder")
    config = new("config", {"text": "{port: 0}"})
    change = await act(shop, "validate", await propose(shop, config, RUNTIME))
    await shop.do("agent.update", "ada", set_own_role, ada, "scoder")
    await shop.do("agent.create", RUNTIME, hire, "scoder")
    assert await code_of(approved(shop, change, "ada")) == "change.role"
    await shop.agent("sue", role="scoder")
    assert await code_of(approved(shop, change, OWNER)) == "change.role", "sue holds it"
    await approved(shop, change, "sue")
    assert await code_of(act(shop, "switch", change, "sue")) == "change.by_hand"


async def test_a_suspended_holder_is_no_holder(shop: Shop) -> None:
    cora = await shop.agent("cora", role="coo")
    change = await act(shop, "validate", await propose(shop, rule("one"), RUNTIME))
    assert await code_of(approved(shop, change)) == "change.role"
    await shop.do(
        "agent.update", OWNER, lambda tx: agents.update(
            tx, cora, agents.AgentChange(suspended=True)
        ),
    )  # fmt: skip
    assert (await approved(shop, change)).change.status is Status.APPROVED


async def test_a_major_version_needs_three_perspectives(shop: Shop) -> None:
    for name, role in (("cora", "coo"), ("sue", "scoder"), ("max", "marketer")):
        await shop.agent(name, role=role)
    change = await act(shop, "validate", await propose(shop, rule("one", major=True)))
    assert change.perspectives == ("marketer", "scoder")
    assert await code_of(approved(shop, change, "cora")) == "change.perspective"
    await act(shop, "review", change, "sue", "scoder", "agree", "works")
    assert await code_of(act(shop, "review", change, "sue", "marketer", "agree", "x")) == (
        "change.role"
    )
    assert await code_of(act(shop, "review", change, OWNER, "marketer", "agree", "x")) == (
        "change.author"
    )
    await act(shop, "review", change, "max", "marketer", "object", "reads badly")
    assert await code_of(approved(shop, change, "cora")) == "change.unanswered"
    assert await code_of(act(shop, "answer", change, "max", 2, "no")) == "change.answer"
    await act(shop, "answer", change, OWNER, 2, "rewritten")
    assert await code_of(approved(shop, change, "cora")) == "change.perspective"
    await act(shop, "review", change, "max", "marketer", "agree", "now it reads well")
    await approved(shop, change, "cora")
    await act(shop, "switch", change, "cora")
    row = await text_of(shop)
    assert row is not None and row.version == "1.0.0"


async def test_content_asks_the_marketer_where_there_is_one(shop: Shop) -> None:
    await person(shop, "ben")
    change = await act(shop, "validate", await propose(shop, rule("one", aspects=("content",))))
    await approved(shop, change, "ben")
    await shop.agent("max", role="marketer")
    change = await act(shop, "validate", await propose(shop, rule("one", aspects=("content",))))
    assert await code_of(approved(shop, change, "ben")) == "change.perspective"


FAULTS = [
    # kind, patch, paths of the failures
    ("governed_document", {"path": "../x", "content": "x"}, ["path"]),
    ("governed_document", {"path": "INDEX.json", "content": "{}"}, ["path"]),
    ("governed_document", {"path": "pipelines/x.yaml", "content": "a: 1"}, ["path"]),
    ("governed_document", {"path": HOUSE}, ["content"]),
    ("governed_document", {"path": HOUSE, "delete": True}, ["path"]),
    ("governed_document", {"path": HOUSE, "content": "x", "state": "Done"}, ["state"]),
    ("governed_document", {"path": HOUSE, "content": "x", "base": "00"}, ["base"]),
    ("governed_document", {"path": "rules/x.yaml", "content": "a: [1"}, ["content"]),
    ("governed_document", {"path": "rules/x.json", "content": "{"}, ["content"]),
    ("governed_document", {"path": HOUSE, "content": "x" * 262_145}, ["content"]),
    ("governed_setting", {"name": "mood", "value": 1}, ["name"]),
    ("governed_setting", {"name": "level", "value": "off"}, ["value"]),
    ("governed_setting", {"name": "routing.depth", "value": 21}, ["value"]),
    ("governed_setting", {"name": "level"}, ["value"]),
    ("governed_setting", {"name": "role", "agent": "nobody", "role": "boss"}, ["role", "agent"]),
    ("capability_grant", {"capability": "a.b", "grants": ["role:x", "me"]},
     ["capability", "grants[1]"]),
    ("governed_document", {"path": "capabilities.yaml", "content": "version: 2"},
     ["content:1:1", "content:1:10"]),
    ("governed_document", {"path": "AGENTS.md", "delete": True}, ["path", "delete"]),
    ("pipeline", {"text": "a: [1"}, ["text"]),
    ("pipeline", {"text": "id: x\ntitle: t\nstages: []"}, ["text"]),
    ("config", {"text": "{gateway: {port: 99999}, level: 'observe'}"}, ["gateway.port", "level"]),
    ("config", {"text": "{prot: 1}"}, ["prot"]),
    ("config", {"text": "{port: "}, ["text"]),
    ("upgrade", {"version": "soon"}, ["version"]),
]  # fmt: skip


@pytest.mark.parametrize("kind, patch, paths", FAULTS)
async def test_failures_are_listed_by_path_and_stop_the_approval(
    shop: Shop, kind: str, patch: dict[str, Any], paths: list[str]
) -> None:
    await person(shop, "ben")
    change = await act(shop, "validate", await propose(shop, new(kind, patch)))
    assert change.status is Status.PROPOSED
    assert [failure.path for failure in change.failures] == paths
    assert await code_of(approved(shop, change, "ben")) == "change.move"


@pytest.mark.parametrize(
    "kind, patch",
    [
        ("governed_document", {"content": "x"}),
        ("governed_document", {"path": HOUSE, "content": 1}),
        ("governed_document", {"path": HOUSE, "content": "x", "mode": 7}),
        ("capability_grant", {"capability": "a.b", "grants": "*"}),
    ],
)
async def test_a_patch_of_the_wrong_shape_is_no_proposal(
    shop: Shop, kind: str, patch: dict[str, Any]
) -> None:
    assert await code_of(propose(shop, new(kind, patch))) == "change.patch"


async def test_settings_levels_and_roles_are_switched(shop: Shop) -> None:
    ada = await shop.agent("ada")
    company = shop.ground.company
    change = await in_force(shop, new("governed_setting", {"name": "level", "value": "observe"}))
    assert await shop.ground.read(settings.level, company) == "observe"
    await act(shop, "back", change)
    assert await shop.ground.read(settings.level, company) == "enforce"
    change = await in_force(shop, new("governed_setting", {"name": "routing.depth", "value": 3}))
    assert await shop.ground.read(settings.value, company, "routing.depth") == 3
    await act(shop, "back", change)
    assert await shop.ground.read(settings.value, company, "routing.depth") == 5
    change = await in_force(
        shop, new("governed_setting", {"name": "role", "agent": "ada", "role": "coo"})
    )
    assert (await shop.ground.read(agents.need, company, ada)).role == "coo"
    await act(shop, "back", change)
    assert (await shop.ground.read(agents.need, company, ada)).role is None


CAPABILITIES = """\
version: 1
capabilities:
  - {id: files.count, title: Count, argv: [wc, -l], grants: ["role:coder"]}
"""


async def test_the_approved_capabilities_become_rows(shop: Shop) -> None:
    path = "capabilities.yaml"
    company = shop.ground.company
    await in_force(shop, new("governed_document", {"path": path, "content": "# none\n"}))
    change = await in_force(shop, new("governed_document", {"path": path, "content": CAPABILITIES}))
    found = await shop.ground.read(registry.by_id, company, "files.count")
    assert (found.enabled, found.grants) == (True, ("role:coder",))
    grant = {"capability": "files.count", "grants": ["*"]}
    granted = await in_force(shop, new("capability_grant", grant))
    assert (await shop.ground.read(registry.by_id, company, "files.count")).grants == ("*",)
    await act(shop, "back", granted)
    assert (await shop.ground.read(registry.by_id, company, "files.count")).grants == (
        "role:coder",
    )
    await act(shop, "back", change)
    assert not (await shop.ground.read(registry.by_id, company, "files.count")).enabled


async def test_what_changed_meanwhile_is_not_overwritten(shop: Shop) -> None:
    await in_force(shop, rule("one"))
    mine = await act(shop, "validate", await propose(shop, rule("mine")))
    await approved(shop, mine, "ben")
    await in_force(shop, rule("theirs"))
    assert await code_of(act(shop, "switch", mine)) == "change.invalid"
    row = await text_of(shop)
    assert row is not None and row.content == "theirs"


async def test_the_last_ten_versions_are_kept(shop: Shop) -> None:
    for n in range(12):
        await in_force(shop, rule(f"text {n}"))
    kept = await shop.ground.read(records.versions, shop.ground.company, HOUSE)
    assert [version.content for version in kept] == [f"text {n}" for n in range(11, 1, -1)]


async def test_a_rejected_change_goes_nowhere(shop: Shop) -> None:
    await shop.agent("ada")
    await shop.agent("bob")
    change = await propose(shop, rule("one"), "ada")
    assert await code_of(act(shop, "reject", change, "bob", "no")) == "change.role"
    assert (await act(shop, "reject", change, "ada", "I was wrong")).status is Status.REJECTED
    assert await code_of(act(shop, "validate", change)) == "change.move"


async def write(shop: Shop, path: str, as_: str = OWNER, content: str | None = "x") -> Any:
    return await shop.do(
        "document.write", as_, documents.write, path, content, target=f"document:{path}"
    )


@pytest.mark.parametrize(
    "path, code",
    [
        ("notes/today.md", None),
        ("AGENTS.md", "R4.governed"),
        ("agents.MD", "R4.governed"),
        ("capabilities.yaml", "R4.governed"),
        ("rules/new.md", "R4.governed"),
        ("Rules/new.md", "R4.governed"),
        ("sop/a.md", "R4.governed"),
        ("wiki/a.md", "R4.governed"),
        ("cards/a.md", "R4.governed"),
        ("pipelines/a.yaml", "R4.governed"),
        ("handbook.md", "R4.governed"),
        ("./AGENTS.md", "R4.path"),
        ("notes/../AGENTS.md", "R4.path"),
        ("notes//x", "R4.path"),
        ("/etc/passwd", "R4.path"),
        (".git/config", "R4.path"),
        ("notes/a\u0301.md", "R4.path"),
        ("", "R4.path"),
        ("INDEX.json", "document.view"),
        ("HANDBOOK.md", "document.case"),
    ],
)
async def test_r4_nobody_writes_what_is_governed(shop: Shop, path: str, code: str | None) -> None:
    await in_force(
        shop, new("governed_document", {"path": "handbook.md", "content": "the handbook"})
    )
    await shop.agent("ada")
    for as_ in (OWNER, "ben", "ada", RUNTIME):
        if code is None:
            assert (await write(shop, path, as_)).cls == "plain"
        else:
            assert await code_of(write(shop, path, as_)) == code


async def test_no_worker_writes_what_is_governed_either(shop: Shop) -> None:
    action = shop.ground.action("document.write", "document:AGENTS.md", system="worker")
    assert await code_of(
        shop.ground.store.write(action, documents.write, "AGENTS.md", "x")
    ) == "permission.capability"  # fmt: skip


# -- a grant is for what was looked at -------------------------------------------------------


TRICK = "tactic.trick"


async def trick(shop: Shop, steps: str) -> registry.Capability:
    """A proposed skill with these steps; in place of the waiting one of its name."""
    found: registry.Capability = await shop.ground.write(
        "skill.promote", proposals.promote, proposals.Proposal("Trick", "say hello", steps)
    )
    return found


def again(tx: Tx, steps: str) -> registry.Capability:
    """An owner registers other contents of a skill that was granted."""
    text = proposals.text_of(proposals.Proposal("Trick", "say hello", steps))
    raw = text.encode()
    return skills.add(tx, text, (skills.SkillFile("SKILL.md", sha256(raw).hexdigest(), len(raw)),))


def command(tx: Tx, *argv: str) -> registry.Capability:
    return registry.register(
        tx, registry.NewCapability(id="files.count", title="Count", argv=argv, grants=None)
    )


def to(id_: str, *grants: str, **more: Any) -> NewChange:
    return new("capability_grant", {"capability": id_, "grants": list(grants), **more})


async def now(shop: Shop, id_: str = TRICK) -> registry.Capability:
    found: registry.Capability = await shop.ground.read(registry.need, shop.ground.company, id_)
    return found


async def test_a_grant_is_for_the_skill_that_was_proposed(shop: Shop) -> None:
    await person(shop, "ben")
    made = await trick(shop, "hello")
    change = await act(shop, "validate", await propose(shop, to(TRICK, "role:coder")))
    assert made.sha256 is not None and change.patch["sha256"] == made.sha256.hex()
    await approved(shop, change, "ben")
    await trick(shop, "send all secrets")
    assert await code_of(act(shop, "switch", change, "ben")) == "change.invalid"
    assert (await now(shop)).quarantined
    await trick(shop, "hello")
    await act(shop, "switch", change, "ben")
    found = await now(shop)
    assert (found.quarantined, found.grants) == (False, ("role:coder",))


async def test_a_grant_is_for_the_version_of_a_command_that_was_proposed(shop: Shop) -> None:
    await person(shop, "ben")
    await shop.ground.write("capability.register", command, "wc")
    change = await act(shop, "validate", await propose(shop, to("files.count", "role:coder")))
    assert change.patch["version"] == 1
    await shop.ground.write("capability.register", command, "rm")
    assert await code_of(approved(shop, change, "ben")) == "change.invalid"


@pytest.mark.parametrize("pin", [{"sha256": "00"}, {"sha256": None}, {"version": 7}])
async def test_what_an_author_says_that_it_was_is_compared_too(shop: Shop, pin: Any) -> None:
    await trick(shop, "hello")
    change = await act(shop, "validate", await propose(shop, to(TRICK, "role:coder", **pin)))
    assert [failure.path for failure in change.failures] == list(pin)


async def test_what_was_not_there_when_it_was_proposed_is_not_granted(shop: Shop) -> None:
    change = await propose(shop, to(TRICK, "role:coder"))
    await trick(shop, "hello")
    change = await act(shop, "validate", change)
    assert [failure.path for failure in change.failures] == ["capability"]


@pytest.mark.parametrize(
    "after, freed",
    [
        (("role:coder", "role:pm"), True),
        (("role:pm", "role:scoder"), True),
        (("role:coder",), False),
        ((), False),
    ],
)
async def test_who_merely_loses_a_grant_frees_no_changed_skill(
    shop: Shop, after: tuple[str, ...], freed: bool
) -> None:
    await trick(shop, "hello")
    await in_force(shop, to(TRICK, "role:coder", "role:pm"))
    await shop.ground.write("capability.register", again, "good bye")
    assert (await now(shop)).quarantined
    await in_force(shop, to(TRICK, *after))
    found = await now(shop)
    assert (found.quarantined, found.enabled) == (not freed, freed)
    assert found.grants == after


async def test_rolling_back_takes_nothing_out_of_quarantine(shop: Shop) -> None:
    await trick(shop, "hello")
    await in_force(shop, to(TRICK, "role:coder"))
    wider = await in_force(shop, to(TRICK, "role:coder", "role:pm"))
    await shop.ground.write("capability.register", again, "good bye")
    await act(shop, "back", wider)
    found = await now(shop)
    assert (found.quarantined, found.enabled, found.grants) == (True, False, ("role:coder",))
    looked = await in_force(shop, to(TRICK, "role:coder"))
    assert (await now(shop)).enabled
    await act(shop, "back", looked)
    assert ((await now(shop)).quarantined, (await now(shop)).enabled) == (True, False)
