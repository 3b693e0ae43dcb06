"""Argument templates with typed slots: how a registered capability becomes a command line.

    ["grep", "-n", "--max-count={count}", "-e", "{word}", "{file}"]
    {"count": {"type": "int", "greatest": 100}, "word": "text", "file": "path"}

An element is a literal, one slot `{name}`, or `prefix={name}`; a value fills exactly one element or
the rest of one. So no value becomes a second argument, an option, or a path outside its root,
whatever it holds. The program is always a literal. A slot is given by its type's name or by an
object with `type` and the fields of its class below; `default` makes it optional.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from homarus.base.errors import Invalid

ELEMENTS_MAX = 256
ELEMENT_BYTES_MAX = 16 * 1024
TEXT_CHARS_MAX = 16 * 1024
PATH_BYTES_MAX = 4096
NAME_BYTES_MAX = 255
CHOICES_MAX = 256
INT_MAX = 2**53 - 1
"""The greatest integer that every JSON reader keeps exact."""

_NAME = r"[a-z][a-z0-9_]{0,63}"
_ELEMENT = re.compile(
    rf"(?P<prefix>(?:-{{0,2}}[A-Za-z0-9][A-Za-z0-9_.-]*=)?)\{{(?P<slot>{_NAME})\}}"
)
_CODE = {
    name: options
    for names, options in (
        (("sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "python"), ("-c",)),
        (("perl", "ruby", "lua"), ("-e", "-E")),
        (("node", "deno", "bun"), ("-e", "-p", "--eval", "--print", "eval")),
        (("php",), ("-r",)),
    )
    for name in names
}
"""Interpreters and the options behind which they read a program: no slot may stand there."""

_SLOT = re.compile(rf"\{{({_NAME})\}}")


class _Unfit(Exception):
    """A value that does not fit: what it is, to stand after 'got'."""


@dataclass(frozen=True, slots=True)
class TextSlot:
    """Any text of 1 to `chars_max` characters. It may begin with `-` only behind a prefix."""

    type: ClassVar[str] = "text"
    chars_max: int = 4096

    def __post_init__(self) -> None:
        _require(
            type(self.chars_max) is int and 1 <= self.chars_max <= TEXT_CHARS_MAX,
            f"chars_max must be an integer from 1 to {TEXT_CHARS_MAX}",
        )

    @property
    def expected(self) -> str:
        return f"a text of 1 to {self.chars_max} characters that does not begin with '-'"

    def argument(self, value: object, *, alone: bool) -> str:
        if not isinstance(value, str):
            raise _Unfit(_kind(value))
        if not 1 <= len(value) <= self.chars_max:
            raise _Unfit(f"one of {len(value)} characters")
        if alone and value.startswith("-"):
            raise _Unfit("one that begins with '-'")
        return _plain(value, value.encode)


@dataclass(frozen=True, slots=True)
class IntSlot:
    """An integer from `least` to `greatest`. A negative one needs a prefix."""

    type: ClassVar[str] = "int"
    least: int = 0
    greatest: int = INT_MAX

    def __post_init__(self) -> None:
        ends = (self.least, self.greatest)
        _require(
            all(type(end) is int and abs(end) <= INT_MAX for end in ends) and ends[0] <= ends[1],
            f"least and greatest must be integers in order, within {-INT_MAX} to {INT_MAX}",
        )

    @property
    def expected(self) -> str:
        return f"an integer from {self.least} to {self.greatest}"

    def argument(self, value: object, *, alone: bool) -> str:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _Unfit(_kind(value))
        if not self.least <= value <= self.greatest:
            raise _Unfit("one outside of that")
        return str(value)


@dataclass(frozen=True, slots=True)
class ChoiceSlot:
    """One of `choices`. They are the operator's words and may begin with `-`."""

    type: ClassVar[str] = "choice"
    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        good = isinstance(self.choices, list | tuple) and 1 <= len(self.choices) <= CHOICES_MAX
        good = good and all(isinstance(at, str) and at and "\0" not in at for at in self.choices)
        _require(good, f"choices must be a list of 1 to {CHOICES_MAX} texts that are not empty")
        object.__setattr__(self, "choices", tuple(self.choices))

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.choices)}"

    def argument(self, value: object, *, alone: bool) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise _Unfit("something else" if isinstance(value, str) else _kind(value))
        return value


