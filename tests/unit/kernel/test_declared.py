"""capabilities.yaml: what every fault says, and that the running registry stays.

Each line of the table is an entry (or a file) and what is said of it: line, column, message, what
was expected.
"""

from typing import Any

import pytest

from homarus.base.errors import Invalid
from homarus.kernel import declared, registry
from homarus.kernel.registry import NewCapability
from homarus.testing.shop import OWNER, SYSTEM, Shop

GOOD = """\
version: 1
capabilities:
  - id: files.count
    title: Count lines
    argv: [wc, -l, "{file}"]
    slots: {file: path}
    grants: ["role:coder"]
  - id: files.first
    title: First lines
    argv: [head, "--lines={n}", "{file}"]
    slots: {file: path, n: {type: int, greatest: 100}}
    input: {type: object, properties: {n: {type: integer}}}
    grants: ["like:files.count", "role:writer"]
  - id: web.page
    title: Publish a page
    kind: tool
    effect: external_write
    risk: high
    targets: ["https://pages.example/acme/**"]
    approval: true
"""


def told(text: str) -> list[str]:
    return [problem.told("f") for problem in declared.parse(text).problems]


def test_a_good_file() -> None:
    assert told(GOOD) == []
    assert [e.new.id for e in declared.parse(GOOD).entries] == [
        "files.count", "files.first", "web.page",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "version: 1\ncapabilities: []\n"])
def test_a_file_that_declares_nothing(text: str) -> None:
    assert declared.parse(text) == declared.Document((), ())


@pytest.mark.parametrize(
    "text, said",
    [
        ("- a\n", "f:1:1: the file holds a list; expected `version: 1` and `capabilities:`"),
        ("version: 1\n", "f:1:1: no `capabilities`; expected a list of capabilities"),
        ("capabilities: []\n", "f:1:1: no version; expected `version: 1`"),
        ("version: 2\ncapabilities: []\n", "f:1:10: the version 2; expected `version: 1`"),
        ("version: 1\ncapabilities: {}\n", "f:2:15: `capabilities` is a mapping; expected a list"),
        ("version: 1\ncapabilites: []\n", "f:2:1: the key 'capabilites' is unknown; expected `cap"),
        ("version: 1\nversion: 1\ncapabilities: []\n", "f:2:1: the key 'version' is there twice"),
        ("version: 1\ncapabilities:\n  - a\n", "f:3:5: an entry is 'a'; expected a mapping"),
        ("version: 1\ncapabilities: [", "f:3:1: did not"),
        ("a: &x 1\nb: *x\n", "f:2:4: aliases are not read"),
        ("a: !!python/object:os.system x\n", "f:1:4: the tag"),
        ("[" * 40, "f:1:33: too deep; expected 32 levels"),
        ("a: b\n---\nc: d\n", "f:2:1: a second document; expected one document"),
        ("? [a]\n: b\n", "f:1:3: a list stands as a key; expected a text"),
        ("\ud800", "f:1:1: "),
        ("#" * 600_000, "f:1:1: the file is too large; expected at most 524288 bytes"),
        ("version: 1\ncapabilities:\n" + "- {id: a.b}\n" * 251, "f:253:3: 251 entries; expected"),
        ("version: 1\ncapabilities:\n" + "- {id: a.b}\n" * 10_000, "f:253:3: 10000 entries; ex"),
    ],
)  # fmt: skip
def test_files_that_are_none(text: str, said: str) -> None:
    found = told(text)
    assert [line for line in found if line.startswith(said)] or found[0].startswith(said), found


