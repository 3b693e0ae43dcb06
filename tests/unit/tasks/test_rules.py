"""What a create must say, which words the wire knows, what a result may do (contract 6)."""

import msgspec
import pytest

from homarus.base.errors import Invalid
from homarus.tasks import rules
from homarus.tasks.model import Spec, State, Task

FULL = {
    "title": "Count",
    "description": "Count the files",
    "acceptanceCriteria": ["a number"],
    "deliverables": ["report"],
}


# -- wire words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (State.INBOX, "inbox"),
        (State.QUEUED, "inbox"),
        (State.IN_PROGRESS, "in_progress"),
        (State.REVIEW, "review"),
        (State.BLOCKED, "review"),
        (State.DONE, "done"),
        (State.FAILED, "failed"),
        (State.DEAD_LETTER, "dead_letter"),
        (State.ARCHIVED, "archived"),
    ],
)
def test_every_state_has_a_word(state, word):
    assert rules.to_wire(state) == word


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("inbox", (State.INBOX, State.QUEUED)),
        ("queued", (State.INBOX, State.QUEUED)),
        ("in_progress", (State.IN_PROGRESS,)),
        ("running", (State.IN_PROGRESS,)),
        ("inprogress", (State.IN_PROGRESS,)),
        ("in-progress", (State.IN_PROGRESS,)),
        ("review", (State.REVIEW, State.BLOCKED)),
        ("needs_review", (State.REVIEW, State.BLOCKED)),
        ("needs-review", (State.REVIEW, State.BLOCKED)),
        ("done", (State.DONE,)),
        ("failed", (State.FAILED,)),
        ("dead_letter", (State.DEAD_LETTER,)),
    ],
)
def test_words_and_aliases_filter_states(text, states):
    assert rules.wire_states(text) == states


def test_every_listed_state_is_found_by_its_own_word():
    for state in State:
        if state is not State.ARCHIVED:
            assert state in rules.wire_states(rules.to_wire(state))


@pytest.mark.parametrize("text", ["", "Done", "recurrent", "archived", "blocked", " done", "x" * 9])
def test_other_words_are_refused(text):
    with pytest.raises(Invalid) as caught:
        rules.wire_states(text)
    assert caught.value.code == "task.state"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("inbox", State.QUEUED),
        ("queued", State.QUEUED),
        ("running", State.IN_PROGRESS),
        ("needs-review", State.REVIEW),
        ("done", State.DONE),
        ("failed", State.FAILED),
    ],
)
def test_a_result_asks_for(text, state):
    assert rules.target_state(text) is state


@pytest.mark.parametrize("text", ["dead_letter", "archived", "blocked", "recurrent", ""])
def test_a_result_cannot_ask_for(text):
    with pytest.raises(Invalid, match="cannot be requested"):
        rules.target_state(text)


# -- creating ------------------------------------------------------------------------------


def without(*fields, **more):
    return {k: v for k, v in FULL.items() if k not in fields} | more


@pytest.mark.parametrize(
    ("task_type", "spec", "missing"),
    [
        ("count_files", FULL, []),
        ("count_files", without("title"), ["title"]),
        ("count_files", FULL | {"title": "  "}, ["title"]),
        ("count_files", FULL | {"description": ""}, ["description"]),
        ("count_files", without("acceptanceCriteria"), ["acceptanceCriteria_or_definitionOfDone"]),
        ("count_files", without("acceptanceCriteria", definitionOfDone="counted"), []),
        ("count_files", FULL | {"acceptanceCriteria": [], "definitionOfDone": ["x"]}, []),
        ("count_files", FULL | {"deliverables": []}, ["deliverables"]),
        ("count_files", FULL | {"deliverables": {}}, ["deliverables"]),
        ("", FULL, ["taskType"]),
        ("  ", FULL, ["taskType"]),
        ("task", FULL, ["taskType_specific"]),
        ("General", FULL, ["taskType_specific"]),
        ("ab", FULL, ["taskType_machine_key"]),
        ("abc", FULL, []),
        ("a" * 41, FULL, []),
        ("a" * 42, FULL, ["taskType_machine_key"]),
        ("1abc", FULL, ["taskType_machine_key"]),
        ("a b c", FULL, ["taskType_machine_key"]),
        ("abc\n", FULL, ["taskType_machine_key"]),
        ("a:b-c_1", FULL, []),
        ("", {}, ["title", "description", "acceptanceCriteria_or_definitionOfDone",
                  "deliverables", "taskType"]),
    ],
)  # fmt: skip
def test_missing_fields(task_type, spec, missing):
    assert rules.missing_fields(task_type, spec) == missing


def test_an_underspecified_task_is_refused_with_what_is_missing():
    with pytest.raises(rules.Underspecified) as caught:
        rules.stored_input("count_files", without("title"), allow=False)
    assert caught.value.code == "TASK_SPEC_UNDERSPECIFIED"
    assert caught.value.missing == ["title"]


def test_an_underspecified_task_that_is_allowed_says_so():
    stored = rules.stored_input("count_files", without("title"), allow=True)
    assert (stored["readiness"], stored["missingFields"]) == ("underspecified", ["title"])
    ready = rules.stored_input("count_files", FULL, allow=False)
    assert (ready["readiness"], ready["missingFields"]) == ("ready", [])


@pytest.mark.parametrize(
    ("spec", "goal"),
    [
        (FULL | {"goal": "g"}, "g"),
        (FULL, "Count"),
        (without("title"), "Count the files"),
        ({}, "count_files"),
    ],
)
def test_the_goal_is_derived(spec, goal):
    assert rules.stored_input("count_files", spec, allow=True)["goal"] == goal