@dataclass(frozen=True, slots=True)
class PathSlot:
    """A path below `root`: a declared input (absolute), or the workspace where none is given.

    It is written with its root, or with `./` below the workspace (the working directory), so it
    cannot be read as an option. Links that lead out of the root are refused where they can be seen.
    """

    type: ClassVar[str] = "path"
    root: Path | None = None

    def __post_init__(self) -> None:
        if self.root is None:
            return
        good = isinstance(self.root, str | Path) and "\0" not in str(self.root)
        _require(good and Path(self.root).is_absolute(), "root must be an absolute path")
        object.__setattr__(self, "root", Path(os.path.realpath(self.root)))

    @property
    def expected(self) -> str:
        return f"a relative path without '..' below {self.root or 'the workspace'}"

    def argument(self, value: object, *, alone: bool) -> str:
        if not isinstance(value, str):
            raise _Unfit(_kind(value))
        if value.startswith("/"):
            raise _Unfit("an absolute one")
        if not value:
            raise _Unfit("an empty one")
        path = PurePosixPath(value)
        if ".." in path.parts:
            raise _Unfit("one with '..'")
        if len(_plain(value, lambda: os.fsencode(value))) > PATH_BYTES_MAX or any(
            len(os.fsencode(part)) > NAME_BYTES_MAX for part in path.parts
        ):
            raise _Unfit("one that is too long")
        if self.root is None:
            return f"./{path}"
        self.require_within(self.root, path)
        return str(self.root / path)

    @staticmethod
    def require_within(root: Path, path: PurePosixPath) -> None:
        if not Path(os.path.realpath(root / path)).is_relative_to(os.path.realpath(root)):
            raise _Unfit("one that leads out by a link")