@pytest.mark.parametrize(
    "entry, said",
    [
        ({"titel": "T"}, "f:9:5: the key 'titel' is unknown; expected `title`"),
        ({"trusted": "true"}, "f:9:5: a file cannot mark a command as trusted"),
        ({"title": "on"}, "f:4:12: `title` is True; expected a text"),
        ({"id": "5"}, "f:3:9: `id` is 5; expected a text"),
        ({"id": "single"}, "f:3:9: 'single' cannot be a capability's id"),
        ({"id": "task.claim"}, "f:3:9: 'task.claim' cannot be a capability's id"),
        ({"kind": "comand"}, "f:9:11: there is no kind 'comand'; expected did you mean command?"),
        ({"kind": "skill"}, "f:9:11: a skill is a folder; expected `homarus capability add-skill"),
        ({"kind": "mcp"}, "f:3:5: a mcp must say its effect"),
        ({"kind": "tool", "effect": "read"}, "f:5:11: a tool has no command line"),
        ({"effect": "exex"}, "f:9:13: there is no effect 'exex'; expected `exec`"),
        ({"effect": "read"}, "f:9:13: a command runs a program; expected its effect is exec"),
        ({"risk": "huge"}, "f:9:11: the risk cannot be 'huge'; expected one of low, medium, high"),
        ({"keywords": "word"}, "f:9:15: `keywords` is 'word'; expected a list of texts"),
        ({"keywords": "[1]"}, "f:9:15: `keywords` is a list; expected a list of texts"),
        ({"approval": "maybe"}, "f:9:15: `approval` is 'maybe'; expected true or false"),
        ({"limits": "{wall_s: 0}"}, "f:9:13: The limit wall_s is 0"),
        ({"limits": "{wall_s: many}"}, "f:9:13: `limits` is a mapping; expected a mapping to"),
        ({"limits": "{moon: 1}"}, "f:9:13: There is no limit named 'moon'"),
        ({"argv": "[]"}, "f:5:11: argv is empty"),
        ({"argv": "[wc, {a: b}]"}, "f:5:11: `argv` is a list; expected a list of texts"),
        ({"argv": '["{file}"]'}, "f:5:11: The command template is wrong: the first element"),
        ({"argv": '[wc, "{fiel}"]'}, "f:5:11: The command template is wrong: '{fiel}': there"),
        ({"argv": '[wc, "--x{file}"]'}, "f:5:11: The command template is wrong: '--x{file}'"),
        ({"argv": '[sh, -c, "{file}"]'}, "f:5:11: The command template is wrong: sh would run"),
        ({"slots": "{file: {type: path, root: /etc}}"}, "f:6:38: the slot 'file' leads outside"),
        ({"slots": "{file: shell}"}, "f:5:11: The command template is wrong: the slot 'file'"),
        ({"targets": '["*"]'}, "f:9:15: the pattern '*' is no pattern"),
        ({"targets": '["a:b", "https:**"]'}, "f:9:22: the pattern 'https:**' matches every target"),
        ({"targets": '["https://**"]'}, "f:9:15: the pattern 'https://**' matches every target"),
        ({"targets": '["https://*/x"]'}, "f:9:15: the pattern 'https://*/x' leaves the host open"),
        ({"targets": '["file:a/../b"]'}, "f:9:15: the pattern 'file:a/../b' climbs out"),
        ({"targets": '["a:**/b"]'}, "f:9:15: the pattern 'a:**/b' has `**` before its end"),
        ({"input": "{type: object, properties: {a: {type: nope}}}"}, "f:9:50: the input schema"),
        ({"input": "{type: array}"}, "f:9:19: the input schema cannot be used: a capability takes"),
        ({"input": '{type: object, $ref: "https://x/"}'}, "f:9:33: the input schema cannot"),
        ({"grants": '["*", "everybody"]'}, "f:7:19: the grant 'everybody' is unreadable"),
        ({"grants": '["like:files.none"]'}, "f:7:14: `like:files.none` names no capability of"),
        ({"grants": '["like:files.count"]'}, "f:7:14: `like:files.count` leads back to"),
    ],
)  # fmt: skip
def test_entries_that_cannot_be(entry: dict[str, str], said: str) -> None:
    fields = {
        "id": "files.count", "title": "Count", "argv": '[wc, -l, "{file}"]',
        "slots": "{file: path}", "grants": "[]", "description": "D",
    }  # fmt: skip
    lines = [f"    {name}: {value}" for name, value in (fields | entry).items()]
    text = "version: 1\ncapabilities:\n  - " + "\n".join(lines).lstrip() + "\n"
    assert [line for line in told(text) if line.startswith(said)], told(text)


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("title: First lines", "titel: First lines").replace("risk: high", "risk: 5")
    found = declared.parse(text + "  - id: files.count\n    title: Twice\n    argv: [a]\n").problems
    assert {problem.line for problem in found} == {8, 9, 18, 21}