@pytest.mark.parametrize(
    ("definition", "items"),
    [
        (None, []),
        ("", []),
        ("all counted", [("text", "all counted")]),
        (["a", "  ", 7, None, " b "], [("text", "a"), ("text", "b")]),
        ("artifact:report", [("artifact", "report")]),
        ([" check:lint.py "], [("check", "lint.py")]),
        (["review:qa"], [("review", "qa")]),
        (["review:a/b-c.d_e"], [("review", "a/b-c.d_e")]),
        (["review: qa"], [("text", "review: qa")]),
        (["artifact:"], [("text", "artifact:")]),
        (["artifact:two words"], [("text", "artifact:two words")]),
        (["audit:x"], [("text", "audit:x")]),
        (["artifact:" + "a" * 100], [("artifact", "a" * 100)]),
        (["artifact:" + "a" * 101], [("text", "artifact:" + "a" * 101)]),
        ({"a": 1}, []),
    ],
)
def test_definition_of_done(definition, items):
    assert rules.done_items(definition) == items


# -- results -------------------------------------------------------------------------------


def test_equal_results_have_equal_digests():
    one = rules.result_digest(State.DONE, {"a": 1, "b": [1.0, None]}, "ok")
    assert one == rules.result_digest(State.DONE, {"b": [1, None], "a": 1}, "ok")
    others = [
        (State.FAILED, {"a": 1, "b": [1.0, None]}, "ok"),
        (State.DONE, {"a": 1, "b": [1.0, None]}, None),
        (State.DONE, {"a": 2, "b": [1.0, None]}, "ok"),
    ]
    assert one not in {rules.result_digest(*other) for other in others}


def test_a_result_that_has_no_canonical_form_has_a_digest_all_the_same():
    assert len(rules.result_digest(State.DONE, {"a": float("nan")}, None)) == 32


ANY = Task(
    id="t", seq=1, company="c", project="p", state=State.IN_PROGRESS, lane=1, priority=0, blocked=0,
    agent="a", member=None, reviewer=None, token=1, lease_until_ms=9, lease_proof="k",
    lease_owner="a", started_ms=1, retries=0, reason=None, trace="x", created_ms=1, updated_ms=1,
)  # fmt: skip
PLAIN, PERSON = Spec("t", "x"), Spec("t", "x", approval_required=True)
APPROVAL, REVIEW, LEAD = "requires_approval", "requires_review", "only_lead"
WORKING, REVIEWED = State.IN_PROGRESS, State.REVIEW
ASKS = "a person"


@pytest.mark.parametrize(
    ("policies", "state", "spec", "target", "comment", "code"),
    [
        ((), WORKING, PLAIN, State.DONE, None, None),
        ((), WORKING, PERSON, State.DONE, None, ASKS),
        ((), REVIEWED, PERSON, State.DONE, None, ASKS),
        ((APPROVAL,), WORKING, PLAIN, State.DONE, None, "through_review"),
        ((APPROVAL, "is_lead"), WORKING, PLAIN, State.DONE, None, ASKS),
        ((APPROVAL,), WORKING, PLAIN, State.REVIEW, None, None),
        ((REVIEW,), WORKING, PLAIN, State.DONE, None, "review_first"),
        ((REVIEW, "is_lead"), WORKING, PLAIN, State.DONE, None, "review_first"),
        ((REVIEW,), REVIEWED, PLAIN, State.DONE, None, "through_review"),
        ((REVIEW, "is_lead"), REVIEWED, PLAIN, State.DONE, None, None),
        ((REVIEW,), WORKING, PLAIN, State.FAILED, None, None),
        ((LEAD,), WORKING, PLAIN, State.DONE, None, "lead_only"),
        ((LEAD, "is_lead"), WORKING, PLAIN, State.DONE, None, None),
        ((LEAD,), WORKING, PLAIN, State.QUEUED, None, "lead_only"),
        ((LEAD,), WORKING, PLAIN, State.REVIEW, None, None),
        ((LEAD,), WORKING, PLAIN, State.FAILED, None, None),
        ((LEAD, REVIEW), WORKING, PLAIN, State.DONE, None, "review_first"),
        ((LEAD, REVIEW), REVIEWED, PLAIN, State.DONE, None, "lead_only"),
        (("comment_for_review",), WORKING, PLAIN, State.REVIEW, None, "comment_missing"),
        (("comment_for_review",), WORKING, PLAIN, State.REVIEW, "  ", "comment_missing"),
        (("comment_for_review",), WORKING, PLAIN, State.REVIEW, "see", None),
        (("comment_for_review",), WORKING, PLAIN, State.DONE, None, None),
        # A reviewer is no worker of the task; a person's word and the lead's stay theirs.
        ((REVIEW, "reviewing"), REVIEWED, PLAIN, State.DONE, None, None),
        ((APPROVAL, "reviewing"), REVIEWED, PLAIN, State.DONE, None, ASKS),
        (("reviewing",), REVIEWED, PERSON, State.DONE, None, ASKS),
        ((LEAD, "reviewing"), REVIEWED, PLAIN, State.DONE, None, "lead_only"),
        (("reviewing",), REVIEWED, PLAIN, State.QUEUED, None, None),
    ],
)
def test_policies_in_the_contracts_order(policies, state, spec, target, comment, code):
    task = msgspec.structs.replace(ANY, state=state)
    policy = rules.Policy(**dict.fromkeys(policies, True))
    refusal = rules.policy_refusal(task, policy, target, comment)
    asks = refusal is None and rules.wants_approval(spec.approval_required, policy, target)
    said = None if code in (None, ASKS) else f"task.policy_{code}"
    assert (asks, refusal and refusal.code) == (code == ASKS, said)
