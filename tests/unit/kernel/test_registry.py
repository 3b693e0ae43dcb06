"""Rows of the registry: what may be registered, whose grants change how, skills in quarantine."""

import hashlib
from typing import Any

import pytest

from homarus.base.action import Effect
from homarus.base.errors import HomarusError
from homarus.kernel import registry, skills
from homarus.kernel.registry import Capability, NewCapability
from homarus.kernel.skills import SkillFile
from homarus.testing.shop import OWNER, SYSTEM, Shop

SKILL = """---
name: openclaw-config-editor
description: Change the OpenClaw configuration with validation and a backup
keywords: [openclaw.json]
---
Read the file, change it, validate it.
"""


async def register(shop: Shop, **fields: Any) -> Capability:
    new = NewCapability(**({"id": "files.count", "title": "Count", "argv": ("wc",)} | fields))
    found: Capability = await shop.do("capability.register", OWNER, registry.register, new)
    return found


async def grant(shop: Shop, id_: str, *grants: str, **more: Any) -> Capability:
    def switch(tx: Any) -> Capability:
        return registry.set_grants(tx, id_, grants, **more)

    found: Capability = await shop.do("capability.grant", SYSTEM, switch)
    return found


async def code_of(what: Any) -> str | None:
    try:
        await what
    except HomarusError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "fields, code",
    [
        ({}, None),
        ({"id": "project-card-cli"}, None),
        ({"id": "nodots"}, "capability.id"),
        ({"id": "read"}, "capability.id"),
        ({"id": "task.claim"}, "capability.id"),
        ({"id": "Files.count"}, "capability.id"),
        ({"id": "files.cоunt"}, "capability.id"),
        ({"id": "files..count"}, "capability.id"),
        ({"id": "f." + "x" * 98}, None),
        ({"id": "f." + "x" * 99}, "capability.id"),
        ({"title": "t" * 200}, None),
        ({"title": "t" * 201}, "capability.title"),
        ({"description": "d" * 4_001}, "capability.title"),
        ({"risk": "low"}, None),
        ({"risk": "none"}, "capability.risk"),
        ({"keywords": ("k",) * 32}, None),
        ({"keywords": ("k",) * 33}, "capability.keywords"),
        ({"keywords": ("k" * 61,)}, "capability.keywords"),
        ({"quota": "calls_per_hour"}, None),
        ({"quota": "Calls"}, "capability.quota"),
        ({"mirror": "lark base"}, "capability.mirror"),
        ({"kind": "script"}, "capability.kind"),
        ({"kind": "tool", "argv": ()}, "capability.effect"),
        ({"kind": "tool", "argv": (), "effect": Effect.READ}, None),
        ({"kind": "tool", "argv": (), "effect": Effect.MODEL}, "capability.effect"),
        ({"kind": "tool", "effect": Effect.READ}, "capability.argv"),
        ({"kind": "pipeline", "argv": ()}, None),
        ({"effect": Effect.READ}, "capability.effect"),
        ({"effect": Effect.EXTERNAL_WRITE}, None),
        ({"argv": ()}, "capability.argv"),
        ({"argv": ("wc", "{x}")}, "capability.argv"),
        ({"limits": {"wall_s": 0}}, "capability.limits"),
        ({"targets": ("workspace:**",)}, None),
        ({"targets": ("**",)}, "capability.targets"),
        ({"input": {"type": "object"}}, None),
        ({"input": {"type": "text"}}, "capability.schema"),
        ({"owner": "ada"}, None),
        ({"owner": "adda"}, "capability.owner"),
        ({"grants": ("*", "role:coder", "agent:ada")}, None),
        ({"grants": ("agent:adda",)}, "capability.grant_unknown"),
        ({"grants": ("everybody",)}, "capability.grants"),
        ({"grants": ("role:x",) * 65}, "capability.grants"),
    ],
)
async def test_what_may_be_registered(shop: Shop, fields: dict[str, Any], code: str | None) -> None:
    await shop.agent("ada")
    assert await code_of(register(shop, **fields)) == code


async def test_unknown_names_get_the_nearest_ones(shop: Shop) -> None:
    await shop.agent("ada")
    with pytest.raises(HomarusError, match=r"Did you mean ada\?"):
        await register(shop, grants=("agent:adda",))
    await register(shop)
    with pytest.raises(HomarusError, match=r"Did you mean files\.count\?"):
        await shop.ground.read(registry.need, shop.ground.company, "files.cont")


@pytest.mark.parametrize(
    "first, again, code, after",
    [
        (None, None, None, ("*",)),
        (("role:a",), None, None, ("role:a",)),
        (("role:a",), ("role:a",), None, ("role:a",)),
        (("role:b", "role:a"), ("role:a", "role:b"), None, ("role:a", "role:b")),
        (("role:a",), ("*",), "capability.grants_fixed", ("role:a",)),
        (("role:a",), (), "capability.grants_fixed", ("role:a",)),
        ((), None, None, ()),
    ],
)
async def test_grants_of_what_exists_do_not_change_by_registering_again(
    shop: Shop, first: Any, again: Any, code: str | None, after: tuple[str, ...]
) -> None:
    await register(shop, grants=first)
    assert await code_of(register(shop, grants=again)) == code
    found = await shop.ground.read(registry.need, shop.ground.company, "files.count")
    assert found.grants == after