@pytest.mark.parametrize("length", [2, 3, 5])
def test_circles_of_grants_are_refused_at_each_step(length: int) -> None:
    entries = "".join(
        f"  - {{id: c.n{n}, title: T, argv: [a], grants: ['like:c.n{(n + 1) % length}']}}\n"
        for n in range(length)
    )
    found = told(f"version: 1\ncapabilities:\n{entries}")
    assert len(found) == length
    assert all("leads back to" in line and line.endswith("without a circle") for line in found)


# -- in a company ----------------------------------------------------------------------------------


async def apply(shop: Shop, text: str) -> declared.Applied:
    found: declared.Applied = await shop.do(
        "capability.grant", SYSTEM, declared.apply_document, text
    )
    return found


async def rows(shop: Shop) -> dict[str, Any]:
    found = await shop.ground.read(lambda rx: registry.listed(rx, shop.ground.company, limit=100))
    return {row.id: row for row in found}


async def test_the_approved_text_becomes_rows(shop: Shop) -> None:
    applied = await apply(shop, GOOD)
    assert applied.changed == ("files.count", "files.first", "web.page")
    made = await rows(shop)
    assert made["files.count"].grants == ("role:coder",)
    assert made["files.first"].grants == ("role:coder", "role:writer")
    assert (made["web.page"].grants, made["web.page"].approval) == ((), True)
    assert await apply(shop, GOOD) == declared.Applied((), ())
    assert (await rows(shop))["files.count"].version == 1


async def test_a_later_text_changes_disables_and_leaves_an_owners_own_alone(shop: Shop) -> None:
    mine = NewCapability(id="mine.own", title="Mine", argv=("true",), trusted=True)
    await shop.do("capability.register", OWNER, registry.register, mine)
    await apply(shop, GOOD)
    later = GOOD[: GOOD.index("  - id: web.page")].replace("role:coder", "role:writer")
    assert await apply(shop, later) == declared.Applied(
        ("files.count", "files.first"), ("web.page",)
    )
    made = await rows(shop)
    assert made["files.count"].grants == made["files.first"].grants == ("role:writer",)
    assert [id_ for id_, row in made.items() if not row.enabled] == ["web.page"]
    assert made["mine.own"].trusted
    assert await apply(shop, "") == declared.Applied((), ("files.count", "files.first"))
    assert (await rows(shop))["mine.own"].enabled


@pytest.mark.parametrize(
    "change, said",
    [
        (("role:coder", "agent:adda"), "capabilities.yaml:7:14: the company has no agent 'adda'; "
         "expected `ada`"),
        (("    risk: high", "    owner: zed"), "capabilities.yaml:18:12: the company has no agent"),
        (("id: web.page", "id: mine.own"), "capabilities.yaml:16:11: mine.own is registered as a"),
        (("version: 1", "version: 3"), "capabilities.yaml:1:10: the version 3"),
    ],
)  # fmt: skip
async def test_what_is_wrong_changes_nothing(
    shop: Shop, change: tuple[str, str], said: str
) -> None:
    await shop.agent("ada")
    mine = NewCapability(id="mine.own", title="Mine", argv=("true",))
    await shop.do("capability.register", OWNER, registry.register, mine)
    await apply(shop, GOOD)
    before = await rows(shop)
    with pytest.raises(Invalid) as caught:
        await apply(shop, GOOD.replace(*change).replace("First lines", "Changed"))
    assert caught.value.code == "capability.document"
    assert caught.value.message.startswith(said), caught.value.message
    assert await rows(shop) == before


async def test_agents_are_named_and_kept_by_id(shop: Shop) -> None:
    ada = await shop.agent("ada")
    await apply(shop, GOOD.replace("role:coder", "agent:ada").replace("risk: high", "owner: ada"))
    made = await rows(shop)
    assert made["files.count"].grants == (f"agent:{ada}",)
    assert made["web.page"].owner == ada


async def test_as_many_as_one_file_may_hold_are_applied_at_once(shop: Shop) -> None:
    entries = "".join(
        f"  - {{id: c.n{n}, title: T, argv: [wc, '{{f}}'], slots: {{f: path}}}}\n"
        for n in range(declared.MAX_ENTRIES)
    )
    text = f"version: 1\ncapabilities:\n{entries}"
    assert len((await apply(shop, text)).changed) == declared.MAX_ENTRIES
