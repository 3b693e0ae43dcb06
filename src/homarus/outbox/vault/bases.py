"""`Tasks.base`: the table of task notes that Obsidian shows without a plugin (mirrors contract,
6.4). Made once; a file that a person changed stays his."""

from functools import lru_cache
from typing import Any, Final

import yaml

NAME: Final = "Tasks.base"
SHOWN: Final = {
    "hm_number": "Number",
    "hm_title": "Title",
    "hm_state": "State",
    "hm_priority": "Priority",
    "hm_project": "Project",
    "hm_agent": "Agent",
    "hm_due": "Due",
    "hm_updated": "Updated",
}
_ORDER: Final = ["file.name", *(f"note.{key}" for key in SHOWN if key != "hm_number")]


@lru_cache(maxsize=8)
def tasks_base(archive: str) -> str:
    """`archive`: the folder of notes whose tasks are gone, below the vault."""
    base: dict[str, Any] = {
        "filters": {"and": ['note.hm_kind == "task"', f'!file.inFolder("{archive}")']},
        "properties": {f"note.{key}": {"displayName": name} for key, name in SHOWN.items()},
        "views": [
            {
                "type": "table",
                "name": "Open",
                "filters": {"and": ['note.hm_state != "done"', 'note.hm_state != "failed"']},
                "groupBy": {"property": "note.hm_state", "direction": "ASC"},
                "order": list(_ORDER),
            },
            {"type": "table", "name": "All", "order": list(_ORDER)},
        ],
    }
    return yaml.safe_dump(base, sort_keys=False, allow_unicode=True)
