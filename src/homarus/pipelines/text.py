"""A pipeline's YAML, read with marks: each error names file, line, column and what was expected.

Nothing is built before the whole file has been looked at: anchors, tags and too many entries are
refused while reading. The loader is the safe one's composer; nodes become plain texts and numbers.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Final, TypeVar

import msgspec
import yaml

from homarus.base.errors import Invalid
from homarus.pipelines.model import Definition, Stage

MAX_TEXT: Final = 131_072
MAX_EVENTS: Final = 6_000
"""Keys, values and brackets of one file: far more than MAX_STAGES stages need."""

MAX_STAGES: Final = 50
MAX_LINES: Final = 50
MAX_LINE: Final = 1_000
MAX_LEVELS: Final = 8

ID: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z")
_TYPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{2,40}\Z")
_TOP: Final = ("id", "title", "version", "starts", "covers", "stages", "transitions",
               "feedback")  # fmt: skip
_STAGE: Final = ("id", "title", "owner", "agent", "type", "input", "output", "done", "gates")
_EDGE: Final = ("from", "to")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

T = TypeVar("T")


class Known(msgspec.Struct, frozen=True):
    """Names that a file may use; None: not checked."""

    role: frozenset[str] | None = None
    agent: frozenset[str] | None = None


ANY: Final = Known()


class _Reader:
    def __init__(self, name: str, known: Known) -> None:
        self.name = name
        self.known = known

    def wrong(self, code: str, at: Any, what: str, expected: str) -> Invalid:
        """`at`: a node or a mark."""
        mark = getattr(at, "start_mark", at)
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        return Invalid(
            f"pipeline.{code}",
            f"{self.name}:{line}:{column}: {what}",
            f"Expected {expected}.",
            file=self.name,
            line=line,
            column=column,
        )

    # -- nodes -----------------------------------------------------------------------------

    def node(self, text: str) -> Any:
        if len(text.encode("utf-8", "replace")) > MAX_TEXT:
            raise self.wrong(
                "too_large", None, f"the file passes {MAX_TEXT} bytes", "a shorter file"
            )
        try:
            self._scan(text)
            found = yaml.compose(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self.wrong("yaml", mark, str(error.problem or "no YAML"), "YAML") from None
        except yaml.YAMLError as error:
            raise self.wrong("yaml", None, str(error)[:200], "YAML in UTF-8") from None
        if found is None:
            raise self.wrong("empty", None, "the file is empty", f"the keys {', '.join(_TOP)}")
        return found

    def _scan(self, text: str) -> None:
        depth = 0
        for n, event in enumerate(yaml.parse(text, Loader=_LOADER)):
            if n > MAX_EVENTS:
                raise self.wrong(
                    "many", event, f"more than {MAX_EVENTS} entries", f"at most {MAX_STAGES} stages"
                )
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise self.wrong("anchor", event, "anchors are not read", "the value written out")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_LEVELS:
                raise self.wrong("deep", event, "it nests too deep", f"{MAX_LEVELS} levels")

    def fields(self, node: Any, allowed: tuple[str, ...], what: str) -> dict[str, Any]:
        """Key -> value node of a mapping."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong("kind", node, f"{what} is no mapping", f"keys {', '.join(allowed)}")
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in allowed:
                near = get_close_matches(name, allowed, 1)
                hint = f"`{near[0]}`" if near else f"one of {', '.join(allowed)}"
                raise self.wrong("key", key, f"{what} has no key {name[:60]!r}", hint)
            if name in found:
                raise self.wrong("key", key, f"{name!r} is there twice", "it once")
            found[name] = value
        return found

    def text(self, node: Any, what: str, pattern: re.Pattern[str] | None = None) -> str:
        value = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
        if not value or len(value) > MAX_LINE:
            raise self.wrong("value", node, f"{what} is no text", f"1 to {MAX_LINE} characters")
        if pattern is not None and not pattern.match(value):
            raise self.wrong(
                "value", node, f"{what} cannot be {value[:60]!r}", "a name such as `product-dev`"
            )
        return str(value)

    def need(self, found: dict[str, Any], key: str, node: Any, what: str) -> Any:
        if key not in found:
            raise self.wrong("missing", node, f"{what} lacks `{key}`", f"`{key}: …`")
        return found[key]

    def items(self, node: Any, what: str, read: Callable[[Any], T], most: int) -> tuple[T, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong("kind", node, f"{what} is no list", "a list")
        if len(node.value) > most:
            raise self.wrong(
                "many", node.value[most], f"{what} has {len(node.value)} entries", f"at most {most}"
            )
        return tuple(read(item) for item in node.value)

    # -- a pipeline ------------------------------------------------------------------------

    def definition(self, text: str) -> Definition:
        node = self.node(text)
        found = self.fields(node, _TOP, "the pipeline")
        stages_node = self.need(found, "stages", node, "the pipeline")
        stages = self.items(stages_node, "`stages`", self.stage, MAX_STAGES)
        if not stages:
            raise self.wrong("value", stages_node, "`stages` is empty", "at least one stage")
        self._once(stages, stages_node)
        names = tuple(stage.id for stage in stages)
        transitions = tuple(pairwise(names))
        if "transitions" in found:
            transitions = self.edges(found["transitions"], "`transitions`", names)
            stages = self._ordered(stages, transitions, found["transitions"])
        feedback = self.edges(found["feedback"], "`feedback`", names) if "feedback" in found else ()
        return Definition(
            id=self.text(self.need(found, "id", node, "the pipeline"), "`id`", ID),
            title=self.text(self.need(found, "title", node, "the pipeline"), "`title`"),
            stages=stages,
            transitions=transitions,
            feedback=feedback,
            starts=self._types(found, "starts"),
            covers=self._types(found, "covers"),
            label=self.text(found["version"], "`version`") if "version" in found else "",
        )

    def stage(self, node: Any) -> Stage:
        found = self.fields(node, _STAGE, "a stage")
        name = self.text(self.need(found, "id", node, "a stage"), "`id`", ID)
        owner = self.text(self.need(found, "owner", node, f"stage {name}"), "`owner`")
        self._known("role", owner, found["owner"])
        agent = self.text(found["agent"], "`agent`") if "agent" in found else None
        if agent is not None:
            self._known("agent", agent, found["agent"])
        default = name.replace("-", "_")
        if not _TYPE.match(default):
            default = f"stage_{default}"
        return Stage(
            id=name,
            title=self.text(found["title"], "`title`") if "title" in found else name,
            owner=owner,
            agent=agent,
            type=self.text(found["type"], "`type`", _TYPE) if "type" in found else default,
            input=self._lines(found, "input"),
            output=self._lines(found, "output"),
            done=self._lines(found, "done"),
            gates=self.items(found["gates"], "`gates`", self._gate, 7) if "gates" in found else (),
        )

    def _gate(self, node: Any) -> int:
        value = node.value if isinstance(node, yaml.ScalarNode) else ""
        if value not in ("1", "2", "3", "4", "5", "6", "7"):
            raise self.wrong("gate", node, f"there is no gate {str(value)[:20]!r}", "1 to 7")
        return int(value)

    def _known(self, kind: str, name: str, node: Any) -> None:
        names = self.known.role if kind == "role" else self.known.agent
        if names is None or name in names:
            return
        near = get_close_matches(name, sorted(names), 3) or sorted(names)[:10]
        some = ", ".join(near) if near else f"an existing {kind}"
        raise self.wrong(kind, node, f"unknown {kind} {name[:60]!r}", f"one of {some}")

    def _lines(self, found: dict[str, Any], key: str) -> tuple[str, ...]:
        if key not in found:
            return ()
        return self.items(found[key], f"`{key}`", lambda n: self.text(n, f"`{key}`"), MAX_LINES)

    def _types(self, found: dict[str, Any], key: str) -> tuple[str, ...]:
        if key not in found:
            return ()
        return self.items(
            found[key], f"`{key}`", lambda n: self.text(n, "a task type", _TYPE), MAX_LINES
        )

    def _once(self, stages: tuple[Stage, ...], node: Any) -> None:
        seen: set[str] = set()
        for stage, item in zip(stages, node.value, strict=True):
            if stage.id in seen:
                raise self.wrong("stage", item, f"stage {stage.id} is there twice", "other ids")
            seen.add(stage.id)

    def edges(self, node: Any, what: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        def end(found: dict[str, Any], key: str, item: Any) -> str:
            value = self.need(found, key, item, what)
            name = self.text(value, f"`{key}`")
            if name not in names:
                near = get_close_matches(name, names, 3) or list(names)[:10]
                raise self.wrong("stage", value, f"no stage {name[:60]!r}", ", ".join(near))
            return name

        def edge(item: Any) -> tuple[str, str]:
            found = self.fields(item, _EDGE, f"an entry of {what}")
            return end(found, "from", item), end(found, "to", item)

        return self.items(node, what, edge, MAX_STAGES * 4)

    def _ordered(
        self, stages: tuple[Stage, ...], edges: tuple[tuple[str, str], ...], node: Any
    ) -> tuple[Stage, ...]:
        """Stages in an order in which each stands behind what it waits for."""
        waits = {stage.id: {a for a, b in edges if b == stage.id} for stage in stages}
        left, ordered = list(stages), []
        while left:
            free = next((stage for stage in left if not waits[stage.id]), None)
            if free is None:
                names = [stage.id for stage in left]
                at = next(n for n, (a, b) in enumerate(edges) if a in names and b in names)
                raise self.wrong(
                    "cycle",
                    node.value[at],
                    f"transitions go round: {', '.join(names)[:200]}",
                    "an order of work; ways back belong under `feedback`",
                )
            left.remove(free)
            ordered.append(free)
            for waiting in waits.values():
                waiting.discard(free.id)
        return tuple(ordered)


def parse(text: str, *, name: str = "pipeline.yaml", known: Known = ANY) -> Definition:
    """Raises `pipeline.*` with file, line, column and what was expected."""
    return _Reader(name, known).definition(text)
