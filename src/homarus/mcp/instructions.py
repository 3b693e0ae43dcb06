"""What a client's model is told when it connects."""

from typing import Final

INSTRUCTIONS: Final = """\
Homarus runs this company: tasks, agents, knowledge, rules. Work counts only for a claimed task.

1. `claim` gives you the best fitting task with a lease and a `leaseToken` (null: nothing to do).
2. `get_task_context` is all you need to start on it.
3. Before anything beyond the task ask `query_capabilities`; `preflight` keeps the answer.
4. Tell how it goes with `add_note`; `heartbeat` at least once a minute, or the lease runs out.
5. End with `complete_task` or `report_result`. What lacks evidence is refused and names it.

A refusal names its code, rule, reason and remedy. Do what the remedy says; the same call again is
refused again. After `task.lease_lost` stop: somebody else may have the task."""
