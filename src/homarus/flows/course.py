"""What a new agent learns, week by week: reading, questions, practice (manual: learning path).

Questions are about what this system does; their answers are the letters of the options.
"""

from typing import Final

import msgspec


class Question(msgspec.Struct, frozen=True):
    """`options` are a, b, c in order; `right` is the letter of the one that holds."""

    id: str
    text: str
    options: tuple[str, ...]
    right: str


class Week(msgspec.Struct, frozen=True):
    """`reading`: pages below docs/. `practice`: title and text of the task; `needs_preflight`: the
    agent must have thought before it finished."""

    n: int
    title: str
    reading: tuple[str, ...]
    questions: tuple[Question, ...]
    practice: tuple[str, str]
    needs_preflight: bool = False


WEEKS: Final = (
    Week(
        1,
        "Basic ideas",
        ("explanation/one-door.md", "reference/capabilities.md", "how-to/preflight.md"),
        (
            Question("1.1", "Where does the work that counts come from?",
                     ("from whoever asks first", "from a task that you hold by a claim",
                      "from a mirror such as a wiki"), "b"),
            Question("1.2", "No registered capability fits what you want to run. What now?",
                     ("write a script for it", "run it and tell somebody after",
                      "ask for help: spawn or send"), "c"),
            Question("1.3", "How does a rule document change?",
                     ("by an approved change", "by an edit of the file",
                      "by whoever needs it"), "a"),
            Question("1.4", "A rule refused what you tried. What does the refusal carry?",
                     ("nothing but a number", "the rule, the reason and what to do instead",
                      "a new task"), "b"),
        ),
        ("Practice: report back",
         "Read the page on tasks. Report a result whose output names the two states that a task "
         "can be in after you have reported it."),
    ),
    Week(
        2,
        "How work is done",
        ("how-to/preflight.md", "reference/tasks.md", "explanation/store.md"),
        (
            Question("2.1", "Which four questions does a preflight answer?",
                     ("who, how, where, whether a card is needed", "when, where, why, how much",
                      "cost, risk, owner, date"), "a"),
            Question("2.2", "What does a claim give you besides the task?",
                     ("the right to write anywhere", "nothing",
                      "a preflight for what the task is bound to"), "c"),
            Question("2.3", "Who pushes a change to a mirror?",
                     ("the agent that made it", "the outbox worker",
                      "the mirror asks for it"), "b"),
            Question("2.4", "What does routing level L1 mean?",
                     ("it is another agent's profession", "the work is secret",
                      "the work is simple"), "a"),
        ),
        ("Practice: think first",
         "Claim this task, make a preflight for it (POST /preflights with its id), then report a "
         "result that names the answer you got."),
        needs_preflight=True,
    ),
    Week(
        3,
        "In practice",
        ("how-to/run-commands.md", "how-to/connect-a-runtime.md", "how-to/preflight.md"),
        (
            Question("3.1", "Your preflight ends while you work. What does the next command get?",
                     ("it runs", "it is refused", "it waits"), "b"),
            Question("3.2", "What ends the preflight of a claim?",
                     ("the end of the day", "a note on the task",
                      "the end of the lease: release, expiry, a new fence"), "c"),
            Question("3.3", "Your lease ran out. May you still report the result?",
                     ("no, the task may be another's by now", "yes, within a minute",
                      "yes, with the old token"), "a"),
        ),
        ("Practice: ask the registry",
         "Claim this task and make a preflight for it whose intent is what you are best at. Report "
         "a result that names the capability found, or that none was."),
        needs_preflight=True,
    ),
    Week(
        4,
        "In depth",
        ("explanation/guarantees.md", "reference/audit-format.md",
         "reference/governed-settings.md"),
        (
            Question("4.1", "Who may approve a change?",
                     ("its author", "somebody in the right role who did not write it",
                      "any agent"), "b"),
            Question("4.2", "What proves that the ledger was not changed?",
                     ("seals and anchors, checked by `homarus audit verify`",
                      "a backup of yesterday", "the agent's word"), "a"),
            Question("4.3", "A line says what the company must do, another does it. Who decides "
                            "when they disagree?",
                     ("whoever is faster", "nobody", "the coo, with a reason"), "c"),
        ),
        ("Practice: say what you would change",
         "Claim this task and report a result that names one thing about the company's work that "
         "you would improve, and who would have to approve it."),
    ),
)  # fmt: skip
BY_NUMBER: Final = {week.n: week for week in WEEKS}
