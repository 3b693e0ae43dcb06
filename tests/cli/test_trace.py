"""What `homarus trace` prints of a tree."""

from homarus.cli.trace import branch

LEAF = {
    "task": "id-2", "number": "T-2", "title": "Design", "state": "done", "agent": "scoder",
    "by": "pm", "perm": "read", "depth": 1, "children": [],
    "dispatches": [{"capability": "session.send", "from": "scoder", "to": "pm",
                    "at": "2026-05-01T09:00:00.000Z"}],
}  # fmt: skip
ROOT = {"task": "id-1", "number": "T-1", "title": None, "state": "in_progress", "agent": "pm",
        "by": None, "depth": 0, "dispatches": [], "children": [LEAF]}  # fmt: skip


def test_a_child_stands_below_its_parent_with_what_it_was_given():
    assert list(branch(ROOT)) == [
        "T-1  in_progress  pm",
        "  T-2  done  scoder  Design  spawned by pm with read, 1 deep",
        "    2026-05-01 09:00:00Z  scoder → pm  session.send",
    ]


def test_a_task_that_is_gone_is_named_by_its_id():
    assert list(branch({"task": "id-9", "number": None, "state": None})) == ["id-9  gone"]
