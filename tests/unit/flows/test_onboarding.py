"""Four weeks: each opens after the one before, and is passed by its quiz and its practice task."""

from typing import Any

import pytest

from homarus.base.errors import Conflict, Invalid
from homarus.flows import onboarding, thinking
from homarus.flows.course import WEEKS
from homarus.kernel import trust


def right(week: int) -> dict[str, str]:
    return {question.id: question.right for question in WEEKS[week - 1].questions}


async def visit(shop: Any, week: int, answers: dict[str, str] | None = None) -> onboarding.Turn:
    turn: onboarding.Turn = await shop.do(
        "training.answer", "ada", onboarding.visit, shop.agents["ada"], week, answers
    )
    return turn


async def practise(shop: Any, turn: onboarding.Turn, week: int, *, thinks: bool = True) -> None:
    task = turn.progress[week - 1].task
    assert task is not None
    await shop.claim("ada", task=task.id)
    if thinks:
        await shop.do(
            "preflight.create", "ada", thinking.preflight, shop.agents["ada"], "report", task.id
        )
    await shop.result("ada", task.id, "done", output={"states": ["done", "review"]})


@pytest.fixture
async def school(shop: Any) -> Any:
    await shop.agent("ada")
    return shop


def test_every_question_has_its_answer_among_the_options() -> None:
    ids = [question.id for week in WEEKS for question in week.questions]
    assert len(ids) == len(set(ids))
    for week in WEEKS:
        assert week.reading and week.practice
        for question in week.questions:
            assert question.right in "abc"[: len(question.options)]


async def test_a_week_takes_quiz_and_practice(school: Any) -> None:
    opened = await visit(school, 1)
    assert [week.state for week in opened.progress] == ["started", "closed", "closed", "closed"]
    assert opened.progress[0].missing == ("quiz", "practice")
    answered = await visit(school, 1, right(1))
    assert (answered.wrong, answered.passed) == ((), ())
    assert answered.progress[0].missing == ("practice",)
    await practise(school, answered, 1)
    done = await visit(school, 1)
    assert done.passed == (1,)
    assert [week.state for week in done.progress] == ["passed", "open", "closed", "closed"]
    assert (await visit(school, 1)).passed == ()


async def test_the_whole_course(school: Any) -> None:
    for week in (1, 2, 3, 4):
        turn = await visit(school, week, right(week))
        await practise(school, turn, week)
        assert (await visit(school, week)).passed == (week,)
    events = await school.ground.read(trust.events, school.agents["ada"])
    assert [(event.kind, event.note) for event in events] == [
        ("training", f"week {n} of the course") for n in (4, 3, 2, 1)
    ]


async def test_practice_that_asks_for_a_preflight_needs_one(school: Any) -> None:
    turn = await visit(school, 1, right(1))
    await practise(school, turn, 1)
    await visit(school, 1)
    turn = await visit(school, 2, right(2))
    await practise(school, turn, 2, thinks=False)
    assert (await visit(school, 2)).progress[1].missing == ("preflight",)


async def test_wrong_answers_are_named_and_counted(school: Any) -> None:
    wrong = right(1) | {"1.2": "a"}
    turn = await visit(school, 1, wrong)
    assert (turn.wrong, turn.progress[0].attempts) == (("1.2",), 1)
    assert (await visit(school, 1, {"1.1": "b"})).wrong == ("1.2", "1.3", "1.4")
    for _ in range(onboarding.MAX_ATTEMPTS - 2):
        await visit(school, 1, wrong)
    with pytest.raises(Conflict, match=r"onboarding\.attempts"):
        await visit(school, 1, right(1))


@pytest.mark.parametrize(
    ("week", "answers", "code"),
    [
        (0, None, "onboarding.week"),
        (5, None, "onboarding.week"),
        (2, None, "onboarding.closed"),
        (1, {"2.1": "a"}, "onboarding.answers"),
    ],
)
async def test_what_is_refused(
    school: Any, week: int, answers: dict[str, str] | None, code: str
) -> None:
    with pytest.raises((Invalid, Conflict), match=code):
        await visit(school, week, answers)


async def test_another_agents_result_is_no_practice(school: Any) -> None:
    turn = await visit(school, 1, right(1))
    task = turn.progress[0].task
    assert task is not None
    await school.agent("bob")
    await school.assign(task.id, "bob")
    await school.claim("bob", task=task.id)
    await school.result("bob", task.id, "done", output={})
    assert (await visit(school, 1)).progress[0].missing == ("practice",)


async def test_an_archived_practice_task_is_replaced(school: Any) -> None:
    first = (await visit(school, 1)).progress[0].task
    assert first is not None
    await school.archive(first.id)
    second = (await visit(school, 1)).progress[0].task
    assert second is not None and second.id != first.id
    assert second.project == first.project