Slot = TextSlot | IntSlot | ChoiceSlot | PathSlot
_SLOTS: Mapping[str, type[Slot]] = {at.type: at for at in (TextSlot, IntSlot, ChoiceSlot, PathSlot)}


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template. `parts` are (prefix or literal, name of the slot or None)."""

    parts: tuple[tuple[str, str | None], ...]
    slots: Mapping[str, Slot]
    defaults: Mapping[str, Any]

    @classmethod
    def parse(cls, argv: Sequence[Any], slots: Mapping[str, Any]) -> "Template":
        """From a capability's JSON. Raises `Invalid("argv.bad_template")`."""
        if not isinstance(argv, list | tuple) or not 1 <= len(argv) <= ELEMENTS_MAX:
            raise _bad_template(f"argv must be a list of 1 to {ELEMENTS_MAX} texts")
        parsed = {name: _parse_slot(name, given) for name, given in slots.items()}
        parts = tuple(_parse_element(element, parsed) for element in argv)
        if parts[0][1] is not None or not parts[0][0]:
            raise _bad_template("the first element, the program, must be a literal")
        _no_code(parts)
        unused = sorted(set(parsed) - {name for _, name in parts})
        if unused:
            raise _bad_template(f"no element holds the slot {unused[0]!r}")
        template = cls(parts, parsed, _defaults(slots))
        for name in template.defaults:
            alone = any(slot == name and not prefix for prefix, slot in parts)
            _fill(name, parsed[name], template.defaults[name], alone=alone)
        return template

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Declared inputs: the roots of its path slots."""
        roots = [at.root for at in self.slots.values() if isinstance(at, PathSlot) and at.root]
        return tuple(dict.fromkeys(roots))

    def render(self, values: Mapping[str, Any], workspace: Path | None = None) -> list[str]:
        """The arguments, one for each element of the template. With `workspace`, links below it
        that lead out are refused too. Raises `Invalid("argv.bad_value")`, which names the slot."""
        unknown = sorted(set(values) - set(self.slots), key=str)
        if unknown:
            raise _bad_value(str(unknown[0]), "no such slot", f"one of {sorted(self.slots)}")
        return [
            literal if name is None else literal + self._argument(name, literal, values, workspace)
            for literal, name in self.parts
        ]

    def _argument(
        self, name: str, prefix: str, values: Mapping[str, Any], workspace: Path | None
    ) -> str:
        slot = self.slots[name]
        if name not in values and name not in self.defaults:
            raise _bad_value(name, "nothing", slot.expected)
        value = values.get(name, self.defaults.get(name))
        return _fill(name, slot, value, alone=not prefix, workspace=workspace)


def render(
    template: Sequence[str], slots: Mapping[str, Any], values: Mapping[str, Any]
) -> list[str]:
    """`Template.parse` and `Template.render` in one step."""
    return Template.parse(template, slots).render(values)


def _fill(
    name: str, slot: Slot, value: object, *, alone: bool, workspace: Path | None = None
) -> str:
    try:
        argument = slot.argument(value, alone=alone)
        if isinstance(slot, PathSlot) and slot.root is None and workspace is not None:
            slot.require_within(workspace, PurePosixPath(argument))
    except _Unfit as exc:
        raise _bad_value(name, str(exc), slot.expected) from None
    return argument


def _parse_element(element: object, slots: Mapping[str, Slot]) -> tuple[str, str | None]:
    if not isinstance(element, str) or "\0" in element:
        raise _bad_template("every element must be a text without NUL")
    if len(element.encode(errors="surrogatepass")) > ELEMENT_BYTES_MAX:
        raise _bad_template(f"an element has more than {ELEMENT_BYTES_MAX} bytes")
    match = _ELEMENT.fullmatch(element)
    if match is None:
        named = [name for name in _SLOT.findall(element) if name in slots]
        if named:
            raise _bad_template(
                f"{element!r}: the slot {named[0]!r} must be a whole element or follow "
                "`option=` at its end"
            )
        return element, None
    prefix, name = match["prefix"], match["slot"]
    slot = slots.get(name)
    if slot is None:
        raise _bad_template(f"{element!r}: there is no slot {name!r}")
    if isinstance(slot, IntSlot) and slot.least < 0 and not prefix:
        raise _bad_template(f"{element!r}: a number that may be negative must follow `option=`")
    return prefix, name


def _no_code(parts: tuple[tuple[str, str | None], ...]) -> None:
    """A caller's value is never a program, whatever its slot's type."""
    options: tuple[str, ...] = ()
    interpreter = before = ""
    for text, name in parts:
        if name is None:
            known = re.sub(r"[\d.]+$", "", PurePosixPath(text).name)
            if known in _CODE:
                interpreter, options = known, _CODE[known]
        elif before in options or text.rstrip("=") in options:
            raise _bad_template(
                f"{interpreter} would run the value of the slot {name!r} as a program"
            )
        before = text if name is None else ""


def _parse_slot(name: str, given: object) -> Slot:
    if not re.fullmatch(_NAME, name):
        raise _bad_template(f"the slot's name {name!r} is not lower-case letters, digits and _")
    form = {"type": given} if isinstance(given, str) else given
    if not isinstance(form, Mapping) or form.get("type") not in _SLOTS:
        raise _bad_template(f"the slot {name!r} needs a type: {', '.join(_SLOTS)}")
    kind = _SLOTS[form["type"]]
    rest = {key: value for key, value in form.items() if key not in ("type", "default")}
    known = {field.name: field for field in fields(kind)}
    wrong = sorted(set(rest) - set(known)) or [
        key for key, field in known.items() if field.default is MISSING and key not in rest
    ]
    if wrong:
        raise _bad_template(
            f"the slot {name!r} of type {kind.type} has the fields "
            f"{', '.join(known)}; look at {wrong[0]!r}"
        )
    try:
        return kind(**rest)
    except _Unfit as exc:
        raise _bad_template(f"the slot {name!r}: {exc}") from None


def _defaults(slots: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: given["default"]
        for name, given in slots.items()
        if isinstance(given, Mapping) and "default" in given
    }


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise _Unfit(what)


def _plain(value: str, encode: Any) -> str:
    """`value`, when it can be an argument at all."""
    if "\0" in value:
        raise _Unfit("one with a NUL character")
    try:
        encode()
    except UnicodeEncodeError:
        raise _Unfit("one that cannot be encoded") from None
    return value


def _kind(value: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "nothing" if value is None else "something else")


def _bad_template(what: str) -> Invalid:
    return Invalid(
        "argv.bad_template", f"The command template is wrong: {what}.", "Correct the capability."
    )


def _bad_value(slot: str, got: str, expected: str) -> Invalid:
    return Invalid(
        "argv.bad_value",
        f"The slot {slot!r} expected {expected}; got {got}.",
        f"Give {slot!r} such a value.",
        slot=slot,
        expected=expected,
    )
