"""What a model reads of each argument, and where a route's type says too little.

An entry is merged over the schema of the route's own field. `tool.argument` stands before
`argument` where one word means different things.
"""

from typing import Any, Final

from homarus.control_plane.idempotency import MAX_KEY
from homarus.control_plane.route import MAX_LIMIT

KEY: Final = "idempotencyKey"
MAX_REF: Final = 300


def _says(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, **more}


def _text(description: str) -> dict[str, Any]:
    return _says(description, type="string")


_STATES: Final = ["inbox", "in_progress", "review", "done", "failed"]

WORDS: Final[dict[str, dict[str, Any]]] = {
    KEY: _says(
        "Any text of yours that names this very request: sent again with the same text it takes "
        "effect once, and answers the same.",
        type="string",
        minLength=1,
        maxLength=MAX_KEY // 4,
    ),
    "limit": _says("At most so many rows.", type="integer", minimum=1, maximum=MAX_LIMIT),
    "cursor": _says("`nextCursor` of the page before."),
    # who
    "agentId": _says("The agent you act for: id or name."),
    "list_tasks.agentId": _says("Only tasks of this agent: id or name."),
    "list_threads.agentId": _says("Only threads that this agent takes part in: its id."),
    "list_knowledge.agentId": _says("Of this agent: its id."),
    "get_knowledge_context.agentId": _says("Of this agent: its id."),
    "get_agent.agentId": _says("The agent's id."),
    "update_agent.agentId": _says("The agent's id."),
    # calendar and wiki
    "from": _text("Not over before this time, as 2026-01-02T03:04:05Z."),
    "to": _text("Begun before this time, as 2026-01-02T03:04:05Z."),
    "list_events.taskId": _says("Only events of this task: id or number, such as T-192."),
    "docId": _says("A wiki document: id or number, such as W-7."),
    "parentId": _says("Only directly below this document: id, number, or root."),
    "version": _says("A kept version instead of the newest.", type="integer", minimum=1),
    # tasks
    "taskId": _says("A task: id or number, such as T-192."),
    "list_threads.taskId": _says("Only threads about this task: its id."),
    "state": _says("Where it stands.", enum=_STATES),
    "update_task.state": _says("Where it shall go; the rules of a result apply.", enum=_STATES),
    "report_result.state": _says(
        "review: somebody shall look at it; done; failed; inbox: you give it back; in_progress: "
        "output so far, the lease starts afresh.",
        enum=_STATES,
    ),
    "projectId": _says("A project's id."),
    "taskType": _says("What kind of work, as a specific key: letters, digits, _, : or -."),
    "title": _text("One line."),
    "description": _text("What is to be done, and why."),
    "acceptanceCriteria": _says("What must be true of the result, item by item.", type="array"),
    "definitionOfDone": _says(
        "When it is done: text, or items such as `artifact:report`, `review:coo`."
    ),
    "deliverables": _says("What comes out, item by item.", type="array"),
    "ownerRole": _text("Only an agent of this role gets it."),
    "goal": _text("What it is good for."),
    "inputJson": _says("Further input as an object; merged into what is there."),
    "priority": _says("Higher goes first; 0 is usual."),
    "assignedAgentId": _says("Whose it is: an agent's id or name."),
    "blockedByTaskIds": _says("Tasks that must be done before: ids or numbers."),
    "capability": _says("Id of a registered capability."),
    "create_task.capability": _says("The registered capability that does it."),
    "allowUnderspecified": _says("Take it although its specification has gaps."),
    "allowedRoles": _says("Claim only if your role is one of these."),
    "leaseSeconds": _says("How long it shall be yours without a heartbeat: 5 to 3600."),
    "readopt": _says("Take up what you hold already, with a new lease token."),
    "review": _says("Claim a task that waits for review."),
    "leaseToken": _says("The `leaseToken` of your claim; checked when given."),
    "outputJson": _says("The result itself, any JSON."),
    "comment": _says("What a reader of the result must know."),
    "note": _says("What happened, in plain words."),
    "handoff": _says("To hand the task to another role, with what comes next."),
    "currentLoad": _says("How many tasks you have in hand."),
    "heartbeat.taskId": _says("Renew the lease of this task alone; otherwise of all you hold."),
    # projects
    "status": _says("Where it stands."),
    "list_projects.status": _says("Only projects of this status: active, paused, killed…"),
    "create_project.goal": _says("What the project is for, in one line."),
    "update_project.goal": _says("What the project is for, in one line."),
    "customerId": _says("A customer's id."),
    "leadAgentId": _says("The agent that leads it: id or name."),
    "requireApprovalForDone": _says("A person accepts each result."),
    "requireReviewBeforeDone": _says("Each task goes through review before it is done."),
    "maxActiveAgents": _says("At most so many agents work in it at once; null: no cap."),
    # talk
    "text": _says("The message."),
    "targetAgentId": _says("The agent it is for: id or name. Opens the thread with that agent."),
    "threadId": _text("A thread's id; without one it goes to the target's, or the team's."),
    "read_thread.threadId": _says("The thread's id."),
    "threadType": _says("Which thread, where none is named.", enum=["team", "direct"]),
    "routingNote": _says("A routing note handed to you; without one the kernel writes it."),
    "preflightId": _says("The preflight that covers this."),
    "type": _says("team, direct, project…"),
    "since": _says("From this time on: RFC 3339."),
    "before": _says("Until this time: RFC 3339."),
    # knowledge
    "resourceId": _says("The note's id."),
    "name": _says("Its name."),
    "configText": _text("The text, as Markdown."),
    "displayName": _says("How people see it called."),
    "path": _says("The folder it lies in, such as `handbook/release`."),
    "pathPrefix": _says("Only this folder and those below it."),
    "scopeType": _says("Whom it is for.", enum=["company", "customer", "project", "agent"]),
    "scopeId": _says("Id of that customer, project or agent."),
    "isShared": _says("Whether every agent within its scope is told of it unasked."),
    "list_knowledge.isShared": _says("Only shared ones, or only others.", type="boolean"),
    "get_knowledge_context.resourceId": _says("Ids of notes to begin with, joined by commas."),
    "tag": _says("Tags to begin with, joined by commas, such as `pricing,release`."),
    "maxChars": _says("Characters in all; 12000 unless given.", type="integer", minimum=1),
    "search": _says("Words to look for in names and texts."),
    "resourceType": _says("knowledge_base, template, identity, mailbox…"),
    "update_knowledge_note.status": _says("active, or another word of yours."),
    # agents
    "role": _says("Its role, such as coder. Governed roles need a change record."),
    "skillsJson": _says("What it can do: texts."),
    "memory": _says("Its memory, as one text."),
    "concurrencyLimit": _says("How many tasks it may hold at once."),
    "monthlyBudgetCents": _says("What it may spend in a month; only an owner raises it."),
    # the kernel
    "intent": _says("What you want to do, in your own words.", type="string", minLength=1),
    "arguments": _says("What the capability takes; see its `input`."),
    "target": _says("What it acts on, such as `task:T-192`; the task itself when left out."),
    "callId": _says("The call's id."),
    "approvalId": _says("The approval: id or number."),
    "taskIds": _says("Tasks that it is about: ids or numbers."),
    "rationale": _says("Why it should be allowed."),
    "confidence": _says("How sure you are: 0 to 1."),
    "actionType": _says("`task_done`: that the tasks are done; another word: anything else."),
    "what": _says("What you want to do, for the person who decides."),
    "scope": _says(
        "How long a yes holds: for this act, for the task, or for `hours`.",
        enum=["once", "task", "hours"],
    ),
    "hours": _says("With scope `hours`: how many."),
    "risk": _says("How much could go wrong.", enum=["low", "medium", "high"]),
}