async def test_a_change_sets_grants_and_nothing_else(shop: Shop) -> None:
    ada = await shop.agent("ada")
    before = await register(shop, grants=("role:a",))
    after = await grant(shop, "files.count", "agent:ada", "role:b", "role:b")
    assert after.grants == (f"agent:{ada}", "role:b")
    assert (after.version, after.enabled) == (before.version, True)
    assert (await grant(shop, "files.count")).grants == ()
    assert await code_of(grant(shop, "files.count", "agent:zoe")) == "capability.grant_unknown"
    assert await code_of(grant(shop, "files.cont", "*")) == "capability.unknown"
    await shop.do("capability.disable", OWNER, registry.disable, "files.count")
    assert not (await grant(shop, "files.count", "*")).enabled


async def test_a_kind_stays(shop: Shop) -> None:
    await register(shop)
    code = await code_of(register(shop, kind="tool", argv=(), effect=Effect.READ))
    assert code == "capability.kind_fixed"


# -- skills --------------------------------------------------------------------------------------


def files(text: str, **more: bytes) -> tuple[SkillFile, ...]:
    contents = {"SKILL.md": text.encode()} | {k.replace("__", "/"): v for k, v in more.items()}
    return tuple(
        SkillFile(path, hashlib.sha256(data).hexdigest(), len(data))
        for path, data in contents.items()
    )


async def add(shop: Shop, text: str, listed: tuple[SkillFile, ...]) -> Capability:
    found: Capability = await shop.do("capability.register", OWNER, skills.add, text, listed)
    return found


async def test_a_skill_waits_for_its_grant_and_again_when_it_changes(shop: Shop) -> None:
    id_ = "openclaw-config-editor"
    made = await add(shop, SKILL, files(SKILL, scripts__edit=b"1"))
    assert (made.kind, made.effect, made.enabled, made.quarantined, made.grants) == (
        "skill", Effect.READ, False, True, (),
    )  # fmt: skip
    granted = await grant(shop, id_, "role:coder")
    assert (granted.enabled, granted.quarantined) == (True, False)
    same = await add(shop, SKILL, files(SKILL, scripts__edit=b"1"))
    assert (same.version, same.enabled) == (1, True)
    changed = await add(shop, SKILL, files(SKILL, scripts__edit=b"2"))
    assert (changed.version, changed.enabled, changed.quarantined) == (2, False, True)
    assert changed.grants == ("role:coder",)
    assert (await grant(shop, id_)).quarantined
    stale = made.sha256
    code = await code_of(grant(shop, id_, "*", sha256=stale))
    assert code == "capability.skill_changed"
    assert (await grant(shop, id_, "*", sha256=changed.sha256)).enabled


async def test_a_skill_that_an_owner_disabled_stays_so(shop: Shop) -> None:
    id_ = "openclaw-config-editor"
    await add(shop, SKILL, files(SKILL))
    await grant(shop, id_, "*")
    await shop.do("capability.disable", OWNER, registry.disable, id_)
    assert not (await add(shop, SKILL, files(SKILL))).enabled
    assert not (await grant(shop, id_, "role:coder")).enabled


@pytest.mark.parametrize(
    "text, listed, code",
    [
        ("no front matter", None, "skill.text"),
        ("---\nname: a-b\n---\n", None, "skill.text"),
        ("---\ndescription: d\n---\n", None, "skill.text"),
        ("---\nname: [a]\ndescription: d\n---\n", None, "skill.text"),
        ("---\nname: a-b\ndescription: *x\n---\n", None, "skill.text"),
        ("---\nname: a-b\ndescription: d\neffect: boom\n---\n", None, "skill.text"),
        ("---\nname: nodots\ndescription: d\n---\n", None, "capability.id"),
        ("---\nname: a-b\ndescription: d\n---\n" + "x" * 70_000, None, "skill.text"),
        (SKILL, (), "skill.files"),
        (SKILL, files("other"), "skill.files"),
        (SKILL, files(SKILL) + files(SKILL), "skill.files"),
        (SKILL, (*files(SKILL), SkillFile("../a", "0" * 64, 1)), "skill.files"),
        (SKILL, (*files(SKILL), SkillFile("/a", "0" * 64, 1)), "skill.files"),
        (SKILL, (*files(SKILL), SkillFile("a", "0" * 63, 1)), "skill.files"),
        (SKILL, (*files(SKILL), SkillFile("a", "0" * 64, -1)), "skill.files"),
        (SKILL, tuple(SkillFile(f"f{n}", "0" * 64, 1) for n in range(501)), "skill.files"),
        (SKILL, None, None),
    ],
)
async def test_skills_that_cannot_be(
    shop: Shop, text: str, listed: tuple[SkillFile, ...] | None, code: str | None
) -> None:
    assert await code_of(add(shop, text, files(text) if listed is None else listed)) == code


def test_the_hash_is_of_paths_and_contents_in_any_order() -> None:
    listed = files(SKILL, a=b"1", b__c=b"2")
    assert skills.folder_hash(listed) == skills.folder_hash(listed[::-1])
    moved = files(SKILL, a=b"1", b__d=b"2")
    assert skills.folder_hash(listed) != skills.folder_hash(moved)
